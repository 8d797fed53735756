// kernels/onednn/onednn_pool.cc — maximum or average over windows in float32, as a primitive of
// oneDNN.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "kernels/onednn/onednn.h"

namespace qloom::kernels {
namespace {

Verdict takes(const ReferenceSpec& spec) {
  if (from_attributes<ops::Pool>(spec.attributes).kind == ops::PoolKind::sum)
    return Verdict::no("sums over windows, this kernel takes maxima and averages");
  return onednn::takes_floats(spec);
}

onednn::Primitive geometry(const ReferenceSpec& spec) {
  const auto pool = from_attributes<ops::Pool>(spec.attributes);
  onednn::Primitive p{.kind = pool.kind == ops::PoolKind::max
                                  ? onednn::Primitive::Kind::max_pool
                                  : onednn::Primitive::Kind::average_pool};
  onednn::set_window(p, spec, pool.sizes, pool.strides, std::vector<int64_t>(pool.sizes.size(), 1),
                     names_of(pool.padding)[static_cast<size_t>(pool.padding)]);
  return p;
}

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  return onednn::prepare(geometry(spec));
}

/// Nanoseconds per cell of a window of a full vector of channels, and per sample in batches of 16.
/// AMD EPYC (Zen 5, family 26 model 2, shared host), see README.md.
constexpr double kCell = 0.04, kSample = 25;

double ns(const ReferenceSpec& spec) {
  const Window w = geometry(spec).window;
  return kSample + kCell * onednn::share_of_lanes(w.n) *
                       static_cast<double>(w.out_h * w.out_w * w.n * w.kernel_h * w.kernel_w);
}

}  // namespace

extern constinit const KernelDef onednn_pool{
    .name = "onednn_pool",
    .doc = "Maximum or average over windows in float32, by oneDNN.",
    .source = "oneDNN 3.2",
    .node_op = &ops::pool,
    .missing = onednn::missing,
    .takes = takes,
    .node_ns = ns,
    .primitive = prepare,
    .reorders_sums = true};

}  // namespace qloom::kernels
