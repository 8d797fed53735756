#pragma once

#include <cstdint>

#include "graph/ops/attributes.h"

namespace qloom::ops {

/// One spatial axis of a convolution or pooling, by Keras's rules: output i and tap p meet input
/// i·stride + p·dilation − before, where that lies inside [0, in).
struct SpatialAxis {
  int64_t in = 1, taps = 1, stride = 1, dilation = 1;
  int64_t out = 1;
  int64_t before = 0, after = 0;  ///< zeros before and after the input

  [[nodiscard]] int64_t at(int64_t i, int64_t p) const {
    return i * stride + p * dilation - before;
  }
  [[nodiscard]] bool inside(int64_t i, int64_t p) const {
    const int64_t x = at(i, p);
    return x >= 0 && x < in;
  }
  /// True when some output's tap p lies outside of the input.
  [[nodiscard]] bool may_drop(int64_t p) const {
    return out > 0 && (!inside(0, p) || !inside(out - 1, p));
  }
};

///   k' = (taps − 1)·dilation + 1
///   valid:  out = ceil((in − k' + 1) / stride)
///   same:   out = ceil(in / stride), total = max((out − 1)·stride + k' − in, 0), before = total /
///   2 causal: dilation·(taps − 1) zeros before, then valid
/// `out` is 0 or negative where the kernel does not fit.
[[nodiscard]] inline SpatialAxis spatial_axis(int64_t in, int64_t taps, int64_t stride,
                                              int64_t dilation, Padding padding) {
  SpatialAxis a{.in = in, .taps = taps, .stride = stride, .dilation = dilation};
  const int64_t reach = (taps - 1) * dilation + 1;
  const auto ceil_div = [](int64_t n, int64_t d) { return n <= 0 ? 0 : (n + d - 1) / d; };
  switch (padding) {
    case Padding::valid:
      a.out = ceil_div(in - reach + 1, stride);
      break;
    case Padding::same: {
      a.out = ceil_div(in, stride);
      const int64_t total = (a.out - 1) * stride + reach - in;
      a.before = total > 0 ? total / 2 : 0;
      a.after = total > 0 ? total - a.before : 0;
      break;
    }
    case Padding::causal:
      a.before = reach - 1;
      a.out = ceil_div(in, stride);
      break;
  }
  return a;
}

}  // namespace qloom::ops
