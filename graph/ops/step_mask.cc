// graph/ops/step_mask.cc — which time steps count: Keras's mask of Masking and of Embedding.
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
  return {{Shape(x.shape.begin(), x.shape.end() - 1), Numeric::bit(), {}}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto mask = static_cast<float>(from_attributes<StepMask>(c.node.attributes).mask_value);
  const Tensor t = to_f32(c.operands[0]);
  const auto values = t.f32();
  const Extents out(t.extents().begin(), t.extents().end() - 1);
  const auto steps = static_cast<size_t>(element_count(out));
  const size_t features = steps == 0 ? 0 : values.size() / steps;
  std::vector<int64_t> counts(steps, 0);
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] != mask) counts[i / features] = 1;
  if (wants_codes(c)) return single(result(c, out, std::move(counts)));
  return single(result(c, out, std::vector<float>(counts.begin(), counts.end())));
}

OpCounts count(const Node&, std::span<const TensorType> operands, std::span<const TensorType>) {
  return {.other = elements_per_sample(operands[0].shape)};
}

}  // namespace

extern constinit const OpDef step_mask{
    .name = "step_mask",
    .doc = "1 for time steps with an element that is not the mask value, else 0.",
    .operands = kOperands,
    .attrs = attrs_of<StepMask>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
