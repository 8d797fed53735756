#include "graph/ops_table.h"
#include "passes/inference_table.h"
#include "passes/pass.h"

// A call in a loop is made for every step, on little data: here it pays to move whatever combines
// gates and states into the regions of the products, however long the chain. So fusing is repeated
// until nothing is left, before chains of their own are made.

namespace qloom::passes {
namespace {

/// Everything before regions are formed of what is left.
constexpr const PassDef* kBefore[] = {
    &fold_constants, &refine_weight_grids, &remove_identities,
    &sink_layout,    &merge_layout_chains, &remove_identities,
    &split_averages, &form_regions,        &fuse_pointwise,
};
constexpr const PassDef* kFuse[] = {&fuse_residual, &fuse_pointwise};

int rewrites_of(const std::vector<PassRecord>& records) {
  int rewrites = 0;
  for (const PassRecord& record : records) rewrites += record.rewrites;
  return rewrites;
}

int run(Graph& graph, const PassContext& context) {
  int rewrites = 0;
  for (const NodeId id : graph.order()) {
    Node& node = graph.node(id);
    if (node.op != &ops::scan) continue;
    Graph& body = *node.body;
    rewrites += rewrites_of(run_passes(body, kBefore, {}, context.notes));
    for (int fused = 1; fused > 0; rewrites += fused)
      fused = rewrites_of(run_passes(body, kFuse, {}, context.notes));
    rewrites += rewrites_of(run_passes(body, inference_pipeline(), {}, context.notes));
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef optimize_scan_bodies{.name = "optimize_scan_bodies",
                                                    .doc =
                                                        R"(Runs all passes on the bodies of scans.
              scan{quantize(add(dense(s, k), p))}  →  scan{region{quantize(add(dense(s, k), p))}}
              Needs: hoist_from_scans.  Gives: regions in bodies.)",
                                                    .run = run};

}  // namespace qloom::passes
