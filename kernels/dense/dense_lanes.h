// kernels/dense/dense_lanes.h: dense layers one behind the other as one function, samples in the
// lanes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/kernel.h"

namespace qloom::kernels {

/// What each layer is asked to do, with its tail and input storage; in front of them may be the
/// quantizer of float32 inputs (an elementwise chain).
using DenseRun = std::vector<std::shared_ptr<const Query>>;

/// Yes, or no with the reason.
[[nodiscard]] Verdict match_dense_run(const DenseRun& run, const jit::Target& target);
/// Samples of a tile: the function takes whole tiles only.
[[nodiscard]] int64_t dense_run_tile(const jit::Target& target);
/// Packed weights and tables of all layers.
[[nodiscard]] std::vector<uint8_t> pack_dense_run(const DenseRun& run, const jit::Target& target);
[[nodiscard]] int64_t dense_run_scratch_bytes(const DenseRun& run, const jit::Target& target);
/// Buffers: input, constants, output, scratch.
void emit_dense_run(const DenseRun& run, jit::Emitter& e);

}  // namespace qloom::kernels
