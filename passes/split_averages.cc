#include <optional>

#include "graph/ops/attributes.h"
#include "graph/ops/geometry.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// An average is a sum and one float32 division by the number of cells. As two ops the sum is an
// exact integer, which can be a region's root, and the division is a part of its tail. Where the
// average has codes (powers of two all along) so has the sum times 1/count: the same codes.

namespace qloom::passes {
namespace {

/// Cells of each window along an axis; none where windows at the ends hold fewer.
std::optional<int64_t> cells(const ops::SpatialAxis& a) {
  if (a.before != 0 || a.after != 0) return std::nullopt;
  return a.taps;
}

/// The sum to which an average belongs, and how many elements each of them has.
struct Sum {
  const OpDef* op;
  Attributes attributes;
  int64_t count;
};

std::optional<Sum> sum_of(const Graph& graph, const Node& node) {
  const Shape& x = graph.type(node.operands[0]).shape;
  if (node.op == &ops::reduce) {
    auto reduce = from_attributes<ops::Reduce>(node.attributes);
    if (reduce.kind != ops::ReduceKind::mean || reduce.correction != 0) return std::nullopt;
    reduce.kind = ops::ReduceKind::sum;
    int64_t count = 1;
    for (const int64_t axis : reduce.axes) count *= x[static_cast<size_t>(axis)].extent();
    return Sum{&ops::reduce, to_attributes(reduce), count};
  }
  if (node.op != &ops::pool) return std::nullopt;
  auto pool = from_attributes<ops::Pool>(node.attributes);
  if (pool.kind != ops::PoolKind::average) return std::nullopt;
  pool.kind = ops::PoolKind::sum;
  int64_t count = 1;
  for (size_t i = 0; i < pool.sizes.size(); ++i) {
    const auto along = cells(
        ops::spatial_axis(x[i + 1].extent(), pool.sizes[i], pool.strides[i], 1, pool.padding));
    if (!along) return std::nullopt;
    count *= *along;
  }
  return Sum{&ops::pool, to_attributes(pool), count};
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    if (graph.node(id).op != &ops::pool && graph.node(id).op != &ops::reduce) continue;
    const auto sum = sum_of(graph, graph.node(id));
    if (!sum) continue;
    Node& node = graph.node(id);
    const std::string name = node.name;
    const std::vector<Origin> origins = node.origins;
    const Origin origin = origins.empty() ? Origin{} : origins.front();
    const ValueId average = node.results[0], x = node.operands[0];
    const bool codes = graph.type(average).has_codes();
    node.name = graph.fresh_name(name + ".average");
    Node& total = graph.add(*sum->op, name, {x}, sum->attributes, origin);
    total.origins = origins;
    const ValueId total_value = total.results[0];
    // Codes: the count is a power of two, so its inverse is exact and the product stays on a grid.
    const auto count = static_cast<float>(sum->count);
    const ValueId by = graph.add_constant(
        graph.fresh_name(name + (codes ? "/inverse_count" : "/count")),
        Tensor(Extents{}, std::vector<float>{codes ? 1.0F / count : count}), origin);
    Node& divided =
        graph.add(ops::elementwise, graph.fresh_name(name + "/divided"), {total_value, by},
                  to_attributes(ops::ElementwiseOp{.kind = codes ? ops::Elementwise::multiply
                                                                 : ops::Elementwise::divide}),
                  origin);
    divided.origins = origins;
    const ValueId result = divided.results[0];
    qloom_assert(graph.type(result).has_codes() == codes, "average '", name, "' of ", graph.type(x),
                 " became ", graph.type(result), ", it was ", graph.type(average));
    graph.replace_all_uses(average, result);
    graph.erase(id);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef split_averages{
    .name = "split_averages",
    .doc = R"(Makes a sum and a division of each average whose windows have equally many cells.
              average(x)  →  sum(x) / count
              Needs: nothing.  Gives: sums of codes, which are integers and can be roots of regions.)",
    .run = run};

}  // namespace qloom::passes
