#include <algorithm>
#include <limits>
#include <numeric>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "passes/edit.h"
#include "passes/pass.h"

// Weights whose scale differs along an axis that the sum runs over (automatic scales per input
// channel, groups of elements) are no common integers. Where all scales are powers of two, every
// weight of an output channel is an integer multiple of that channel's smallest step:
//   Σ a·w = step_a · step_c · Σ code_a · code'      code' = code · (scale / smallest scale), an
//   integer
// The reference sums on this grid too, so nothing changes but that kernels can multiply codes.

namespace qloom::passes {
namespace {

struct Refined {
  std::vector<int64_t> codes;
  std::vector<double> scales;  ///< per output channel
};

Refined refine(const Tensor& codes, const Tensor& scale) {
  const auto channels = static_cast<size_t>(codes.extents().back());
  const auto strides = broadcast_strides(scale.extents(), codes.extents());
  const auto code = codes.i64();
  std::vector<double> scale_of(code.size());
  Refined out{.codes = std::vector<int64_t>(code.size()),
              .scales = std::vector<double>(channels, std::numeric_limits<double>::infinity())};
  for (size_t i = 0; i < code.size(); ++i) {
    int64_t rest = static_cast<int64_t>(i), at = 0;
    for (int axis = codes.rank() - 1; axis >= 0; --axis) {
      const int64_t extent = codes.extents()[static_cast<size_t>(axis)];
      at += rest % extent * strides[static_cast<size_t>(axis)];
      rest /= extent;
    }
    scale_of[i] = scale.f64()[static_cast<size_t>(at)];
    out.scales[i % channels] = std::min(out.scales[i % channels], scale_of[i]);
  }
  for (size_t i = 0; i < code.size(); ++i)
    out.codes[i] = code[i] * static_cast<int64_t>(scale_of[i] / out.scales[i % channels]);
  return out;
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != &ops::conv && node.op != &ops::dense) continue;
    const Node* kernel = graph.constant_of(node.operands[1]);
    // The reference has codes here exactly if the common grid exists.
    if (kernel == nullptr || !graph.type(node.results[0]).has_codes()) continue;
    const TensorType type = graph.type(kernel->results[0]);
    const Tensor scale = type.scale.values();
    if (!type.has_codes() || channels_of_constant(scale.extents()) >= 0) continue;
    const Refined refined = refine(*kernel->constant, scale);
    const auto [lo, hi] = std::minmax_element(refined.codes.begin(), refined.codes.end());
    Extents scale_extents(type.shape.size(), 1);
    scale_extents.back() = static_cast<int64_t>(refined.scales.size());
    TensorType refined_type{.shape = type.shape,
                            .numeric = Numeric::integers(*lo, *hi, type.numeric.grid()->fraction),
                            .scale = Scale::constant(Tensor(scale_extents, refined.scales))};
    const Extents extents = kernel->constant->extents();
    const ValueId fine =
        AddLike(graph, *kernel)
            .constant(kernel->name, Tensor(extents, refined.codes), std::move(refined_type));
    graph.set_operand(id, 1, fine);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef refine_weight_grids{
    .name = "refine_weight_grids",
    .doc = R"(Puts weights whose power-of-two scale varies along the sum on the finest grid of their
              output channel, so that kernels can multiply codes.
              conv(x, codes × scale[1, 1, C, K])  →  conv(x, codes' × scale[1, 1, 1, K])
              Needs: constant codes (fold_constants).  Gives: scales of weights vary along the output
              channels only.)",
    .run = run};

}  // namespace qloom::passes
