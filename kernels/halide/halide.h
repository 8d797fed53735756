// kernels/halide/halide.h: what the kernels that are Halide pipelines share.
#pragma once

#include <string>
#include <string_view>

#include "kernels/kernel.h"

namespace qloom::kernels::halide {

/// jit::pipelines_missing.
[[nodiscard]] std::string missing();

/// Yes where every operand and result has the batch first, no operand is a constant, one step for
/// all channels, and a storage whose elements a pipeline reads (not bits).
[[nodiscard]] Verdict plain_buffers(const ReferenceSpec& spec);

/// Buffers of the operands and outputs.
[[nodiscard]] jit::PipelineSource source(const ReferenceSpec& spec, std::string symbol,
                                         std::string_view pipeline, Attributes parameters);

/// Elements per sample of a result.
[[nodiscard]] int64_t elements(const ReferenceSpec& spec, size_t result = 0);

/// The storage's name in tables of costs, of operand 0 and of the outputs; "mixed" where they
/// differ.
[[nodiscard]] Storage::Kind kind(const ReferenceSpec& spec);
[[nodiscard]] bool is_mixed(const ReferenceSpec& spec);

/// A row of a pipeline's measured times: nanoseconds per element that it reads or writes.
struct Measured {
  std::string_view what;
  double ns;
};
/// Throws InternalError when there is no such row.
[[nodiscard]] double measured(std::span<const Measured> table, std::string_view what);

}  // namespace qloom::kernels::halide
