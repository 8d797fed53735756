// kernels/conv/bit_counts.h: sums of population counts, which lie in bytes as long as they fit.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "jit/emitter.h"

namespace qloom::kernels {

/// Emits body(unit) for `units` units from `first` on: a loop, or one alone.
void emit_units(jit::Emitter& e, jit::Value first, int64_t units,
                const std::function<void(jit::Value)>& body);

/// The sums of chunk(first unit, how many) over `units` units, `longest` at a time: each time
/// `count` vectors of `lanes` i32.
[[nodiscard]] std::vector<jit::Value> emit_in_chunks(
    jit::Emitter& e, int64_t units, int64_t longest, size_t count, int lanes,
    const std::function<std::vector<jit::Value>(jit::Value, int64_t)>& chunk);

}  // namespace qloom::kernels
