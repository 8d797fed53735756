// graph/ops/reduce.cc — sum, mean, maximum or minimum over whole axes. The sum is exact where x has
// codes on one step along the reduced axes, else taken in float64 in ascending order and rounded
// once; the mean is that sum in float32, divided once by the count.
#include <algorithm>
#include <bit>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};

Attributes attrs(const Attributes& given) {
  auto a = from_attributes<Reduce>(given);
  std::sort(a.axes.begin(), a.axes.end());
  return to_attributes(a);
}

bool is_reduced(const Reduce& r, size_t axis) {
  return std::find(r.axes.begin(), r.axes.end(), static_cast<int64_t>(axis)) != r.axes.end();
}

template <class List>
List without(const Reduce& r, const List& list) {
  List out;
  for (size_t i = 0; i < list.size(); ++i)
    if (!is_reduced(r, i))
      out.push_back(list[i]);
    else if (r.keep_dims)
      out.push_back(1);
  return out;
}

// The scale of x, which does not change along the reduced axes, for the result.
Scale reduced_scale(const Reduce& r, const TensorType& x) {
  if (x.scale.is_per_tensor()) return x.scale;
  const Tensor values = x.scale.values();
  Extents full(static_cast<size_t>(x.rank() - values.rank()), 1);
  full.insert(full.end(), values.extents().begin(), values.extents().end());
  return Scale::constant(values.reshaped(without(r, full)));
}

bool is_extreme(ReduceKind kind) { return kind == ReduceKind::max || kind == ReduceKind::min; }

// What a mean divides by.
int64_t divisor_of(const Reduce& r, const Extents& x) {
  int64_t n = 1;
  for (const int64_t axis : r.axes) n *= x[static_cast<size_t>(axis)];
  return std::max<int64_t>(n - r.correction, 1);
}

// Mean on a power-of-two grid: the sum's code on a grid finer by the count.
std::optional<PowerGrid> mean_grid(const TensorType& x, int64_t count) {
  const auto grid = power_grid(x);
  if (!grid || count < 1 || !std::has_single_bit(static_cast<uint64_t>(count))) return std::nullopt;
  const auto finer =
      on_exponent(*grid, grid->exponent - std::countr_zero(static_cast<uint64_t>(count)));
  if (!finer || !finer->within(kExactCodes)) return std::nullopt;
  return finer;
}

std::vector<TensorType> infer(const InferContext& c) {
  const auto r = from_attributes<Reduce>(c.node.attributes);
  const TensorType& x = c.operands[0];
  check(c, !r.axes.empty(), "no axis to reduce");
  for (size_t i = 0; i < r.axes.size(); ++i) {
    check(c, r.axes[i] >= 0 && r.axes[i] < x.rank(), "axis ", r.axes[i], " is not an axis of x");
    check(c, i == 0 || r.axes[i] != r.axes[i - 1], "axis ", r.axes[i], " is there twice");
    const Dim d = x.shape[static_cast<size_t>(r.axes[i])];
    check(c, d.is_static() || r.over_batch, "axis ", r.axes[i],
          " is the batch axis, which is reduced only where over_batch says so");
    check(c, d.is_batch() || d.extent() >= 1, "axis ", r.axes[i], " is empty");
  }
  check(c, r.correction >= 0 && (r.correction == 0 || r.kind == ReduceKind::mean),
        "a correction of ", r.correction, "; only a mean has one, and it is not negative");
  const Shape shape = without(r, x.shape);
  const TensorType plain{shape, Numeric::float32(), {}};
  int64_t count = 1;
  bool is_counted = true;
  for (const int64_t axis : r.axes) {
    const Dim d = x.shape[static_cast<size_t>(axis)];
    is_counted = is_counted && d.is_static();
    if (d.is_static()) count *= d.extent();
  }
  if (r.kind == ReduceKind::mean) {
    const auto grid = is_counted && r.correction == 0 ? mean_grid(x, count) : std::nullopt;
    return {grid ? TensorType{shape, grid->numeric(), {}} : plain};
  }
  if (!x.has_codes() || !constant_along(x.scale, x.rank(), r.axes)) return {plain};
  const Scale scale = reduced_scale(r, x);
  if (is_extreme(r.kind))
    return {is_positive(x.scale) ? TensorType{shape, x.numeric, scale} : plain};
  if (!is_counted) return {plain};
  const Numeric::Grid grid = *x.numeric.grid();
  const Numeric total = product(Numeric::integers(grid.lo, grid.hi, grid.fraction),
                                Numeric::integers(count, count, 0));
  if (total.is_float32()) return {plain};
  return {{shape, total, scale}};
}

