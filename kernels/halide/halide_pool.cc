// kernels/halide/halide_pool.cc — maximum or average over windows, as a Halide pipeline.
// Equal to reference_pool bit by bit: maxima of codes are maxima of elements; averages of codes are
// exact sums (int32 here: match checks that they fit), of floats float64 sums in the same order.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/halide/halide.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/products.h"

namespace qloom::kernels {
namespace {

using ops::Pool;

/// Taps that are written out; more would make the code large.
constexpr int64_t kMostTaps = 64;

int64_t taps(const Pool& pool) {
  int64_t n = 1;
  for (const int64_t size : pool.sizes) n *= size;
  return n;
}

Verdict takes(const ReferenceSpec& spec) {
  if (Verdict v = halide::plain_buffers(spec); !v) return v;
  const auto pool = from_attributes<Pool>(spec.attributes);
  if (pool.kind == ops::PoolKind::sum)
    return Verdict::no("sums over windows, this kernel takes maxima and averages");
  if (taps(pool) > kMostTaps)
    return Verdict::no("windows of ", taps(pool), " cells, at most ", kMostTaps);
  const TensorType &x = spec.operands[0], &y = spec.results[0];
  if (pool.kind == ops::PoolKind::max) {
    if (x.has_codes() != y.has_codes() || (x.has_codes() && x.step().f64()[0] != y.step().f64()[0]))
      return Verdict::no(x, " and ", y, " have different steps");
    return Verdict::yes();
  }
  if (x.has_codes()) {
    const auto grid = x.numeric.grid();
    if (!grid || std::max(-grid->lo, grid->hi) > INT32_MAX / taps(pool))
      return Verdict::no("sums of ", taps(pool), " codes of ", x, " leave 32 bits");
  }
  return Verdict::yes();
}

jit::PipelineSource pipeline(const ReferenceSpec& spec, std::string symbol) {
  const auto pool = from_attributes<Pool>(spec.attributes);
  const std::string_view padding = names_of(pool.padding)[static_cast<size_t>(pool.padding)];
  const Extents x = qloom::bind(spec.operands[0].shape, 1),
                y = qloom::bind(spec.results[0].shape, 1);
  std::vector<int64_t> before;
  for (size_t a = 0; a < pool.sizes.size(); ++a)
    before.push_back(
        reference::axis_of(x[a + 1], y[a + 1], pool.sizes[a], pool.strides[a], 1, padding).before);
  return halide::source(spec, std::move(symbol), "pool",
                        {{"kind", names_of(pool.kind)[static_cast<size_t>(pool.kind)]},
                         {"sizes", pool.sizes},
                         {"strides", pool.strides},
                         {"before", before},
                         {"exact", spec.operands[0].has_codes()}});
}

/// Per vector of outputs and cell of its windows, and per vector of outputs. AMD EPYC (Zen 5,
/// family 26 model 2, shared host), see README.md.
constexpr halide::Measured kTimes[] = {
    {"max", 0.35}, {"max mixed", 0.5, 4}, {"average codes", 0.6, 5}, {"average f32", 0.5, 1}};

double ns(const ReferenceSpec& spec) {
  const auto pool = from_attributes<Pool>(spec.attributes);
  const char* what = pool.kind == ops::PoolKind::max
                         ? (halide::is_mixed(spec) ? "max mixed" : "max")
                     : spec.operands[0].has_codes() ? "average codes"
                                                    : "average f32";
  const halide::Measured& row = halide::measured(kTimes, what);
  return halide::vectors(spec, spec.results[0]) *
         (row.per_step * static_cast<double>(taps(pool)) + row.per_vector);
}

}  // namespace

extern constinit const KernelDef halide_pool{.name = "halide_pool",
                                             .doc = "Maximum or average over windows, by Halide.",
                                             .source = "own",
                                             .node_op = &ops::pool,
                                             .missing = halide::missing,
                                             .takes = takes,
                                             .node_ns = ns,
                                             .pipeline = pipeline};

}  // namespace qloom::kernels
