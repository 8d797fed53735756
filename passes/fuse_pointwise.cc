#include <optional>

#include "graph/ops_table.h"
#include "passes/edit.h"
#include "passes/fusible.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

struct Match {
  NodeId region, node;
  std::vector<NodeId> followers;  ///< quantizers that must come along
};

std::optional<Match> find_match(const Graph& graph) {
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    for (ValueId operand : node.operands) {
      const Node& region = graph.producer(operand);
      if (region.op != &ops::region || !fusible(graph, region, node)) continue;
      Match match{.region = region.id, .node = id, .followers = {}};
      if (node.op == &ops::activation && !has_tail_form(node)) match.followers = quantizers_of(graph, node);
      return match;
    }
  }
  return std::nullopt;
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  while (const auto match = find_match(graph)) {
    NodeId region = absorb(graph, match->region, match->node);
    ++rewrites;
    for (NodeId follower : match->followers) {
      region = absorb(graph, region, follower);
      ++rewrites;
    }
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef fuse_pointwise{
    .name = "fuse_pointwise",
    .doc = R"(Moves bias, batch normalization, activation and quantizer into the region that feeds them.
              quantize(batch_norm(region{conv(x, w)}))  →  region{quantize(batch_norm(conv(x, w)))}
              A value that others use as well stays a result of the region.
              Needs: regions.  Gives: none of these ops directly after a region, but where the node's
              reason in fusible.cc holds.)",
    .run = run};

}  // namespace qloom::passes
