#include <cstdint>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "passes/edit.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

/// Accumulators are 32 bits wide.
bool fits_accumulator(const TensorType& sum) {
  const auto grid = *sum.numeric.grid();
  return grid.lo > INT32_MIN && grid.hi < INT32_MAX;
}

int run(Graph& graph, const PassContext& context) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != &ops::conv && node.op != &ops::dense) continue;
    // Codes on both sides: the sum is an exact integer, and what follows is a function of it. Sums
    // of floats stay alone, and so do sums over activations whose step differs between channels.
    if (!graph.type(node.results[0]).has_codes() || !is_constant(graph, node.operands[1]) ||
        is_constant(graph, node.operands[0]) ||
        !graph.type(node.operands[0]).scale.is_per_tensor() ||
        channels_of_constant(graph.type(node.operands[1]).scale.values().extents()) < 0)
      continue;
    if (!fits_accumulator(graph.type(node.results[0]))) {
      if (context.notes != nullptr)
        context.notes->push_back(join_text("'", node.name, "' runs on a reference kernel: its sum ",
                                           graph.type(node.results[0]), " leaves 32 bits"));
      continue;
    }
    wrap(graph, id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef form_regions{
    .name = "form_regions",
    .doc = R"(Makes a region of each conv and dense whose operands have codes, its weights inside.
              conv(x, w)  →  region{conv(x, w)}
              Needs: constant weights as codes (fold_constants, refine_weight_grids).
              Gives: a place for what follows the sum.)",
    .run = run};

}  // namespace qloom::passes
