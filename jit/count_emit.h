#pragma once

#include <cstdint>
#include <memory>

#include "jit/emitter.h"

namespace qloom::jit {

/// Operations that a kernel executes, in full vectors of the target (a 64-byte value on a 32-byte
/// target counts twice), loops multiplied out.
struct Counts {
  double vector_alu = 0, shuffle = 0, multiply = 0, loads = 0, stores = 0, scalar = 0;
  double load_bytes = 0, store_bytes = 0;
  Counts& operator+=(const Counts&);
  [[nodiscard]] Counts scaled(double factor) const;
};

/// Runs a kernel's emit into an emitter that only counts: cost and code cannot drift apart. `count`
/// is the number of samples that the function is assumed to be called with.
[[nodiscard]] Counts count_operations(const FunctionSource& function, const Target& target,
                                      int64_t count);

/// Predicted nanoseconds: the busiest port or the bytes from the level that holds `working_set`,
/// whichever is longer.
[[nodiscard]] double predicted_ns(const Counts& counts, const Target& target,
                                  int64_t working_set_bytes);

}  // namespace qloom::jit
