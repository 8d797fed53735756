#include <numeric>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

/// The axis of a softmax that is neither the last nor the batch; else -1.
int64_t axis_to_turn(const Graph& graph, const Node& node) {
  if (node.op != &ops::softmax || is_constant(graph, node.operands[0])) return -1;
  const TensorType& x = graph.type(node.operands[0]);
  int64_t axis = from_attributes<ops::Softmax>(node.attributes).axis;
  if (axis < 0) axis += x.rank();
  return axis > 0 && axis < x.rank() - 1 && x.shape.front().is_batch() ? axis : -1;
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    const int64_t axis = axis_to_turn(graph, graph.node(id));
    if (axis < 0) continue;
    Node& node = graph.node(id);
    const std::string name = node.name;
    const ValueId x = node.operands[0], y = node.results[0];
    // Changing places twice is none at all: one permutation does for both ways.
    std::vector<int64_t> order(static_cast<size_t>(graph.type(x).rank()));
    std::iota(order.begin(), order.end(), 0);
    std::swap(order[static_cast<size_t>(axis)], order.back());
    node.name = graph.fresh_name(name + ".softmax");
    const AddLike add(graph, node);
    const Attributes swapped = to_attributes(ops::Permute{order});
    const ValueId turned = add(ops::permute, name + "/turned", {x}, swapped);
    const ValueId soft =
        add(ops::softmax, name + "/last", {turned}, to_attributes(ops::Softmax{.axis = -1}));
    graph.replace_all_uses(y, add(ops::permute, name, {soft}, swapped));
    graph.erase(id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef turn_softmax{.name = "turn_softmax",
                                            .doc = R"(Makes each softmax one along the last axis.
              softmax(x, axis 1)  →  permute(softmax(permute(x)))
              Needs: nothing.  Gives: softmax that can be a region's root.)",
                                            .run = run};

}  // namespace qloom::passes
