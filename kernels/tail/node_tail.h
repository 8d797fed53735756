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

/// The channels of a run in vectors: body(first channel, valid lanes).
template <class Body>
void emit_vectors(jit::Emitter& e, int64_t n, int lanes, const Body& body) {
  const int64_t whole = n / lanes * lanes;
  if (whole == lanes)
    body(e.integer(0), lanes);
  else if (whole > 0)
    e.loop("channels", e.integer(0), e.integer(whole), lanes, 0,
           [&](jit::Value channel) { body(channel, lanes); });
  if (whole < n) body(e.integer(whole), static_cast<int>(n - whole));
}

}  // namespace qloom::kernels
