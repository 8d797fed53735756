#include <algorithm>
#include <numeric>
#include <vector>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"
#include "passes/query.h"

// Kernels reduce what lies between batch and channels. Other axes are brought there: those that go
// first, as one, those that stay behind them, as channels. Each sum adds its elements in the same
// order.

namespace qloom::passes {
namespace {

bool is_other(const Graph& graph, const Node& node) {
  if (node.op != &ops::reduce || is_constant(graph, node.operands[0])) return false;
  const TensorType& x = graph.type(node.operands[0]);
  const auto reduce = from_attributes<ops::Reduce>(node.attributes);
  if (!pooling_of(node) || reduce.over_batch || reduce.axes.empty() || x.rank() < 2) return false;
  if (!x.shape[0].is_batch() || !(x.scale.is_none() || x.scale.is_per_tensor())) return false;
  for (size_t i = 1; i < x.shape.size(); ++i)
    if (!x.shape[i].is_static() || x.shape[i].extent() < 1) return false;
  return !reduces_image(graph, node);
}

void turn(Graph& graph, NodeId id) {
  Node& node = graph.node(id);
  const std::string name = node.name;
  const ValueId x = node.operands[0], y = node.results[0];
  auto reduce = from_attributes<ops::Reduce>(node.attributes);
  std::vector<int64_t> axes = reduce.axes, order{0}, kept;
  std::ranges::sort(axes);
  order.insert(order.end(), axes.begin(), axes.end());
  const Shape shape = graph.type(x).shape;
  int64_t cells = 1, channels = 1;
  for (int64_t i = 1; i < std::ssize(shape); ++i) {
    const int64_t extent = shape[static_cast<size_t>(i)].extent();
    if (std::ranges::binary_search(axes, i)) {
      cells *= extent;
    } else {
      channels *= extent;
      order.push_back(i);
    }
  }
  Extents result;
  for (size_t i = 1; i < graph.type(y).shape.size(); ++i)
    result.push_back(graph.type(y).shape[i].extent());
  node.name = graph.fresh_name(name + ".axes");
  const AddLike add(graph, node);
  ValueId value = x;
  if (!std::ranges::is_sorted(order))
    value = add(ops::permute, name + "/turned", {value}, to_attributes(ops::Permute{order}));
  value =
      add(ops::reshape, name + "/cells", {value}, to_attributes(ops::Reshape{{cells, channels}}));
  reduce.axes = {1};
  reduce.keep_dims = false;
  value = add(ops::reduce, name + "/reduced", {value}, to_attributes(reduce));
  value = add(ops::reshape, name, {value}, to_attributes(ops::Reshape{result}));
  graph.replace_all_uses(y, value);
  graph.erase(id);
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (const NodeId id : graph.order()) {
    if (!is_other(graph, graph.node(id))) continue;
    turn(graph, id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef turn_reductions{
    .name = "turn_reductions",
    .doc = R"(Makes each sum and maximum one over the axis between batch and channels.
              sum(x [N, C, H, W], axes 2 and 3)  →  sum(reshape(permute(x)) [N, HW, C], axis 1)
              Needs: split_averages has run.  Gives: reductions that can be roots of regions.)",
    .run = run};

}  // namespace qloom::passes
