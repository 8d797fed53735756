#pragma once

#include <optional>
#include <span>
#include <vector>

#include "graph/ops/common.h"

namespace qloom::ops {

/// How a sum of products x·w is carried as an exact integer: x on one step, w on one step per
/// output channel, so that Σ x·w = (x step)·(w step)·Σ (x code)·(w code).
///
/// 1. A scale that does not change along the summed axes factors out of the sum.
/// 2. A scale that does change factors out after re-expressing the codes on a finer grid, if all
/// its
///    values are powers of two: code' = code · (step / smallest step).
struct SumOfProducts {
  double x_scale = 1;  ///< scale left outside of the sum
  int x_fraction = 0;
  Numeric::Grid x;              ///< interval of the codes that are summed
  std::vector<double> w_scale;  ///< one, or one per output channel
  int w_fraction = 0;
  Numeric::Grid w;
  /// Factors of single elements (rule 2), spread over the kernel's extents; empty: all 1.
  std::vector<int64_t> w_factors;
  /// Exponent of x's common grid under rule 2; none: codes are used as they are.
  std::optional<int> x_exponent;

  /// The codes that are summed.
  [[nodiscard]] std::vector<uint64_t> x_codes(const RuntimeValue& x) const;
  [[nodiscard]] std::vector<uint64_t> w_codes(const Tensor& codes) const;
  /// The same, signed: `codes` themselves or, where they have factors, what `storage` is set to.
  [[nodiscard]] std::span<const int64_t> signed_w_codes(const Tensor& codes,
                                                        std::vector<int64_t>& storage) const;
  /// Result type for sums within [lo, hi]; float32 when they leave ±2^62.
  [[nodiscard]] TensorType type(Shape shape, __int128 lo, __int128 hi) const;
};

/// None when the operands have no codes or their scales do not factor out. The kernel's last axis
/// is the output channel, all others are summed (a group's or depthwise kernel included: there the
/// other axes are summed within the group).
[[nodiscard]] std::optional<SumOfProducts> sum_of_products(const TensorType& x,
                                                           const TensorType& w);

/// Interval of a sum: grows tap by tap.
struct SumInterval {
  __int128 lo = 0, hi = 0;
  /// Adds w·x for x in [x_lo, x_hi].
  void add(int64_t w, int64_t x_lo, int64_t x_hi) {
    const __int128 a = static_cast<__int128>(w) * x_lo, b = static_cast<__int128>(w) * x_hi;
    lo += a < b ? a : b;
    hi += a < b ? b : a;
  }
};

/// Intervals of the sums of all output channels, which see the same taps.
class ChannelSums {
 public:
  /// Weights within `w`.
  ChannelSums(size_t channels, const Numeric::Grid& w);
  /// Adds products of x in [x_lo, x_hi] with `codes`, whose last axis is the channel.
  void add(std::span<const int64_t> codes, int64_t x_lo, int64_t x_hi);
  /// What all channels lie in.
  [[nodiscard]] SumInterval hull() const;

 private:
  std::vector<SumInterval> sums_;
  std::vector<int64_t> positive_, negative_;  ///< sums of the codes of either sign
  size_t block_ = 1;                          ///< values of one channel whose sum is an int64_t
};

}  // namespace qloom::ops
