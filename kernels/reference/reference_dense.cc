// kernels/reference/reference_dense.cc — a dense layer of anything with anything.
#include "graph/ops_table.h"
#include "kernels/kernels_table.h"
#include "kernels/reference/products.h"

namespace qloom::kernels {
namespace {

std::unique_ptr<ReferenceCall> prepare(const ReferenceSpec& spec) {
  const Extents w = qloom::bind(spec.operands.at(1).shape, 1);
  qloom_assert(w.size() == 2 && w[0] > 0, spec.kernel, ": kernel ", spec.operands[1]);
  reference::ProductShape s;
  s.inputs = w[0];
  s.outputs = w[1];
  s.columns.in = s.columns.out = elements_per_sample(spec.operands[0].shape) / s.inputs;
  return reference::make_products(spec, s);
}

double cost(const Query& query) { return 2.0 * static_cast<double>(query.window.macs()); }

}  // namespace

extern constinit const KernelDef reference_dense{
    .name = "reference_dense",
    .doc =
        "Dense layer in plain loops: exact integers where both operands have codes, else float64 "
        "sums in ascending order.",
    .source = "own",
    .reference_op = &ops::dense,
    .reference = prepare,
    .reference_ns = cost};

}  // namespace qloom::kernels