// Visits x in order with the index of the result that each element goes to.
template <class Visit>
void for_each_element(const Reduce& r, const Extents& x, Visit&& visit) {
  std::vector<int64_t> to(x.size(), 0);
  int64_t stride = 1;
  for (size_t i = x.size(); i-- > 0;)
    if (!is_reduced(r, i)) {
      to[i] = stride;
      stride *= x[i];
    }
  const std::vector<int64_t> none(x.size(), 0);
  for_each_offset(x, to, none, [&](int64_t i, int64_t o, int64_t) {
    visit(static_cast<size_t>(i), static_cast<size_t>(o));
  });
}

template <class T, class X>
std::vector<T> sum_up(const Reduce& r, const Extents& extents, size_t results, const X& x) {
  std::vector<T> out(results, T{0});
  for_each_element(r, extents, [&](size_t i, size_t o) { out[o] += static_cast<T>(x[i]); });
  return out;
}

template <class T>
std::vector<T> extreme(const Reduce& r, const Extents& extents, size_t results,
                       std::span<const T> x) {
  std::vector<T> out(results);
  std::vector<bool> seen(results, false);
  for_each_element(r, extents, [&](size_t i, size_t o) {
    const bool is_further = r.kind == ReduceKind::max ? x[i] > out[o] : x[i] < out[o];
    if (!seen[o] || is_further || x[i] != x[i]) out[o] = x[i];
    seen[o] = true;
  });
  return out;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto r = from_attributes<Reduce>(c.node.attributes);
  const RuntimeValue& x = c.operands[0];
  const Extents& in = x.data.extents();
  const Extents out = without(r, in);
  const auto n = static_cast<size_t>(element_count(out));
  const int64_t divisor = divisor_of(r, in);
  if (wants_codes(c)) {
    if (is_extreme(r.kind)) return single(result(c, out, extreme(r, in, n, x.data.i64())));
    std::vector<int64_t> codes(x.data.i64().begin(), x.data.i64().end());
    if (r.kind == ReduceKind::mean)
      codes = codes_on(x, mean_grid(x.type, divisor)->exponent +
                              std::countr_zero(static_cast<uint64_t>(divisor)));
    const auto sums = sum_up<uint64_t>(r, in, n, codes);
    return single(result(c, out, std::vector<int64_t>(sums.begin(), sums.end())));
  }
  if (is_extreme(r.kind)) {
    const Tensor f = to_f32(x);
    return single(result(c, out, extreme(r, in, n, f.f32())));
  }
  std::vector<float> y(n);
  if (x.data.dtype() == DType::i64 && constant_along(x.type.scale, x.type.rank(), r.axes)) {
    const auto sums = sum_up<uint64_t>(r, in, n, x.data.i64());
    TensorType type = x.type;
    type.scale = reduced_scale(r, x.type);
    const std::vector<double> step = spread(type.step(), out);
    for (size_t i = 0; i < n; ++i)
      y[i] = static_cast<float>(static_cast<double>(static_cast<int64_t>(sums[i])) * step[i]);
  } else {
    const Tensor f = to_f32(x);
    const auto sums = sum_up<double>(r, in, n, f.f32());
    for (size_t i = 0; i < n; ++i) y[i] = static_cast<float>(sums[i]);
  }
  if (r.kind == ReduceKind::mean)
    for (float& v : y) v /= static_cast<float>(divisor);
  return single(result(c, out, std::move(y)));
}

OpCounts count(const Node&, std::span<const TensorType> operands, std::span<const TensorType>) {
  return {.other = elements_per_sample(operands[0].shape)};
}

bool whole_batch(const Node& node) { return from_attributes<Reduce>(node.attributes).over_batch; }

}  // namespace

extern constinit const OpDef reduce{
    .name = "reduce",
    .doc =
        "Sum, mean, maximum or minimum over whole axes; the batch axis where over_batch says so.",
    .operands = kOperands,
    .attrs = attrs,
    .infer = infer,
    .evaluate = evaluate,
    .count = count,
    .whole_batch = whole_batch};

}  // namespace qloom::ops
