// kernels/halide/move.h: kernels whose pipeline only moves elements: permute, pad, concat.
#pragma once

#include "kernels/halide/halide.h"

namespace qloom::kernels::halide {

/// plain_buffers, and where the result has codes: every operand's step is a whole multiple of its
/// step, and the products fit.
[[nodiscard]] Verdict takes_move(const ReferenceSpec& spec);
/// The pipeline "move" with parameters of the op and what the operands' codes are multiplied by.
[[nodiscard]] jit::PipelineSource move_source(const ReferenceSpec& spec, std::string symbol,
                                              Attributes parameters);
/// `runs`: elements of the last axis stay together.
[[nodiscard]] double move_ns(const ReferenceSpec& spec, bool runs);

}  // namespace qloom::kernels::halide
