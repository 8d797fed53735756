#include "passes/tail/accumulator.h"

#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"

namespace qloom::passes {

Interval accumulator_interval(const Graph& body, const Node& root) {
  const Node& weights = *body.constant_of(root.operands[1]);
  const auto codes = weights.constant->i64();
  const auto channels = static_cast<size_t>(weights.constant->extents().back());
  auto grid = *body.type(root.operands[0]).numeric.grid();
  // A value set without 0 (binary) still meets zeros where taps lie in the padding.
  if (root.op == &ops::conv &&
      from_attributes<ops::Conv>(root.attributes).padding != ops::Padding::valid) {
    grid.lo = std::min<int64_t>(grid.lo, 0);
    grid.hi = std::max<int64_t>(grid.hi, 0);
  }
  Interval out{.lo = std::vector<int64_t>(channels, 0), .hi = std::vector<int64_t>(channels, 0)};
  for (size_t row = 0; row < codes.size(); row += channels)
    for (size_t n = 0; n < channels; ++n) {
      const int64_t a = codes[row + n] * grid.lo, b = codes[row + n] * grid.hi;
      out.lo[n] += std::min(a, b);
      out.hi[n] += std::max(a, b);
    }
  return out;
}

}  // namespace qloom::passes
