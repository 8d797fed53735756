// kernels/halide/halide_concat.cc — operands one after the other along an axis, as a Halide
// pipeline.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/halide/move.h"
#include "kernels/kernels_table.h"

namespace qloom::kernels {
namespace {

Verdict takes(const ReferenceSpec& spec) {
  if (from_attributes<ops::Concat>(spec.attributes).axis < 1) return Verdict::no("along the batch");
  return halide::takes_move(spec);
}

jit::PipelineSource pipeline(const ReferenceSpec& spec, std::string symbol) {
  const int64_t axis = from_attributes<ops::Concat>(spec.attributes).axis;
  return halide::move_source(spec, std::move(symbol), {{"op", "concat"}, {"axis", axis - 1}});
}

double ns(const ReferenceSpec& spec) { return halide::move_ns(spec, "concat"); }

}  // namespace

extern constinit const KernelDef halide_concat{
    .name = "halide_concat",
    .doc = "Operands one after the other along an axis, by Halide.",
    .source = "own",
    .node_op = &ops::concat,
    .missing = halide::missing,
    .takes = takes,
    .node_ns = ns,
    .pipeline = pipeline};

}  // namespace qloom::kernels
