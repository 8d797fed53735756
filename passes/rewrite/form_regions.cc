#include <cstdint>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/moves.h"
#include "passes/pass.h"
#include "passes/query.h"

namespace qloom::passes {
namespace {

/// Accumulators are 32 bits wide.
bool fits_accumulator(const TensorType& sum) {
  const auto grid = *sum.numeric.grid();
  return grid.lo > INT32_MIN && grid.hi < INT32_MAX;
}

/// Float32 of which kernels can make a sum: plain, or codes whose scale is known.
bool has_values(const TensorType& type) {
  return type.has_codes() || (type.is_float32() && type.scale.is_none());
}

/// Codes on both sides: the sum is an exact integer, and what follows is a function of it; not over
/// activations whose step differs between channels. Else a float32 sum in the order of the
/// reference.
bool is_product(const Graph& graph, const Node& node) {
  if (node.op != &ops::conv && node.op != &ops::dense) return false;
  const TensorType &x = graph.type(node.operands[0]), &w = graph.type(node.operands[1]);
  if (!is_constant(graph, node.operands[1]) || is_constant(graph, node.operands[0])) return false;
  if (!graph.type(node.results[0]).has_codes())
    return graph.type(node.results[0]).scale.is_none() && has_values(x) &&
           (has_values(w) || w.scale.is_none());
  return x.scale.is_per_tensor() && channels_of_constant(w.scale.values().extents()) >= 0;
}

/// Sums and maxima over windows, or over whole images.
bool is_pooling(const Graph& graph, const Node& node) {
  if (!pooling_of(node)) return false;
  const TensorType &x = graph.type(node.operands[0]), &y = graph.type(node.results[0]);
  if (is_constant(graph, node.operands[0]) || !has_values(x) || !has_values(y)) return false;
  if (y.has_codes() && channels_of_constant(x.scale.values().extents()) < 0) return false;
  return node.op != &ops::reduce || reduces_image(graph, node);
}

/// Along the last axis.
bool is_softmax(const Graph& graph, const Node& node) {
  if (node.op != &ops::softmax || is_constant(graph, node.operands[0])) return false;
  const TensorType& x = graph.type(node.operands[0]);
  const int64_t axis = from_attributes<ops::Softmax>(node.attributes).axis;
  return x.rank() >= 2 && x.shape.front().is_batch() && (axis == -1 || axis == x.rank() - 1) &&
         has_values(x);
}

int run(Graph& graph, const PassContext& context) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!is_product(graph, node) && !is_pooling(graph, node) && !is_softmax(graph, node) &&
        !moves_elements(graph, node))
      continue;
    if (graph.type(node.results[0]).has_codes() && !fits_accumulator(graph.type(node.results[0]))) {
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
    .doc =
        R"(Makes a region of each conv and dense, its weights inside, of each sum or maximum over
              windows or whole images, of each softmax along the last axis, and of what moves
              elements.
              conv(x, w)  →  region{conv(x, w)}
              Needs: constant weights as codes (fold_constants, refine_weight_grids).
              Gives: a place for what follows the sum.)",
    .run = run};

}  // namespace qloom::passes
