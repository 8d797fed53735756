// graph/ops/conv.cc — correlation, channels last, in one or two dimensions, with groups.
//   y[i, j, k] = Σ_{r, s, c} x[i·stride + r·dilation − before, …, g·C/groups + c] · kernel[r, s, c,
//   k]
// where g is the group of output channel k; taps outside of x count as zero.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops/geometry.h"
#include "graph/ops/sum_of_products.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}, {.name = "kernel"}};

constexpr int64_t kMaxStep = int64_t{1} << 31;  // products with extents stay within int64

// Two spatial axes always: the first is trivial in the 1-D case.
struct Shape2d {
  SpatialAxis rows, columns;
  int64_t inputs = 1, outputs = 1, groups = 1;  // inputs: of one group
};

Shape2d shape_2d(const Conv& conv, const Extents& x, const Extents& w) {
  Shape2d s;
  const bool flat = x.size() == 3;
  if (!flat) s.rows = spatial_axis(x[1], w[0], conv.strides[0], conv.dilations[0], conv.padding);
  s.columns = spatial_axis(x[x.size() - 2], w[w.size() - 3], conv.strides.back(),
                           conv.dilations.back(), conv.padding);
  s.groups = conv.groups;
  s.inputs = w[w.size() - 2];
  s.outputs = w.back();
  return s;
}

Conv checked(const InferContext& c) {
  auto conv = from_attributes<Conv>(c.node.attributes);
  const TensorType &x = c.operands[0], &w = c.operands[1];
  check(c, x.rank() == 3 || x.rank() == 4, "x has ", x.rank(),
        " axes, expected [N, H, W, C] or [N, T, C]");
  check(c, w.rank() == x.rank(), "the kernel has ", w.rank(), " axes, x has ", x.rank());
  const auto spatial = static_cast<size_t>(x.rank() - 2);
  check(c, conv.strides.size() == spatial && conv.dilations.size() == spatial, "strides has ",
        conv.strides.size(), " and dilations ", conv.dilations.size(), " entries, expected ",
        spatial);
  for (size_t i = 0; i < spatial; ++i)
    check(c,
          conv.strides[i] >= 1 && conv.dilations[i] >= 1 && conv.strides[i] < kMaxStep &&
              conv.dilations[i] < kMaxStep,
          "strides ", conv.strides[i], " and dilations ", conv.dilations[i],
          " have to be positive and below 2^31");
  check(c, conv.padding != Padding::causal || spatial == 1, "padding 'causal' needs [N, T, C]");
  for (size_t i = 1; i < x.shape.size(); ++i)
    check(c, x.shape[i].is_static(), "x has the batch symbol on axis ", i);
  for (size_t i = 0; i < w.shape.size(); ++i)
    check(c, w.shape[i].is_static() && w.shape[i].extent() >= 1, "the kernel is empty");
  const int64_t channels = x.shape.back().extent(), inputs = w.shape[spatial].extent(),
                outputs = w.shape.back().extent();
  check(c, conv.groups >= 1 && outputs % conv.groups == 0, outputs,
        " output channels are not divisible into ", conv.groups, " groups");
  check(c, inputs * conv.groups == channels, "kernel has ", inputs, " input channels",
        conv.groups > 1 ? join_text(" in each of ", conv.groups, " groups") : "", ", x has ",
        channels);
  return conv;
}

std::vector<TensorType> infer(const InferContext& c) {
  const Conv conv = checked(c);
  const TensorType &x = c.operands[0], &w = c.operands[1];
  const Shape2d g = shape_2d(conv, qloom::bind(x.shape, 1), qloom::bind(w.shape, 1));
  check(c, g.rows.out >= 1 && g.columns.out >= 1, "the kernel does not fit into x");
  Shape shape{x.shape[0]};
  if (x.rank() == 4) shape.emplace_back(g.rows.out);
  shape.emplace_back(g.columns.out);
  shape.emplace_back(g.outputs);

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
  Extents extents{x[0]};
  if (x.size() == 4) extents.push_back(g.rows.out);
  extents.push_back(g.columns.out);
  extents.push_back(g.outputs);
  if (wants_codes(c)) {
    const auto s = sum_of_products(c.operands[0].type, c.operands[1].type);
    qloom_assert(s, label(c.node), ": the operands' scales do not factor out");
    const auto sums = convolve(g, x[0], s->x_codes(c.operands[0]), s->w_codes(c.operands[1].data));
    return single(result(c, extents, std::vector<int64_t>(sums.begin(), sums.end())));
  }
  const Tensor fx = to_f32(c.operands[0]), fw = to_f32(c.operands[1]);
  const auto sums = convolve(g, x[0], std::vector<double>(fx.f32().begin(), fx.f32().end()),
                             std::vector<double>(fw.f32().begin(), fw.f32().end()));
  return single(result(c, extents, std::vector<float>(sums.begin(), sums.end())));
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
