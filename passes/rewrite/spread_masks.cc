#include <map>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// A mask has one bit for each step of a sample. Tails read operands element by element: with a bit
// for each element a masked state is chosen where it is computed. The bits of all steps are made
// before the loop (hoist_from_scans).

namespace qloom::passes {
namespace {

int spread(Graph& body) {
  std::map<std::pair<ValueId, int64_t>, ValueId> spread;
  int rewrites = 0;
  for (const NodeId id : body.order()) {
    const Node& node = body.node(id);
    if (node.op != &ops::select) continue;
    const ValueId mask = node.operands[0];
    const Shape &from = body.type(mask).shape, &to = body.type(node.results[0]).shape;
    if (from.size() != 2 || to.size() != 2 || from[1] != Dim(1) || to[1] == Dim(1)) continue;
    const int64_t units = to[1].extent();
    auto [at, is_new] = spread.try_emplace({mask, units});
    if (is_new) {
      const std::string stem = body.producer(mask).name;
      const AddLike add(body, node);
      const ValueId ones = add.constant(
          stem + "/ones", Tensor({units}, std::vector<float>(static_cast<size_t>(units), 1.0F)));
      at->second = add(ops::elementwise, stem + "/spread", {mask, ones},
                       to_attributes(ops::ElementwiseOp{.kind = ops::Elementwise::multiply}));
    }
    body.set_operand(id, 0, at->second);
    ++rewrites;
  }
  return rewrites;
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (const NodeId id : graph.order())
    if (Node& node = graph.node(id); node.op == &ops::scan) rewrites += spread(*node.body);
  return rewrites;
}

}  // namespace

extern constinit const PassDef spread_masks{
    .name = "spread_masks",
    .doc =
        R"(Gives a mask of time steps a bit for each element of what it selects.
              scan{m [N, 1] … select(m, a, b) …}  →  scan{… select(m · ones [U], a, b) …}
              Needs: nothing.  Gives: selects of equal shapes, which regions take in.)",
    .run = run};

}  // namespace qloom::passes
