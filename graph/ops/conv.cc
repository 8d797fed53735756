// graph/ops/conv.cc — correlation, channels last, in one or two dimensions, with groups.
//   y[i, j, k] = Σ_{r, s, c} x[i·stride + r·dilation − before, …, g·C/groups + c] · kernel[r, s, c,
//   k]
// where g is the group of output channel k; taps outside of x count as zero.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops/convolution.h"
#include "graph/ops/geometry.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}, {.name = "kernel"}};

using Shape2d = Convolution<SpatialAxis>;

Shape2d shape_2d(const Conv& conv, const Extents& x, const Extents& w) {
  return convolution_of<SpatialAxis>(x, w, conv.groups, [&](int64_t in, int64_t taps, size_t i) {
    return spatial_axis(in, taps, conv.strides[i], conv.dilations[i], conv.padding);
  });
}

Conv checked(const InferContext& c) {
  auto conv = from_attributes<Conv>(c.node.attributes);
  check_convolution(c, conv.strides, conv.dilations, conv.groups);
  check(c, conv.padding != Padding::causal || conv.strides.size() == 1,
        "padding 'causal' needs [N, T, C]");
  return conv;
}

std::vector<TensorType> infer(const InferContext& c) {
  const Conv conv = checked(c);
  const TensorType &x = c.operands[0], &w = c.operands[1];
  const Shape2d g = shape_2d(conv, qloom::bind(x.shape, 1), qloom::bind(w.shape, 1));
  check(c, g.rows.out >= 1 && g.columns.out >= 1, "the kernel does not fit into x");
  Shape shape = g.result_shape(x.shape);

  const auto s = sum_of_products(x, w);
  if (!s) return {{shape, Numeric::float32(), {}}};
  // A tap that some output drops meets zero there.
  const auto range = [&](int64_t r, int64_t t) {
    const bool drop = g.rows.may_drop(r) || g.columns.may_drop(t);
    return std::pair(drop ? std::min<int64_t>(s->x.lo, 0) : s->x.lo,
                     drop ? std::max<int64_t>(s->x.hi, 0) : s->x.hi);
  };
  const auto k = static_cast<size_t>(g.outputs);
  SumInterval all;
  if (c.constants[1]) {
    std::vector<int64_t> storage;
    const auto codes = s->signed_w_codes(*c.constants[1]->constant, storage);
    ChannelSums sums(k, s->w);
    const size_t tap_size = static_cast<size_t>(g.inputs) * k;
    for (int64_t r = 0; r < g.rows.taps; ++r)
      for (int64_t t = 0; t < g.columns.taps; ++t) {
        const auto [lo, hi] = range(r, t);
        sums.add(codes.subspan(static_cast<size_t>(r * g.columns.taps + t) * tap_size, tap_size),
                 lo, hi);
      }
    all = sums.hull();
  } else {
    for (int64_t r = 0; r < g.rows.taps; ++r)
      for (int64_t t = 0; t < g.columns.taps; ++t) {
        const auto [lo, hi] = range(r, t);
        SumInterval low, high;
        low.add(s->w.lo, lo, hi);
        high.add(s->w.hi, lo, hi);
        all.lo += std::min(low.lo, high.lo) * g.inputs;
        all.hi += std::max(low.hi, high.hi) * g.inputs;
      }
  }
  return {s->type(std::move(shape), all.lo, all.hi)};
}

// Sums in ascending order of (row, column, input channel) for each output.
template <class T>
std::vector<T> convolve(const Shape2d& g, int64_t samples, const std::vector<T>& x,
                        const std::vector<T>& w) {
  const int64_t per_group = g.outputs / g.groups, channels = g.inputs * g.groups;
  std::vector<T> out(static_cast<size_t>(samples * g.rows.out * g.columns.out * g.outputs), T{0});
  T* sums = out.data();
  for (int64_t n = 0; n < samples; ++n)
    for (int64_t i = 0; i < g.rows.out; ++i)
      for (int64_t j = 0; j < g.columns.out; ++j, sums += g.outputs)
        for (int64_t r = 0; r < g.rows.taps; ++r)
          for (int64_t t = 0; t < g.columns.taps; ++t) {
            if (!g.rows.inside(i, r) || !g.columns.inside(j, t)) continue;
            const T* pixel = &x[static_cast<size_t>(
                ((n * g.rows.in + g.rows.at(i, r)) * g.columns.in + g.columns.at(j, t)) *
                channels)];
            const T* tap = &w[static_cast<size_t>((r * g.columns.taps + t) * g.inputs * g.outputs)];
            for (int64_t group = 0; group < g.groups; ++group)
              for (int64_t c = 0; c < g.inputs; ++c) {
                const T value = pixel[group * g.inputs + c];
                const T* row = tap + c * g.outputs + group * per_group;
                T* sum = sums + group * per_group;
                for (int64_t k = 0; k < per_group; ++k) sum[k] += value * row[k];
              }
          }
  return out;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto conv = from_attributes<Conv>(c.node.attributes);
  const Extents &x = c.operands[0].data.extents(), &w = c.operands[1].data.extents();
  const Shape2d g = shape_2d(conv, x, w);
  return evaluate_convolution(c, g, [&](const auto& values, const auto& weights) {
    return convolve(g, x[0], values, weights);
  });
}

OpCounts count(const Node&, std::span<const TensorType> operands,
               std::span<const TensorType> results) {
  const Shape& w = operands[1].shape;
  return {.multiply_accumulates =
              elements_per_sample(results[0].shape) * elements_per_sample(w) / w.back().extent()};
}

}  // namespace

extern constinit const OpDef conv{
    .name = "conv",
    .doc =
        "Correlation of x [N, H, W, C] or [N, T, C] with a kernel, with strides, dilations, "
        "padding "
        "and groups: exact where both have codes whose scales factor out of the sum, else summed "
        "in float64 in ascending order and rounded once.",
    .operands = kOperands,
    .attrs = attrs_of<Conv>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
