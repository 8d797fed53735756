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
  const auto axis = [&](int64_t x, int64_t w, int64_t y, size_t i) {
    reference::Axis a{.in = x, .out = y, .taps = w};
    a.dilation = conv.dilations[i];
    a.spread = conv.strides[i];
    a.is_flipped = true;
    const int64_t reach = (a.taps - 1) * a.dilation;
    const int64_t excess = (a.in - 1) * a.spread + reach + 1 - a.out;
    a.before = reach - (conv.padding == ops::Padding::same && excess > 0 ? excess / 2 : 0);
    return a;
  };
  return reference::make_products(
      spec, reference::product_shape(spec, conv.strides, conv.dilations, conv.groups, axis));
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
