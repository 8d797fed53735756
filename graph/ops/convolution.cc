#include "graph/ops/convolution.h"

#include <algorithm>

namespace qloom::ops {
namespace {

constexpr int64_t kMaxStep = int64_t{1} << 31;  // products with extents stay within int64

}  // namespace

void check_convolution(const InferContext& c, const std::vector<int64_t>& strides,
                       const std::vector<int64_t>& dilations, int64_t groups) {
  const TensorType &x = c.operands[0], &w = c.operands[1];
  check(c, x.rank() == 3 || x.rank() == 4, "x has ", x.rank(),
        " axes, expected [N, H, W, C] or [N, T, C]");
  check(c, w.rank() == x.rank(), "the kernel has ", w.rank(), " axes, x has ", x.rank());
  const auto spatial = static_cast<size_t>(x.rank() - 2);
  check(c, strides.size() == spatial && dilations.size() == spatial, "strides has ", strides.size(),
        " and dilations ", dilations.size(), " entries, expected ", spatial);
  for (size_t i = 0; i < spatial; ++i)
    check(c,
          strides[i] >= 1 && dilations[i] >= 1 && strides[i] < kMaxStep && dilations[i] < kMaxStep,
          "strides ", strides[i], " and dilations ", dilations[i],
          " have to be positive and below 2^31");
  for (size_t i = 1; i < x.shape.size(); ++i)
    check(c, x.shape[i].is_static(), "x has the batch symbol on axis ", i);
  for (size_t i = 0; i < w.shape.size(); ++i)
    check(c, w.shape[i].is_static() && w.shape[i].extent() >= 1, "the kernel is empty");
  const int64_t channels = x.shape.back().extent(), inputs = w.shape[spatial].extent(),
                outputs = w.shape.back().extent();
  check(c, groups >= 1 && outputs % groups == 0, outputs,
        " output channels are not divisible into ", groups, " groups");
  check(c, inputs * groups == channels, "kernel has ", inputs, " input channels",
        groups > 1 ? join_text(" in each of ", groups, " groups") : "", ", x has ", channels);
}

uint64_t largest_magnitude(const std::vector<uint64_t>& codes) {
  uint64_t largest = 0;
  for (const uint64_t code : codes) {
    const bool is_negative = static_cast<int64_t>(code) < 0;
    largest = std::max(largest, is_negative ? 0 - code : code);
  }
  return largest;
}

}  // namespace qloom::ops
