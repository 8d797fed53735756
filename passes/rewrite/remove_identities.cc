#include <numeric>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

bool all_zero(const std::vector<int64_t>& v) {
  for (int64_t x : v)
    if (x != 0) return false;
  return true;
}

/// True when result 0 is operand 0 for every input.
bool is_identity(const Graph& graph, const Node& node) {
  if (node.operands.empty() || is_constant(graph, node.operands[0])) return false;
  // A type that differs (an activation that forgets the codes) would change what follows.
  if (!(graph.type(node.operands[0]) == graph.type(node.results[0]))) return false;
  if (node.op == &ops::reshape || node.op == &ops::concat)
    return node.op == &ops::reshape || node.operands.size() == 1;
  if (node.op == &ops::permute) {
    const auto axes = from_attributes<ops::Permute>(node.attributes).axes;
    std::vector<int64_t> same(axes.size());
    std::iota(same.begin(), same.end(), 0);
    return axes == same;
  }
  if (node.op == &ops::pad) {
    const auto pad = from_attributes<ops::Pad>(node.attributes);
    return all_zero(pad.before) && all_zero(pad.after);
  }
  if (node.op == &ops::activation)
    return from_attributes<ops::Activation>(node.attributes).function == "linear";
  return false;
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!is_identity(graph, node)) continue;
    graph.replace_all_uses(node.results[0], node.operands[0]);
    graph.erase(id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef remove_identities{
    .name = "remove_identities",
    .doc =
        R"(Removes nodes that hand their operand on: linear activations, reshapes to the same shape,
              permutations that move nothing, concatenations of one, padding by nothing.
              activation(x) {linear}  →  x
              Needs: operand and result have the same type.  Gives: none of these.)",
    .run = run};

}  // namespace qloom::passes
