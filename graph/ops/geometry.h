#pragma once

#include <cstdint>
#include <optional>

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

/// One spatial axis of a transposed convolution: output j and tap p meet the input i for which
/// i·stride + p·dilation = j + before, where there is one.
struct TransposedAxis {
  int64_t in = 1, taps = 1, stride = 1, dilation = 1;
  int64_t out = 1;
  int64_t before = 0;  ///< outputs cut off in front

  /// The tap by which input i reaches output j, or -1.
  [[nodiscard]] int64_t tap(int64_t i, int64_t j) const {
    const int64_t reach = j + before - i * stride;
    if (reach < 0 || reach % dilation != 0 || reach / dilation >= taps) return -1;
    return reach / dilation;
  }
};

///   k' = (taps − 1)·dilation + 1
///   without output padding   same: out = in·stride    valid: out = in·stride + max(k' − stride, 0)
///   with it                  out = (in − 1)·stride + k' − (same: 2·floor(k'/2)) + output padding
///   before = same: max((in − 1)·stride + k' − out, 0) / 2, valid: 0
[[nodiscard]] inline TransposedAxis transposed_axis(int64_t in, int64_t taps, int64_t stride,
                                                    int64_t dilation, Padding padding,
                                                    std::optional<int64_t> output_padding) {
  TransposedAxis a{.in = in, .taps = taps, .stride = stride, .dilation = dilation};
  const int64_t reach = (taps - 1) * dilation + 1;
  const bool same = padding == Padding::same;
  if (output_padding)
    a.out = (in - 1) * stride + reach - (same ? 2 * (reach / 2) : 0) + *output_padding;
  else
    a.out = in * stride + (same || reach < stride ? 0 : reach - stride);
  const int64_t excess = (in - 1) * stride + reach - a.out;
  a.before = same && excess > 0 ? excess / 2 : 0;
  return a;
}

}  // namespace qloom::ops
