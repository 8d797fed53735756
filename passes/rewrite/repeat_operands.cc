#include <algorithm>
#include <vector>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// Tails read operands element by element. What is broadcast is repeated first: a move of elements,
// which kernels do for any axis.

namespace qloom::passes {
namespace {

/// Is the operand as the result but for axes of one element?
bool is_broadcast(const TensorType& x, const TensorType& y) {
  if (x.rank() != y.rank() || x.rank() < 2 || x.shape == y.shape || !x.shape[0].is_batch() ||
      !y.shape[0].is_batch() || !(x.scale.is_none() || x.scale.is_per_tensor()))
    return false;
  for (size_t i = 1; i < x.shape.size(); ++i) {
    if (!x.shape[i].is_static() || !y.shape[i].is_static()) return false;
    if (x.shape[i] != y.shape[i] && x.shape[i].extent() != 1) return false;
  }
  return true;
}

Extents sample_of(const Shape& shape) {
  Extents out;
  for (size_t i = 1; i < shape.size(); ++i) out.push_back(shape[i].extent());
  return out;
}

/// The value with each element as often as the shape has it, one run of axes after the other.
ValueId repeated(Graph& graph, const Node& node, ValueId x, const Extents& to) {
  const std::string name = node.name;
  const AddLike add(graph, node);
  const Extents from = sample_of(graph.type(x).shape);
  int64_t before = 1;
  size_t axis = 0;
  while (axis < to.size()) {
    if (from[axis] == to[axis]) {
      before *= to[axis++];
      continue;
    }
    int64_t times = 1, behind = 1;
    for (; axis < to.size() && from[axis] != to[axis]; ++axis) times *= to[axis];
    for (size_t i = axis; i < from.size(); ++i) behind *= from[i];
    x = add(ops::reshape, name + "/rows", {x}, to_attributes(ops::Reshape{{before, 1, behind}}));
    x = add(ops::resize, name + "/repeated", {x}, to_attributes(ops::Resize{.scales = {1, times}}));
    before *= times;
  }
  return add(ops::reshape, name + "/whole", {x}, to_attributes(ops::Reshape{to}));
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (const NodeId id : graph.order()) {
    if (graph.node(id).op != &ops::elementwise) continue;
    const TensorType y = graph.type(graph.node(id).results[0]);
    const std::vector<ValueId> operands = graph.node(id).operands;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (is_constant(graph, operands[i]) || !is_broadcast(graph.type(operands[i]), y)) continue;
      const ValueId whole = repeated(graph, graph.node(id), operands[i], sample_of(y.shape));
      graph.set_operand(id, i, whole);
      ++rewrites;
    }
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef repeat_operands{
    .name = "repeat_operands",
    .doc =
        R"(Repeats the elements of operands that are broadcast.
              x [N, H, W, C] · s [N, 1, 1, C]  →  x · reshape(resize(reshape(s)))
              Needs: nothing.  Gives: operands of equal shapes, which tails read.)",
    .run = run};

}  // namespace qloom::passes
