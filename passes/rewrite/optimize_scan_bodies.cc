#include <algorithm>
#include <vector>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
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

/// The operands that a scan hands on step by step, one for each result, where it does nothing else.
std::vector<ValueId> handed_on(const Node& scan) {
  const auto attributes = from_attributes<ops::Scan>(scan.attributes);
  const auto inputs = scan.body->inputs();
  std::vector<ValueId> out;
  if (attributes.states > 0 || attributes.reverse) return out;
  for (const Graph::Output& output : scan.body->outputs()) {
    const auto at = std::ranges::find(inputs, output.value) - inputs.begin();
    if (at >= attributes.sequences) return {};
    out.push_back(scan.operands[static_cast<size_t>(at)]);
  }
  return out;
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
    const std::vector<ValueId> same = handed_on(graph.node(id)), results = graph.node(id).results;
    for (size_t i = 0; i < same.size(); ++i) graph.replace_all_uses(results[i], same[i]);
    if (!same.empty()) graph.erase(id), ++rewrites;
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
