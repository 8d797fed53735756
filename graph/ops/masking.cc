// graph/ops/masking.cc — Keras's Masking where nothing consumes the mask: time steps whose elements
// all equal a value become zeros (x · 0, as Keras computes it).
#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};

std::vector<TensorType> infer(const InferContext& c) {
  const TensorType& x = c.operands[0];
  check(c, x.rank() >= 2, "x has ", x.rank(), " axes, expected time steps with features");
  if (x.has_codes()) {
    const Numeric numeric = join(x.numeric, Numeric::integers(0, 0, x.numeric.grid()->fraction));
    if (numeric.grid()) return {{x.shape, numeric, x.scale}};
  }
  return {{x.shape, Numeric::float32(), {}}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto a = from_attributes<Masking>(c.node.attributes);
  const RuntimeValue& x = c.operands[0];
  const Extents& extents = x.data.extents();
  const Tensor t = to_f32(x);
  const auto values = t.f32();
  const auto features = static_cast<size_t>(extents.back());
  const auto mask = static_cast<float>(a.mask_value);
  std::vector<bool> keep(features == 0 ? 0 : values.size() / features, false);
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] != mask) keep[i / features] = true;
  if (wants_codes(c)) {
    std::vector<int64_t> codes(x.data.i64().begin(), x.data.i64().end());
    for (size_t i = 0; i < codes.size(); ++i)
      if (!keep[i / features]) codes[i] = 0;
    return single(result(c, extents, std::move(codes)));
  }
  std::vector<float> y(values.begin(), values.end());
  for (size_t i = 0; i < y.size(); ++i) y[i] *= keep[i / features] ? 1.0F : 0.0F;
  return single(result(c, extents, std::move(y)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {.other = elements_per_sample(results[0].shape)};
}

}  // namespace

extern constinit const OpDef masking{
    .name = "masking",
    .doc = "Time steps whose features all equal a value become zeros.",
    .operands = kOperands,
    .attrs = attrs_of<Masking>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
