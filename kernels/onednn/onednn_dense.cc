// kernels/onednn/onednn_dense.cc — dense layer in float32, as a primitive of oneDNN.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "kernels/onednn/onednn.h"

namespace qloom::kernels {
namespace {

Verdict takes(const ReferenceSpec& spec) { return onednn::takes_floats(spec); }

onednn::Primitive geometry(const ReferenceSpec& spec) {
  onednn::Primitive p{.kind = onednn::Primitive::Kind::inner_product,
                      .weights = onednn::values_of(spec, 1)};
  p.window.c = spec.operands[0].shape.back().extent();
  p.window.n = spec.results[0].shape.back().extent();
  p.window.h = p.window.out_h = elements_per_sample(spec.results[0].shape) / p.window.n;
  return p;
}

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  return onednn::prepare(geometry(spec));
}

/// Nanoseconds per product, and per sample. AMD EPYC (Zen 5, family 26 model 2, shared host), see
/// README.md.
constexpr double kProduct = 0.015, kSample = 20;

double ns(const ReferenceSpec& spec) {
  return kSample + kProduct * static_cast<double>(geometry(spec).window.macs());
}

}  // namespace

extern constinit const KernelDef onednn_dense{.name = "onednn_dense",
                                              .doc = "Dense layer in float32, by oneDNN.",
                                              .source = "oneDNN 3.2",
                                              .node_op = &ops::dense,
                                              .missing = onednn::missing,
                                              .takes = takes,
                                              .node_ns = ns,
                                              .primitive = prepare,
                                              .reorders_sums = true};

}  // namespace qloom::kernels
