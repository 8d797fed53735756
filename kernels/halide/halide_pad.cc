// kernels/halide/halide_pad.cc — zeros around x, as a Halide pipeline.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/halide/move.h"
#include "kernels/kernels_table.h"

namespace qloom::kernels {
namespace {

Verdict takes(const ReferenceSpec& spec) { return halide::takes_move(spec); }

jit::PipelineSource pipeline(const ReferenceSpec& spec, std::string symbol) {
  auto before = from_attributes<ops::Pad>(spec.attributes).before;
  before.erase(before.begin());
  return halide::move_source(spec, std::move(symbol), {{"op", "pad"}, {"before", before}});
}

double ns(const ReferenceSpec& spec) { return halide::move_ns(spec, true); }

}  // namespace

extern constinit const KernelDef halide_pad{.name = "halide_pad",
                                            .doc = "Zeros around x, by Halide.",
                                            .source = "own",
                                            .node_op = &ops::pad,
                                            .missing = halide::missing,
                                            .takes = takes,
                                            .node_ns = ns,
                                            .pipeline = pipeline};

}  // namespace qloom::kernels
