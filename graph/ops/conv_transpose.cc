// graph/ops/conv_transpose.cc — the transpose of a convolution, channels last, in one or two
// dimensions, with groups.
//   y[j, k] = Σ_{i, c} x[i, g·C/groups + c] · kernel[p, c, k]   over inputs i and taps p with
//   i·stride + p·dilation = j + before, in both dimensions; g is the group of output channel k
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops/convolution.h"
#include "graph/ops/geometry.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}, {.name = "kernel"}};

using Shape2d = Convolution<TransposedAxis>;

Shape2d shape_2d(const ConvTranspose& conv, const Extents& x, const Extents& w) {
  return convolution_of<TransposedAxis>(x, w, conv.groups, [&](int64_t in, int64_t taps, size_t i) {
    const auto extra =
        conv.output_padding.empty() ? std::nullopt : std::optional(conv.output_padding[i]);
    return transposed_axis(in, taps, conv.strides[i], conv.dilations[i], conv.padding, extra);
  });
}

ConvTranspose checked(const InferContext& c) {
  auto conv = from_attributes<ConvTranspose>(c.node.attributes);
  check_convolution(c, conv.strides, conv.dilations, conv.groups);
  const size_t spatial = conv.strides.size();
  check(c, conv.output_padding.empty() || conv.output_padding.size() == spatial,
        "output_padding has ", conv.output_padding.size(), " entries, expected ", spatial);
  for (size_t i = 0; i < conv.output_padding.size(); ++i)
    check(c, conv.output_padding[i] >= 0 && conv.output_padding[i] < conv.strides[i],
          "an output padding has to be below its stride");
  check(c, conv.padding != Padding::causal, "padding 'causal' has no transpose");
  return conv;
}

std::vector<TensorType> infer(const InferContext& c) {
  const ConvTranspose conv = checked(c);
  const TensorType &x = c.operands[0], &w = c.operands[1];
  const Shape2d g = shape_2d(conv, qloom::bind(x.shape, 1), qloom::bind(w.shape, 1));
  check(c, g.rows.out >= 1 && g.columns.out >= 1, "the result is empty");
  Shape shape = g.result_shape(x.shape);

  const auto s = sum_of_products(x, w);
  if (!s) return {{shape, Numeric::float32(), {}}};
  // At the borders any tap may meet nothing.
  const int64_t lo = std::min<int64_t>(s->x.lo, 0), hi = std::max<int64_t>(s->x.hi, 0);
  // An output sees the taps of one phase: those that differ by multiples of its stride.
  const auto phase = [](const TransposedAxis& a, int64_t tap) {
    return tap * a.dilation % a.stride;
  };
  const auto k = static_cast<size_t>(g.outputs);
  SumInterval all;
  std::vector<int64_t> storage;
  std::span<const int64_t> codes;
  if (c.constants[1]) codes = s->signed_w_codes(*c.constants[1]->constant, storage);
  for (int64_t first = 0; first < std::min(g.rows.stride, g.rows.taps * g.rows.dilation); ++first)
    for (int64_t second = 0;
         second < std::min(g.columns.stride, g.columns.taps * g.columns.dilation); ++second) {
      ChannelSums sums(codes.empty() ? 0 : k, s->w);
      SumInterval any;
      for (int64_t r = 0; r < g.rows.taps; ++r)
        for (int64_t t = 0; t < g.columns.taps; ++t) {
          if (phase(g.rows, r) != first || phase(g.columns, t) != second) continue;
          if (codes.empty()) {
            SumInterval low, high;
            low.add(s->w.lo, lo, hi);
            high.add(s->w.hi, lo, hi);
            any.lo += std::min(low.lo, high.lo) * g.inputs;
            any.hi += std::max(low.hi, high.hi) * g.inputs;
            continue;
          }
          const size_t tap_size = static_cast<size_t>(g.inputs) * k;
          sums.add(codes.subspan(static_cast<size_t>(r * g.columns.taps + t) * tap_size, tap_size),
                   lo, hi);
        }
      const SumInterval one = codes.empty() ? any : sums.hull();
      all = {std::min(all.lo, one.lo), std::max(all.hi, one.hi)};
    }
  return {s->type(std::move(shape), all.lo, all.hi)};
}

// Sums in ascending order of (input row, input column, input channel) for each output.
template <class T>
std::vector<T> convolve(const Shape2d& g, int64_t samples, const std::vector<T>& x,
                        const std::vector<T>& w) {
  const int64_t per_group = g.outputs / g.groups, channels = g.inputs * g.groups;
  std::vector<T> out(static_cast<size_t>(samples * g.rows.out * g.columns.out * g.outputs), T{0});
  T* sums = out.data();
  for (int64_t n = 0; n < samples; ++n)
    for (int64_t i = 0; i < g.rows.out; ++i)
      for (int64_t j = 0; j < g.columns.out; ++j, sums += g.outputs)
        for (int64_t row = 0; row < g.rows.in; ++row)
          for (int64_t column = 0; column < g.columns.in; ++column) {
            const int64_t r = g.rows.tap(row, i), t = g.columns.tap(column, j);
            if (r < 0 || t < 0) continue;
            const T* pixel =
                &x[static_cast<size_t>(((n * g.rows.in + row) * g.columns.in + column) * channels)];
            const T* tap = &w[static_cast<size_t>((r * g.columns.taps + t) * g.inputs * g.outputs)];
            for (int64_t group = 0; group < g.groups; ++group)
              for (int64_t c = 0; c < g.inputs; ++c)
                for (int64_t k = group * per_group; k < (group + 1) * per_group; ++k)
                  sums[k] += pixel[group * g.inputs + c] * tap[c * g.outputs + k];
          }
  return out;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto conv = from_attributes<ConvTranspose>(c.node.attributes);
  const Extents &x = c.operands[0].data.extents(), &w = c.operands[1].data.extents();
  const Shape2d g = shape_2d(conv, x, w);
  return evaluate_convolution(c, g, [&](const auto& values, const auto& weights) {
    return convolve(g, x[0], values, weights);
  });
}

// Every input meets every tap, those included whose output is cut off.
OpCounts count(const Node&, std::span<const TensorType> operands, std::span<const TensorType>) {
  const Shape &x = operands[0].shape, &w = operands[1].shape;
  return {.multiply_accumulates =
              elements_per_sample(x) / x.back().extent() * elements_per_sample(w)};
}

}  // namespace

extern constinit const OpDef conv_transpose{
    .name = "conv_transpose",
    .doc =
        "The transpose of a convolution of x [N, H, W, C] or [N, T, C]: exact where both operands "
        "have codes whose scales factor out of the sum, else summed in float64 in ascending order "
        "of the inputs and rounded once.",
    .operands = kOperands,
    .attrs = attrs_of<ConvTranspose>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
