// kernels/halide/halide_reduce.cc — sum, mean or maximum over whole axes, as a Halide pipeline.
// Equal to reference_reduce bit by bit: codes are summed exactly (int32: match checks that they
// fit), floats in float64 in the same order.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/halide/halide.h"
#include "kernels/kernels_table.h"

namespace qloom::kernels {
namespace {

using ops::Reduce;
using ops::ReduceKind;

/// Sums kept on the stack.
constexpr int64_t kMostSums = 8192;

int64_t cells(const ReferenceSpec& spec) {
  return elements_per_sample(spec.operands[0].shape) / halide::elements(spec);
}

Verdict takes(const ReferenceSpec& spec) {
  if (Verdict v = halide::plain_buffers(spec); !v) return v;
  const auto reduce = from_attributes<Reduce>(spec.attributes);
  const TensorType &x = spec.operands[0], &y = spec.results[0];
  if (reduce.axes.empty()) return Verdict::no("no axis to reduce");
  if (reduce.correction != 0)
    return Verdict::no("the mean divides by another number than the count");
  if (spec.outputs.size() != 1) return Verdict::no("the result is stored in two ways");
  if (halide::elements(spec) > kMostSums)
    return Verdict::no(halide::elements(spec), " sums a sample, at most ", kMostSums);
  if (x.has_codes()) {
    const auto grid = x.numeric.grid();
    if (!grid || std::max(-grid->lo, grid->hi) > INT32_MAX / cells(spec))
      return Verdict::no("sums of ", cells(spec), " codes of ", x, " leave 32 bits");
  }
  if (reduce.kind != ReduceKind::mean && y.has_codes() &&
      (!x.has_codes() || x.step().f64()[0] != y.step().f64()[0]))
    return Verdict::no(x, " and ", y, " have different steps");
  const bool is_extreme = reduce.kind == ReduceKind::max || reduce.kind == ReduceKind::min;
  if (is_extreme && x.has_codes() && !y.has_codes())
    return Verdict::no(x, " has codes, ", y, " has none");
  return Verdict::yes();
}

jit::PipelineSource pipeline(const ReferenceSpec& spec, std::string symbol) {
  const auto reduce = from_attributes<Reduce>(spec.attributes);
  std::vector<int64_t> axes;
  for (const int64_t a : reduce.axes) axes.push_back(a - 1);
  std::sort(axes.begin(), axes.end());
  return halide::source(
      spec, std::move(symbol), "reduce",
      {{"kind", names_of(reduce.kind)[static_cast<size_t>(reduce.kind)]},
       {"axes", axes},
       {"exact", spec.operands[0].has_codes()},
       {"codes", spec.results[0].has_codes() && reduce.kind != ReduceKind::mean}});
}

/// Per vector of x; per element of x where the last axis is one that goes. AMD EPYC (Zen 5, family
/// 26 model 2, shared host), see README.md.
constexpr halide::Measured kTimes[] = {{"channels", 1.1}, {"last axis", 0.8}};

double ns(const ReferenceSpec& spec) {
  const auto reduce = from_attributes<Reduce>(spec.attributes);
  const TensorType& x = spec.operands[0];
  const bool along =
      std::find(reduce.axes.begin(), reduce.axes.end(), x.rank() - 1) != reduce.axes.end();
  const double steps =
      along ? static_cast<double>(elements_per_sample(x.shape)) : halide::vectors(spec, x, 8);
  return halide::measured(kTimes, along ? "last axis" : "channels").per_step * steps;
}

}  // namespace

extern constinit const KernelDef halide_reduce{
    .name = "halide_reduce",
    .doc = "Sum, mean, maximum or minimum over whole axes, by Halide.",
    .source = "own",
    .node_op = &ops::reduce,
    .missing = halide::missing,
    .takes = takes,
    .node_ns = ns,
    .pipeline = pipeline};

}  // namespace qloom::kernels
