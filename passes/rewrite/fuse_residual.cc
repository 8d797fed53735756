#include <algorithm>
#include <optional>

#include "graph/ops_table.h"
#include "passes/edit.h"
#include "passes/pass.h"
#include "passes/rewrite/fusible.h"

namespace qloom::passes {
namespace {

struct Match {
  NodeId region, node;
};

/// The region that can take the node in: computes one operand, and no other operand depends on it.
std::optional<NodeId> region_for(const Graph& graph, const Node& node) {
  const auto variables = variable_operands(graph, node);
  const bool merges = node.op == &ops::elementwise || node.op == &ops::select;
  if (!merges || variables.size() < 2 || !pointwise(graph, node)) return std::nullopt;
  // The main path of a residual block is the operand computed last: try that first, so that the
  // shortcut is complete when it is needed.
  std::optional<NodeId> found;
  for (NodeId id : graph.order()) {
    const Node& region = graph.node(id);
    if (region.op != &ops::region) continue;
    const auto computed = [&](ValueId v) { return graph.producer(v).id == id; };
    if (std::ranges::count_if(variables, computed) == 1 &&
        std::ranges::all_of(variables,
                            [&](ValueId v) { return computed(v) || !depends_on(graph, v, id); }))
      found = id;
  }
  return found;
}

int run(Graph& graph, const PassContext&) {
  return rewrite_one_by_one(graph, [&](NodeId id) {
    const auto region = region_for(graph, graph.node(id));
    if (region) absorb(graph, *region, id);
    return region.has_value();
  });
}

}  // namespace

extern constinit const PassDef fuse_residual{
    .name = "fuse_residual",
    .doc =
        R"(Moves an addition (or other elementwise op, or a select) of several values into the region that computes one
              of them; the other values become operands of the region.
              add(region{conv(x, w)}, shortcut)  →  region{add(conv(x, w), shortcut)}
              Needs: regions with their own chains fused (fuse_pointwise).  Gives: residual sums are
              computed where the last of their terms is.)",
    .run = run};

}  // namespace qloom::passes
