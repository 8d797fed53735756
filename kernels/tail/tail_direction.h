// kernels/tail/tail_direction.h: where the results of a tail only rise, or only fall, with the sum.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/tail/tail.h"

namespace qloom::kernels {

/// How a step's value goes with the accumulator: each op and constant is looked at, nothing is run.
/// Integers are taken not to wrap, as the tail's proof says of every accumulator that occurs.
enum class TailDirection : uint8_t { constant, rises, falls, unknown };
[[nodiscard]] TailDirection direction_of(const Tail& tail, int step, int64_t channel);

/// Calls found(i) in ascending order for each i in (lo, hi] with value(i) != value(i - 1), value
/// being monotone: a few calls of it for each.
void for_changes(int64_t lo, int64_t hi, const std::function<int64_t(int64_t)>& value,
                 const std::function<void(int64_t)>& found);

}  // namespace qloom::kernels
