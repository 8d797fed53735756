#pragma once

#include <cstdint>
#include <memory>

#include "jit/emitter.h"

namespace qloom::jit {

/// Operations that a kernel executes, in full vectors of the target (a 64-byte value on a 32-byte
/// target counts twice), loops multiplied out.
struct Counts {
  /// Vector operations by the pipes that take them, as PortRates: vector_alu are those that any
  /// pipe takes (add, and, compare, integer minimum); loads and stores are instructions.
  double vector_alu = 0, shuffle = 0, multiply = 0, loads = 0, stores = 0, scalar = 0;
  double load_bytes = 0, store_bytes = 0;
  Counts& operator+=(const Counts&);
  [[nodiscard]] Counts scaled(double factor) const;
};

/// Runs a kernel's emit into an emitter that only counts: cost and code cannot drift apart. `count`
/// is the number of samples that the function is assumed to be called with, `items` the number of
/// work items of a sample, all of which it computes. Trip counts are folded
/// from constants and `count`; where one depends on more, the loop's `expected` is taken. What does
/// not change in a loop counts once, in front of it; conditions that are not known count as true.
[[nodiscard]] Counts count_operations(const FunctionSource& function, const Target& target,
                                      int64_t count, int64_t items = 1);

/// Predicted nanoseconds: the busiest port or all loaded bytes from the levels that hold
/// `working_set_bytes`, whichever is longer. The working set is what inner loops sweep again and
/// again, not the whole operand.
[[nodiscard]] double predicted_ns(const Counts& counts, const Target& target,
                                  int64_t working_set_bytes);

/// Nanoseconds that `bytes` take between the core and the caches that hold `working_set_bytes`.
[[nodiscard]] double streamed_ns(const Target& target, int64_t bytes, int64_t working_set_bytes);

}  // namespace qloom::jit
