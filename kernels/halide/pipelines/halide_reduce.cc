// kernels/halide/pipelines/halide_reduce.cc: sum, mean, maximum or minimum over axes.
// Parameters: kind, axes (of the sample, ascending), exact: 1 where sums are taken on codes, codes:
// 1 where the result is one.
#include "graph/support/error.h"
#include "kernels/pipelines_table.h"

namespace qloom::kernels::pipelines {
namespace {

using Halide::Expr;

void build(PipelineBuild& b) {
  const std::vector<int64_t>& x = b.input(0).extents;
  const auto axes = b.parameters()["axes"].as_integers();
  const std::string kind = b.parameters()["kind"].as_string();
  const bool exact = b.parameters()["exact"].as_bool(), codes = b.parameters()["codes"].as_bool();
  const auto is_reduced = [&](size_t a) {
    return std::find(axes.begin(), axes.end(), static_cast<int64_t>(a)) != axes.end();
  };
  // Ascending order of elements: the last axis runs fastest.
  Halide::Region region;
  int count = 1;
  for (size_t a = x.size(); a-- > 0;)
    if (is_reduced(a)) {
      region.push_back({0, static_cast<int>(x[a])});
      count *= static_cast<int>(x[a]);
    }
  const Halide::RDom r(region);
  // The axes that stay, as variables of the sums and as places of the output.
  std::vector<Halide::Var> kept;
  Place from(x.size()), to;
  const Place place = b.place();
  const bool keep_dims = place.size() == x.size();
  qloom_assert(keep_dims || place.size() + axes.size() == x.size() || axes.size() == x.size(),
               "reduce: ", place.size(), " axes of the result");
  for (size_t a = 0, reduced = axes.size(); a < x.size(); ++a)
    if (is_reduced(a)) {
      from[a] = r[static_cast<int>(--reduced)];
    } else {
      kept.emplace_back("kept" + std::to_string(a));
      from[a] = kept.back();
      to.push_back(place[keep_dims ? a : kept.size() - 1]);
    }
  std::vector<Halide::Var> variables(kept.rbegin(), kept.rend());
  variables.push_back(b.sample);
  std::vector<Expr> at(variables.begin(), variables.end());
  std::vector<Expr> read(to.rbegin(), to.rend());
  read.emplace_back(b.sample);

  Halide::Func sums(b.source().symbol + "_sums");
  const bool is_max = kind == "max", is_extreme = is_max || kind == "min";
  if (is_extreme) {
    const Expr term = exact ? b.code(0, from) : b.value(0, from);
    Place first = from;
    for (const int64_t a : axes) first[static_cast<size_t>(a)] = 0;
    sums(variables) = exact ? b.code(0, first) : b.value(0, first);
    const Expr best = sums(at);
    const Expr is_further = is_max ? term > best : term < best;
    sums(at) = exact ? Halide::select(is_further, term, best)
                     : Halide::select(is_further || term != term, term, best);  // NaN stays
  } else {
    const Expr term = exact ? b.code(0, from) : Halide::cast<double>(b.value(0, from));
    sums(variables) = Halide::cast(term.type(), 0);
    sums(at) += term;
  }
  if (!kept.empty() && !is_reduced(x.size() - 1)) {
    const int width = std::min(8, b.lanes(x.back()));
    sums.vectorize(kept.back(), width);
    // Vectors of channels inside of all reduced axes, whose order stays.
    std::vector<Halide::VarOrRVar> order{kept.back()};
    for (int d = 0; d < r.dimensions(); ++d) order.emplace_back(r[d]);
    sums.update().reorder(order).vectorize(kept.back(), width);
  }
  b.compute_per_sample(sums);
  const Expr sum = sums(read);
  if (codes) return b.store_codes(sum);
  if (is_extreme) return b.store_values(sum);
  Expr y = Halide::cast<float>(exact ? Halide::cast<double>(sum) * Expr(b.input(0).step) : sum);
  if (kind == "mean") y = y / static_cast<float>(count);
  b.store_values(y);
}

}  // namespace

extern constinit const PipelineDef halide_reduce{.name = "reduce", .build = build};

}  // namespace qloom::kernels::pipelines
