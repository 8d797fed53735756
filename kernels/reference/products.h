// kernels/reference/products.h: sums of products, for convolutions and dense layers.
//
// Both operands coded and the result too: integers, exact. x is on one step, w on one step per
// output channel, after codes whose step varies within a sum were multiplied by step / smallest
// step:
//   Σ x·w = (x step)·(w step)·Σ (x code)·(w code)
// Sums wrap modulo 2^32 or 2^64 on the way; the result lies in its interval, which fits.
// Else: float64 sums of the float32 values, in ascending order of (row, column, input channel),
// rounded once. This order is the definition, see graph/ops/conv.cc.
#pragma once

#include <functional>
#include <span>

#include "kernels/reference/reference.h"

namespace qloom::kernels::reference {

/// One spatial axis: output i and tap p meet position i·stride + p·dilation − before of the input,
/// whose elements lie `spread` apart (with zeros between them: a transposed convolution).
struct Axis {
  int64_t in = 1, out = 1, taps = 1, stride = 1, dilation = 1, before = 0;
  int64_t spread = 1;
  bool is_flipped = false;                           ///< the kernel's last tap is the first
  [[nodiscard]] int64_t first_tap(int64_t i) const;  ///< taps in [first, end) lie inside
  [[nodiscard]] int64_t end_tap(int64_t i) const;
  /// Element of the input; -1 between two.
  [[nodiscard]] int64_t at(int64_t i, int64_t tap) const {
    const int64_t position = i * stride + tap * dilation - before;
    if (spread == 1) return position;
    return position % spread == 0 ? position / spread : -1;
  }
  [[nodiscard]] int64_t stored_tap(int64_t tap) const { return is_flipped ? taps - 1 - tap : tap; }
};
/// Keras's padding; `out` is taken from the declared result.
[[nodiscard]] Axis axis_of(int64_t in, int64_t out, int64_t taps, int64_t stride, int64_t dilation,
                           std::string_view padding);

struct ProductShape {
  Axis rows, columns;
  int64_t inputs = 1;   ///< of one group
  int64_t outputs = 1;  ///< of all groups
  int64_t groups = 1;
};

/// Of a convolution or its transpose: extents from the types of `spec`, axes by axis(extents of x,
/// of the kernel and of the result along the i-th spatial axis, i).
[[nodiscard]] ProductShape product_shape(
    const ReferenceSpec& spec, std::span<const int64_t> strides, std::span<const int64_t> dilations,
    int64_t groups, const std::function<Axis(int64_t x, int64_t w, int64_t y, size_t i)>& axis);

/// x: operand 0, rows × columns × (inputs·groups); w: operand 1, taps × inputs × outputs.
[[nodiscard]] std::unique_ptr<ReferenceCall> make_products(const ReferenceSpec& spec,
                                                           const ProductShape& shape);

}  // namespace qloom::kernels::reference
