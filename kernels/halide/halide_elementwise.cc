// kernels/halide/halide_elementwise.cc — one float32 operation per element with broadcasting, as a
// Halide pipeline: what no chain takes (gates of one value per channel, …).
// Equal to reference_elementwise bit by bit: the same operation on the same floats.
#include "graph/interpret.h"
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/halide/halide.h"
#include "kernels/kernels_table.h"

namespace qloom::kernels {
namespace {

using ops::Elementwise;
using ops::ElementwiseOp;

Verdict takes(const ReferenceSpec& spec) {
  if (Verdict v = halide::plain_buffers(spec); !v) return v;
  for (const TensorType& x : spec.operands)
    if (x.rank() != spec.results[0].rank())
      return Verdict::no(x, " has another rank than ", spec.results[0]);
  return Verdict::yes();
}

jit::PipelineSource pipeline(const ReferenceSpec& spec, std::string symbol) {
  const auto op = from_attributes<ElementwiseOp>(spec.attributes);
  const auto options = from_attributes<EvaluationOptions>(spec.options);
  return halide::source(
      spec, std::move(symbol), "elementwise",
      {{"kind", names_of(op.kind)[static_cast<size_t>(op.kind)]},
       {"reciprocal", op.constant_divisor && options.division == Division::reciprocal}});
}

/// Per vector. AMD EPYC (Zen 5, family 26 model 2, shared host), see README.md.
constexpr halide::Measured kTimes[] = {{"f32", 0.4}, {"codes", 3}};

double ns(const ReferenceSpec& spec) {
  bool floats = true;
  for (const Storage s : spec.operand_storages) floats = floats && s == Storage::f32();
  return halide::measured(kTimes, floats && !halide::is_mixed(spec) ? "f32" : "codes").per_step *
         halide::vectors(spec, spec.results[0]);
}

}  // namespace

extern constinit const KernelDef halide_elementwise{
    .name = "halide_elementwise",
    .doc = "One float32 operation per element, with broadcasting, by Halide.",
    .source = "own",
    .node_op = &ops::elementwise,
    .missing = halide::missing,
    .takes = takes,
    .node_ns = ns,
    .pipeline = pipeline};

}  // namespace qloom::kernels
