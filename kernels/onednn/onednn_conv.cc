// kernels/onednn/onednn_conv.cc — convolution in float32, as a primitive of oneDNN.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "kernels/onednn/onednn.h"

namespace qloom::kernels {
namespace {

Verdict takes(const ReferenceSpec& spec) { return onednn::takes_floats(spec); }

onednn::Primitive geometry(const ReferenceSpec& spec) {
  const auto conv = from_attributes<ops::Conv>(spec.attributes);
  onednn::Primitive p{.kind = onednn::Primitive::Kind::convolution,
                      .weights = onednn::values_of(spec, 1)};
  const Shape& kernel = spec.operands[1].shape;
  std::vector<int64_t> sizes;
  for (size_t a = 0; a + 2 < kernel.size(); ++a) sizes.push_back(kernel[a].extent());
  onednn::set_window(p, spec, sizes, conv.strides, conv.dilations,
                     names_of(conv.padding)[static_cast<size_t>(conv.padding)]);
  p.window.groups = conv.groups;
  return p;
}

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  return onednn::prepare(geometry(spec));
}

/// Nanoseconds per product of a full vector of outputs, of a depthwise layer's, and per sample in
/// batches of 16. AMD EPYC (Zen 5, family 26 model 2, shared host), see README.md.
constexpr double kProduct = 0.01, kDepthwiseProduct = 0.05, kSample = 35;

double ns(const ReferenceSpec& spec) {
  const Window w = geometry(spec).window;
  const bool is_depthwise = w.groups == w.c;
  return kSample + (is_depthwise ? kDepthwiseProduct : kProduct) * static_cast<double>(w.macs()) *
                       onednn::share_of_lanes(is_depthwise ? w.n : w.n / w.groups);
}

}  // namespace

extern constinit const KernelDef onednn_conv{.name = "onednn_conv",
                                             .doc = "Convolution in float32, by oneDNN.",
                                             .source = "oneDNN 3.2",
                                             .node_op = &ops::conv,
                                             .missing = onednn::missing,
                                             .takes = takes,
                                             .node_ns = ns,
                                             .primitive = prepare,
                                             .reorders_sums = true};

}  // namespace qloom::kernels
