// graph/ops/softmax.cc — exp(x − max) / Σ exp(x − max) along an axis, in float64, rounded once.
#include <algorithm>
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};

std::vector<TensorType> infer(const InferContext& c) {
  const auto a = from_attributes<Softmax>(c.node.attributes);
  const TensorType& x = c.operands[0];
  const int64_t axis = check_axis(c, a.axis, x.rank());
  check(c, x.shape[static_cast<size_t>(axis)].is_static(), "axis ", axis, " is the batch axis");
  return {{x.shape, Numeric::float32(), {}}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto a = from_attributes<Softmax>(c.node.attributes);
  const Tensor t = to_f32(c.operands[0]);
  const auto x = t.f32();
  const auto axis = static_cast<size_t>(front_axis(a.axis, t.rank()));
  size_t inner = 1;
  for (size_t i = axis + 1; i < t.extents().size(); ++i)
    inner *= static_cast<size_t>(t.extents()[i]);
  const auto n = static_cast<size_t>(t.extents()[axis]);
  std::vector<float> y(x.size());
  std::vector<double> powers(n);
  for (size_t outer = 0; n > 0 && outer < x.size() / (n * inner); ++outer)
    for (size_t j = 0; j < inner; ++j) {
      const size_t base = outer * n * inner + j;
      double largest = -INFINITY;
      for (size_t i = 0; i < n; ++i)
        largest = std::max(largest, static_cast<double>(x[base + i * inner]));
      double sum = 0;
      for (size_t i = 0; i < n; ++i)
        sum += powers[i] = std::exp(static_cast<double>(x[base + i * inner]) - largest);
      for (size_t i = 0; i < n; ++i) y[base + i * inner] = static_cast<float>(powers[i] / sum);
    }
  return single(result(c, t.extents(), std::move(y)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {.other = 3 * elements_per_sample(results[0].shape)};
}

}  // namespace

extern constinit const OpDef softmax{
    .name = "softmax",
    .doc = "exp(x - max) / sum along an axis, in float64, rounded once.",
    .operands = kOperands,
    .attrs = attrs_of<Softmax>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
