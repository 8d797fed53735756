#include "graph/ops_table.h"
#include "passes/edit.h"
#include "passes/fusible.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

/// A lone node can be a region when its tail can be lowered: an activation without a tail form only
/// where a quantizer follows, which fuse_pointwise then takes in.
bool can_be_region(const Graph& graph, const Node& node) {
  if (!pointwise(graph, node)) return false;
  if (variable_operands(graph, node).size() > 2) return false;
  if (node.op == &ops::activation && !has_tail_form(node)) return false;
  if (node.op != &ops::quantize) return true;
  // The region that the quantizer would make by itself must be one that could take it in.
  const auto q = graph.type(node.results[0]);
  return q.has_codes();
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    if (!can_be_region(graph, graph.node(id))) continue;
    wrap(graph, id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef form_elementwise_regions{
    .name = "form_elementwise_regions",
    .doc = R"(Makes regions of the elementwise ops that no conv or dense took in: input quantizers, what
              follows pooling, float layers and concatenations.
              quantize(image)  →  region{quantize(image)}
              Needs: fuse_pointwise and fuse_residual have run.  Gives: chains for fuse_pointwise.)",
    .run = run};

}  // namespace qloom::passes
