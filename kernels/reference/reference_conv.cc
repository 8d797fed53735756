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
  const Extents x = qloom::bind(spec.operands.at(0).shape, 1),
                w = qloom::bind(spec.operands.at(1).shape, 1),
                y = qloom::bind(spec.results.at(0).shape, 1);
  const size_t rank = x.size();
  qloom_assert((rank == 3 || rank == 4) && w.size() == rank && y.size() == rank &&
                   conv.strides.size() == rank - 2 && conv.dilations.size() == rank - 2,
               spec.kernel, ": ", spec.operands[0], " and ", spec.operands[1]);
  reference::ProductShape s;
  const auto axis = [&](size_t i) {  // i-th spatial axis
    return reference::axis_of(x[i + 1], y[i + 1], w[i], conv.strides[i], conv.dilations[i],
                              padding);
  };
  if (rank == 4) s.rows = axis(0);
  s.columns = axis(rank - 3);
  s.groups = conv.groups;
  s.inputs = w[rank - 2];
  s.outputs = w[rank - 1];
  return reference::make_products(spec, s);
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
