#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

/// permute(permute(x, first), second): axis i of the result is axis first[second[i]] of x.
Attributes compose(const Attributes& first, const Attributes& second) {
  const auto a = from_attributes<ops::Permute>(first).axes;
  const auto b = from_attributes<ops::Permute>(second).axes;
  ops::Permute out;
  for (int64_t axis : b) out.axes.push_back(a[static_cast<size_t>(axis)]);
  return to_attributes(out);
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    Node& node = graph.node(id);
    if (node.op != &ops::reshape && node.op != &ops::permute) continue;
    const Node& before = graph.producer(node.operands[0]);
    if (before.op != node.op) continue;
    if (node.op == &ops::permute) node.attributes = compose(before.attributes, node.attributes);
    graph.set_operand(id, 0, before.operands[0]);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef merge_layout_chains{
    .name = "merge_layout_chains",
    .doc = R"(Makes one of two reshapes, or of two permutations, that follow each other.
              reshape(reshape(x))  →  reshape(x)
              Needs: nothing.  Gives: no reshape feeds a reshape, no permutation a permutation. A pair
              that cancels becomes an identity for remove_identities.)",
    .run = run};

}  // namespace qloom::passes
