// kernels/reference/reference_conv.cc — convolution of anything with anything.
#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/products.h"

namespace qloom::kernels {
namespace {

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  const auto conv = from_attributes<ops::Conv>(spec.attributes);
  const std::string_view padding = names_of(conv.padding)[static_cast<size_t>(conv.padding)];
  return reference::make_products(
      spec, reference::product_shape(spec, conv.strides, conv.dilations, conv.groups,
                                     [&](int64_t x, int64_t w, int64_t y, size_t i) {
                                       return reference::axis_of(x, y, w, conv.strides[i],
                                                                 conv.dilations[i], padding);
                                     }));
}

double cost(const Query& query) { return 2.0 * static_cast<double>(query.window.macs()); }

}  // namespace

extern constinit const KernelDef reference_conv{
    .name = "reference_conv",
    .doc =
        "Convolution in plain loops: exact integers where both operands have codes, else float64 "
        "sums in ascending order.",
    .source = "own",
    .reference_op = &ops::conv,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
