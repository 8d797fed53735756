// graph/ops/constant.cc — a tensor known when the graph is built: f32 values, or i64 codes where
// its type has codes.
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

std::vector<TensorType> infer(const InferContext&) { return {}; }

std::vector<RuntimeValue> evaluate(const EvaluateContext& context) {
  RuntimeValue value{context.results[0], *context.node.constant};
  if (context.options.evaluation == Evaluation::qkeras) value.data = to_f32(value);
  return single(std::move(value));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef constant{
    .name = "constant",
    .doc = "A tensor known when the graph is built; its type is given, not inferred.",
    .operands = {},
    .attrs = attrs_of<NoFields>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
