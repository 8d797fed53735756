// kernels/halide/halide_permute.cc — axes in another order, as a Halide pipeline.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/halide/move.h"
#include "kernels/kernels_table.h"

namespace qloom::kernels {
namespace {

Verdict takes(const ReferenceSpec& spec) {
  const auto axes = from_attributes<ops::Permute>(spec.attributes).axes;
  if (axes.empty() || axes[0] != 0) return Verdict::no("the batch does not stay first");
  return halide::takes_move(spec);
}

jit::PipelineSource pipeline(const ReferenceSpec& spec, std::string symbol) {
  std::vector<int64_t> axes;
  for (const int64_t a : from_attributes<ops::Permute>(spec.attributes).axes)
    if (a != 0) axes.push_back(a - 1);
  return halide::move_source(spec, std::move(symbol), {{"op", "permute"}, {"axes", axes}});
}

double ns(const ReferenceSpec& spec) {
  const auto axes = from_attributes<ops::Permute>(spec.attributes).axes;
  return halide::move_ns(spec, axes.back() + 1 == static_cast<int64_t>(axes.size()));
}

}  // namespace

extern constinit const KernelDef halide_permute{.name = "halide_permute",
                                                .doc = "Axes in another order, by Halide.",
                                                .source = "own",
                                                .node_op = &ops::permute,
                                                .missing = halide::missing,
                                                .takes = takes,
                                                .node_ns = ns,
                                                .pipeline = pipeline};

}  // namespace qloom::kernels
