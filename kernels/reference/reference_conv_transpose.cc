// kernels/reference/reference_conv_transpose.cc — the transpose of a convolution, as a convolution
// with the kernel turned round and the input's elements spread apart by the stride.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/products.h"

namespace qloom::kernels {
namespace {

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  const auto conv = from_attributes<ops::ConvTranspose>(spec.attributes);
  const Extents x = qloom::bind(spec.operands.at(0).shape, 1),
                w = qloom::bind(spec.operands.at(1).shape, 1),
                y = qloom::bind(spec.results.at(0).shape, 1);
  const size_t rank = x.size();
  qloom_assert((rank == 3 || rank == 4) && w.size() == rank && y.size() == rank &&
                   conv.strides.size() == rank - 2 && conv.dilations.size() == rank - 2,
               spec.kernel, ": ", spec.operands[0], " and ", spec.operands[1]);
  const auto axis = [&](size_t i) {  // i-th spatial axis
    reference::Axis a{.in = x[i + 1], .out = y[i + 1], .taps = w[i]};
    a.dilation = conv.dilations[i];
    a.spread = conv.strides[i];
    a.is_flipped = true;
    const int64_t reach = (a.taps - 1) * a.dilation;
    const int64_t excess = (a.in - 1) * a.spread + reach + 1 - a.out;
    a.before = reach - (conv.padding == ops::Padding::same && excess > 0 ? excess / 2 : 0);
    return a;
  };
  reference::ProductShape s;
  if (rank == 4) s.rows = axis(0);
  s.columns = axis(rank - 3);
  s.groups = conv.groups;
  s.inputs = w[rank - 2];
  s.outputs = w[rank - 1];
  return reference::make_products(spec, s);
}

double cost(const Query& query) { return 2.0 * static_cast<double>(query.window.macs()); }

}  // namespace

extern constinit const KernelDef reference_conv_transpose{
    .name = "reference_conv_transpose",
    .doc =
        "The transpose of a convolution in plain loops: exact integers where both operands have "
        "codes, else float64 sums in ascending order of the inputs.",
    .source = "own",
    .reference_op = &ops::conv_transpose,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
