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

/// What stands together is one axis: rows of the axes before the one that is joined, runs of it and
/// those behind.
jit::PipelineSource pipeline(const ReferenceSpec& spec, std::string symbol) {
  const auto axis = static_cast<size_t>(from_attributes<ops::Concat>(spec.attributes).axis) - 1;
  jit::PipelineSource s =
      halide::move_source(spec, std::move(symbol), {{"op", "concat"}, {"axis", 1}});
  for (auto* list : {&s.inputs, &s.outputs})
    for (jit::PipelineBuffer& b : *list) {
      std::vector<int64_t> collapsed{1, 1};
      for (size_t a = 0; a < b.extents.size(); ++a) collapsed[a < axis ? 0 : 1] *= b.extents[a];
      b.extents = std::move(collapsed);
    }
  return s;
}

double ns(const ReferenceSpec& spec) { return halide::move_ns(spec, true); }

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
