// graph/ops/region.cc — a node with a body: a root op with what follows it, or a small network. It
// means what its body means.
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {

TensorType body_input_type(const TensorType& operand) {
  if (operand.scale.is_dynamic()) return {operand.shape, Numeric::float32(), {}};
  return operand;
}

namespace {

constexpr OperandDef kOperands[] = {{.name = "x", .optional = true, .variadic = true}};

std::vector<TensorType> infer(const InferContext& c) {
  qloom_assert(c.node.body, label(c.node), ": a region without a body");
  const Graph& body = *c.node.body;
  check(c, body.inputs().size() == c.operands.size(), "the body has ", body.inputs().size(),
        " inputs, the region ", c.operands.size(), " operands");
  for (size_t i = 0; i < c.operands.size(); ++i) {
    const TensorType& inside = body.type(body.inputs()[i]);
    check(c, inside == body_input_type(c.operands[i]), "body input ", i, " is ", inside,
          ", operand ", i, " is ", c.operands[i]);
  }
  std::vector<TensorType> types;
  for (const Graph::Output& out : body.outputs()) {
    TensorType type = body.type(out.value);
    if (type.scale.is_dynamic()) {
      // The scale is visible outside when the body yields it too; else the values are plain floats.
      const ValueId source = type.scale.source();
      type = {type.shape, Numeric::float32(), {}};
      for (size_t j = 0; j < body.outputs().size() && j < c.results.size(); ++j)
        if (body.outputs()[j].value == source)
          type = {type.shape, body.type(out.value).numeric, Scale::dynamic(c.results[j])};
    }
    types.push_back(std::move(type));
  }
  check(c, !types.empty(), "the body has no output");
  return types;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  return interpret_values(*c.node.body, c.operands, c.options, {});
}

OpCounts count(const Node& node, std::span<const TensorType>, std::span<const TensorType>) {
  OpCounts total;
  const Graph& body = *node.body;
  for (const NodeId id : body.order()) {
    const Node& n = body.node(id);
    std::vector<TensorType> operands, results;
    for (const ValueId v : n.operands) operands.push_back(body.type(v));
    for (const ValueId v : n.results) results.push_back(body.type(v));
    const OpCounts one = n.op->count(n, operands, results);
    total.multiply_accumulates += one.multiply_accumulates;
    total.other += one.other;
  }
  return total;
}

bool whole_batch(const Node& node) {
  for (const NodeId id : node.body->order()) {
    const Node& n = node.body->node(id);
    if (n.op->whole_batch && n.op->whole_batch(n)) return true;
  }
  return false;
}

}  // namespace

extern constinit const OpDef region{
    .name = "region",
    .doc = "Evaluates its body on the operands: body inputs are operands, body outputs results.",
    .operands = kOperands,
    .attrs = attrs_of<NoFields>,
    .has_body = true,
    .infer = infer,
    .evaluate = evaluate,
    .count = count,
    .whole_batch = whole_batch};

}  // namespace qloom::ops
