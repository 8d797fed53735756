#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// Masking multiplies by 1 or 0, as Keras does: -1·0 is -0, infinity·0 is NaN. As ops of their own
// the mask has a kernel, and the product is part of the region that reads it.

namespace qloom::passes {
namespace {

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (const NodeId id : graph.order()) {
    Node& node = graph.node(id);
    if (node.op != &ops::masking || is_constant(graph, node.operands[0]) ||
        !graph.type(node.operands[0]).shape[0].is_batch())
      continue;
    const std::string name = node.name;
    const ValueId x = node.operands[0], y = node.results[0];
    const auto mask_value = from_attributes<ops::Masking>(node.attributes).mask_value;
    const AddLike add(graph, node);
    Extents extents;
    for (size_t i = 1; i < graph.type(x).shape.size(); ++i)
      extents.push_back(graph.type(x).shape[i].extent());
    extents.back() = 1;
    node.name = graph.fresh_name(name + ".masking");
    ValueId kept =
        add(ops::step_mask, name + "/steps", {x}, to_attributes(ops::StepMask{mask_value}));
    kept = add(ops::reshape, name + "/column", {kept}, to_attributes(ops::Reshape{extents}));
    const ValueId product =
        add(ops::elementwise, name, {x, kept},
            to_attributes(ops::ElementwiseOp{.kind = ops::Elementwise::multiply}));
    graph.replace_all_uses(y, product);
    graph.erase(id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef split_masking{.name = "split_masking",
                                             .doc = R"(Makes a product of what masks time steps.
              masking(x)  →  x · reshape(step_mask(x))
              Needs: nothing.  Gives: a product that regions take in.)",
                                             .run = run};

}  // namespace qloom::passes
