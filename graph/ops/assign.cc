// graph/ops/assign.cc — the value that a variable has when this call is over. Reads within the call
// see the value of before; what is to see the new one uses the assigned value itself.
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "variable"}, {.name = "value"}};

std::vector<TensorType> infer(const InferContext& c) {
  check(c, c.operands[0].shape == c.operands[1].shape, "the variable has the shape ",
        to_string(c.operands[0].shape), ", the value ", to_string(c.operands[1].shape));
  return {{c.operands[0].shape, Numeric::float32(), {}}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const Tensor value = to_f32(c.operands[1]);
  return single(
      result(c, value.extents(), std::vector<float>(value.f32().begin(), value.f32().end())));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef assign{
    .name = "assign",
    .doc = "Gives a variable the value that the next call reads; yields that value.",
    .operands = kOperands,
    .attrs = attrs_of<NoFields>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
