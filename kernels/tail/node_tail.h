// kernels/tail/node_tail.h: what emitted kernels of single nodes store their result with.
#pragma once

#include "kernels/kernel.h"
#include "kernels/tail/tail.h"

namespace qloom::kernels {

/// A tail that does nothing but store the node's one result in each storage that is asked for: its
/// accumulator is a code of the result, or its value where it has no codes.
[[nodiscard]] Tail storing_tail(const ReferenceSpec& spec);
/// Yes where storing_tail can: the result has the batch first, and its codes fit 32 bits and have
/// one step.
[[nodiscard]] Verdict can_store(const ReferenceSpec& spec);
/// Yes where the operand is no constant, has the batch first, and is float32 or has codes of 32
/// bits with one step.
[[nodiscard]] Verdict can_read(const ReferenceSpec& spec, size_t operand);

}  // namespace qloom::kernels
