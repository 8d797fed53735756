// kernels/onednn/onednn_softmax.cc — exp(x − max) / Σ exp(x − max) in float32, as a primitive of
// oneDNN.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "kernels/onednn/onednn.h"

namespace qloom::kernels {
namespace {

Verdict takes(const ReferenceSpec& spec) {
  if (Verdict v = onednn::takes_floats(spec); !v) return v;
  const int64_t axis = from_attributes<ops::Softmax>(spec.attributes).axis;
  if (axis != -1 && axis + 1 != spec.operands[0].rank())
    return Verdict::no("along axis ", axis, " of ", spec.operands[0], ", not the last");
  return Verdict::yes();
}

onednn::Primitive geometry(const ReferenceSpec& spec) {
  onednn::Primitive p{.kind = onednn::Primitive::Kind::softmax};
  const Extents x = qloom::bind(spec.operands[0].shape, 1);
  int64_t axis = from_attributes<ops::Softmax>(spec.attributes).axis;
  if (axis < 0) axis += static_cast<int64_t>(x.size());
  for (size_t a = 0; a < x.size(); ++a) {
    const auto at = static_cast<int64_t>(a);
    (at < axis ? p.outer : at == axis ? p.axis : p.inner) *= x[a];
  }
  return p;
}

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  return onednn::prepare(geometry(spec));
}

/// Nanoseconds per element, per row, and per sample in batches of 16. AMD EPYC (Zen 5, family 26
/// model 2, shared host), see README.md.
constexpr double kElement = 1, kRow = 8, kSample = 12;

double ns(const ReferenceSpec& spec) {
  const auto elements = static_cast<double>(elements_per_sample(spec.results[0].shape));
  const auto n = static_cast<double>(last_extent(spec.results[0].shape));
  return kSample + kElement * elements + kRow * elements / n;
}

}  // namespace

extern constinit const KernelDef onednn_softmax{.name = "onednn_softmax",
                                                .doc = "exp(x - max) / sum in float32, by oneDNN.",
                                                .source = "oneDNN 3.2",
                                                .node_op = &ops::softmax,
                                                .missing = onednn::missing,
                                                .takes = takes,
                                                .node_ns = ns,
                                                .primitive = prepare,
                                                .reorders_sums = true};

}  // namespace qloom::kernels
