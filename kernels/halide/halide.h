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

/// Vectors in which a pipeline goes through the elements of a type: as many lanes as fit for the
/// narrowest storage of operands and outputs, at most `most_lanes` and at most the last axis.
[[nodiscard]] double vectors(const ReferenceSpec& spec, const TensorType& type,
                             int64_t most_lanes = 32);

/// A row of a pipeline's measured times, in nanoseconds. What counts as a step is the pipeline's.
struct Measured {
  std::string_view what;
  double per_step;
  double per_vector = 0;
};
/// Throws InternalError when there is no such row.
[[nodiscard]] const Measured& measured(std::span<const Measured> table, std::string_view what);

}  // namespace qloom::kernels::halide
