#include "graph/ops_table.h"
#include "passes/edit.h"
#include "passes/pass.h"
#include "passes/rewrite/fusible.h"

namespace qloom::passes {
namespace {

int run(Graph& graph, const PassContext&) {
  int fused = 0;
  const int formed = rewrite_one_by_one(graph, [&](NodeId id) {
    if (!can_be_region(graph, graph.node(id))) return false;
    wrap(graph, id);
    // What follows belongs into this region, not into one of its own.
    fused += fuse_chains(graph);
    return true;
  });
  return formed + fused;
}

}  // namespace

extern constinit const PassDef form_elementwise_regions{
    .name = "form_elementwise_regions",
    .doc =
        R"(Makes regions of the elementwise ops that no conv or dense took in: input quantizers, what
              follows pooling, float layers and concatenations.
              quantize(batch_norm(x))  →  region{quantize(batch_norm(x))}
              Needs: fuse_pointwise and fuse_residual have run.  Gives: each chain is one region.)",
    .run = run};

}  // namespace qloom::passes
