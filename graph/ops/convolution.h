#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "graph/ops/common.h"
#include "graph/ops/sum_of_products.h"
#include "graph/support/error.h"

// What a convolution and its transpose have in common: operands, checks, the two ways to sum.

namespace qloom::ops {

/// Two spatial axes always: the first is trivial in the 1-D case.
template <class Axis>
struct Convolution {
  Axis rows, columns;
  int64_t inputs = 1, outputs = 1, groups = 1;  ///< inputs: of one group

  [[nodiscard]] Shape result_shape(const Shape& x) const {
    Shape shape{x[0]};
    if (x.size() == 4) shape.emplace_back(rows.out);
    shape.emplace_back(columns.out);
    shape.emplace_back(outputs);
    return shape;
  }
};

/// axis(extent of x, extent of the kernel, i) makes the i-th spatial axis.
template <class Axis, class MakeAxis>
Convolution<Axis> convolution_of(const Extents& x, const Extents& w, int64_t groups,
                                 const MakeAxis& axis) {
  Convolution<Axis> s;
  const size_t last = x.size() - 3;
  if (last > 0) s.rows = axis(x[1], w[0], size_t{0});
  s.columns = axis(x[last + 1], w[last], last);
  s.groups = groups;
  s.inputs = w[w.size() - 2];
  s.outputs = w.back();
  return s;
}

/// Throws where ranks, strides, dilations, groups or channels of x [N, (H,) W, C] and the kernel do
/// not fit each other.
void check_convolution(const InferContext& c, const std::vector<int64_t>& strides,
                       const std::vector<int64_t>& dilations, int64_t groups);

/// Largest magnitude among codes, which are int64_t in two's complement.
[[nodiscard]] uint64_t largest_magnitude(const std::vector<uint64_t>& codes);

/// Exact sums of codes where the result wants them, else float64 sums rounded once to float32.
/// convolve(x, w) sums vectors of one type in the op's order.
template <class Axis, class Convolve>
std::vector<RuntimeValue> evaluate_convolution(const EvaluateContext& c, const Convolution<Axis>& g,
                                               const Convolve& convolve) {
  const Extents& x = c.operands[0].data.extents();
  Extents extents{x[0]};
  if (x.size() == 4) extents.push_back(g.rows.out);
  extents.push_back(g.columns.out);
  extents.push_back(g.outputs);
  if (wants_codes(c)) {
    const auto s = sum_of_products(c.operands[0].type, c.operands[1].type);
    qloom_assert(s, label(c.node), ": the operands' scales do not factor out");
    const std::vector<uint64_t> xs = s->x_codes(c.operands[0]), ws = s->w_codes(c.operands[1].data);
    // Any order and any part of such a sum stays within 31 bits. Processors multiply several of
    // these at once, so networks run twice as fast here.
    constexpr uint64_t kLimit = uint64_t{1} << 31;
    const uint64_t x_largest = std::min(kLimit, largest_magnitude(xs)),
                   w_largest = std::min(kLimit, largest_magnitude(ws));
    const auto terms = static_cast<uint64_t>(g.rows.taps * g.columns.taps * g.inputs);
    if (static_cast<unsigned __int128>(x_largest * w_largest) * terms < kLimit) {
      const auto sums = convolve(std::vector<uint32_t>(xs.begin(), xs.end()),
                                 std::vector<uint32_t>(ws.begin(), ws.end()));
      std::vector<int64_t> codes;
      codes.reserve(sums.size());
      for (const uint32_t sum : sums) codes.push_back(static_cast<int32_t>(sum));
      return single(result(c, extents, std::move(codes)));
    }
    const auto sums = convolve(xs, ws);
    return single(result(c, extents, std::vector<int64_t>(sums.begin(), sums.end())));
  }
  const Tensor fx = to_f32(c.operands[0]), fw = to_f32(c.operands[1]);
  const auto sums = convolve(std::vector<double>(fx.f32().begin(), fx.f32().end()),
                             std::vector<double>(fw.f32().begin(), fw.f32().end()));
  return single(result(c, extents, std::vector<float>(sums.begin(), sums.end())));
}

}  // namespace qloom::ops
