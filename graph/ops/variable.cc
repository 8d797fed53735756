// graph/ops/variable.cc — state by name: what a call reads is what the calls before it left, at
// first the tensor given when the graph was built. The node's name is the state's name; its type is
// float32. Where the leading axis is the batch symbol each sample has a state of its own, which
// starts with the one that is given.
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

std::vector<TensorType> infer(const InferContext&) { return {}; }

// Without a state kept (constant folding, a graph that is evaluated once): the initial value.
std::vector<RuntimeValue> evaluate(const EvaluateContext& context) {
  return single(
      {{Shape(context.node.constant->extents().begin(), context.node.constant->extents().end()),
        Numeric::float32(),
        {}},
       *context.node.constant});
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef variable{
    .name = "variable",
    .doc = "State by name, kept from call to call; read before anything of this call is assigned.",
    .operands = {},
    .attrs = attrs_of<NoFields>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
