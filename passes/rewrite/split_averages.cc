#include <algorithm>
#include <optional>
#include <vector>

#include "graph/ops/attributes.h"
#include "graph/ops/geometry.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// An average is a sum and one float32 division by the number of cells inside of x. As two ops the
// sum is an exact integer, which can be a region's root, and the division is a part of its tail.
// Where the average has codes (powers of two all along) so has the sum times 1/count: the same
// codes.

namespace qloom::passes {
namespace {

/// Cells of each window along an axis: windows at the ends may hold fewer.
std::vector<int64_t> cells(const ops::SpatialAxis& a) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < a.out; ++i) {
    const int64_t first = i * a.stride - a.before;
    out.push_back(std::min(first + a.taps, a.in) - std::max<int64_t>(first, 0));
  }
  return out;
}

/// The sum to which an average belongs, and how many elements each of them has: one number, or one
/// for each position [H, W, 1].
struct Sum {
  const OpDef* op;
  Attributes attributes;
  Tensor counts;
};

Tensor one_count(int64_t count) {
  return Tensor(Extents{}, std::vector<float>{static_cast<float>(count)});
}

Tensor counts_of(const ops::Pool& pool, const Shape& x) {
  Extents extents;
  std::vector<int64_t> counts{1};
  for (size_t i = 0; i < pool.sizes.size(); ++i) {
    const auto along = cells(
        ops::spatial_axis(x[i + 1].extent(), pool.sizes[i], pool.strides[i], 1, pool.padding));
    extents.push_back(std::ssize(along));
    std::vector<int64_t> all;
    for (const int64_t before : counts)
      for (const int64_t n : along) all.push_back(before * n);
    counts = std::move(all);
  }
  if (std::ranges::all_of(counts, [&](int64_t n) { return n == counts[0]; }))
    return one_count(counts[0]);
  extents.push_back(1);
  return Tensor(extents, std::vector<float>(counts.begin(), counts.end()));
}

std::optional<Sum> sum_of(const Graph& graph, const Node& node) {
  const Shape& x = graph.type(node.operands[0]).shape;
  if (node.op == &ops::reduce) {
    auto reduce = from_attributes<ops::Reduce>(node.attributes);
    if (reduce.kind != ops::ReduceKind::mean || reduce.correction != 0) return std::nullopt;
    reduce.kind = ops::ReduceKind::sum;
    int64_t count = 1;
    for (const int64_t axis : reduce.axes) count *= x[static_cast<size_t>(axis)].extent();
    return Sum{&ops::reduce, to_attributes(reduce), one_count(count)};
  }
  if (node.op != &ops::pool) return std::nullopt;
  auto pool = from_attributes<ops::Pool>(node.attributes);
  if (pool.kind != ops::PoolKind::average) return std::nullopt;
  pool.kind = ops::PoolKind::sum;
  return Sum{&ops::pool, to_attributes(pool), counts_of(pool, x)};
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    if (graph.node(id).op != &ops::pool && graph.node(id).op != &ops::reduce) continue;
    const auto sum = sum_of(graph, graph.node(id));
    if (!sum) continue;
    Node& node = graph.node(id);
    const std::string name = node.name;
    const AddLike add(graph, node);
    const ValueId average = node.results[0], x = node.operands[0];
    const bool codes = graph.type(average).has_codes();
    node.name = graph.fresh_name(name + ".average");
    const ValueId total = add(*sum->op, name, {x}, sum->attributes);
    // Codes: counts are powers of two, so their inverse is exact and the product stays on a grid.
    std::vector<float> factors(sum->counts.f32().begin(), sum->counts.f32().end());
    if (codes)
      for (float& factor : factors) factor = 1.0F / factor;
    const ValueId by = add.constant(name + (codes ? "/inverse_count" : "/count"),
                                    Tensor(sum->counts.extents(), std::move(factors)));
    const ValueId result =
        add(ops::elementwise, name + "/divided", {total, by},
            to_attributes(ops::ElementwiseOp{.kind = codes ? ops::Elementwise::multiply
                                                           : ops::Elementwise::divide}));
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
    .doc = R"(Makes a sum and a division of each average, by position where windows are cut off.
              average(x)  →  sum(x) / count
              Needs: nothing.  Gives: sums of codes, which are integers and can be roots of regions.)",
    .run = run};

}  // namespace qloom::passes
