#pragma once

#include <cstdint>
#include <vector>

#include "kernels/tail/tail.h"

namespace qloom::passes {

/// Appends steps to a tail; equal steps and equal tables are shared.
class TailBuilder {
 public:
  explicit TailBuilder(int64_t channels) : channels_(channels) {}

  [[nodiscard]] kernels::Tail& tail() { return tail_; }
  int step(kernels::TailOp op, int a = -1, int b = -1, int c = -1, int index = -1);
  int accumulator() { return step(kernels::TailOp::accumulator); }
  int operand(int index) { return step(kernels::TailOp::operand, -1, -1, -1, index); }
  /// A constant per channel; all alike become one.
  int constant(std::vector<float> per_channel);
  int constant(std::vector<int32_t> per_channel);
  int real(float v) { return constant(std::vector<float>{v}); }
  int integer(int32_t v) { return constant(std::vector<int32_t>{v}); }
  /// How many of `rows` thresholds per channel are ≤ a; thresholds[row × columns + channel].
  int count_ge(int a, int rows, std::vector<int32_t> thresholds);
  /// Removes steps and tables that no output needs.
  void prune();

 private:
  int table(kernels::TailTable table);

  int64_t channels_;
  kernels::Tail tail_;
};

}  // namespace qloom::passes
