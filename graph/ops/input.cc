// graph/ops/input.cc — what is fed to a graph; its type is given when it is made.
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

std::vector<TensorType> infer(const InferContext&) { return {}; }

std::vector<RuntimeValue> evaluate(const EvaluateContext& context) {
  qloom_assert(context.operands.size() == 1, label(context.node), ": nothing is fed to it");
  return single(context.operands[0]);
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef input{
    .name = "input",
    .doc = "A value that is fed to the graph; its type is given, not inferred.",
    .operands = {},
    .attrs = attrs_of<NoFields>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
