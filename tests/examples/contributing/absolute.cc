// tests/examples/contributing/absolute.cc: the op |x|.
#include <algorithm>
#include <cmath>

#include "graph/ops/common.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};

// Where steps are positive the code of |x| is |code|; anything else is computed in float32.
std::vector<TensorType> infer(const InferContext& c) {
  const TensorType& x = c.operands[0];
  if (!x.has_codes() || !is_positive(x.scale)) return {{x.shape, Numeric::float32(), {}}};
  const Numeric::Grid grid = *x.numeric.grid();
  const int64_t lo = std::max({grid.lo, -grid.hi, int64_t{0}});
  const int64_t hi = std::max(-grid.lo, grid.hi);
  return {{x.shape, Numeric::integers(lo, hi, grid.fraction), x.scale}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const RuntimeValue& x = c.operands[0];
  if (wants_codes(c)) {
    std::vector<int64_t> codes(x.data.i64().begin(), x.data.i64().end());
    for (int64_t& code : codes) code = std::abs(code);
    return single(result(c, x.data.extents(), std::move(codes)));
  }
  const Tensor values = to_f32(x);
  std::vector<float> y(values.f32().begin(), values.f32().end());
  for (float& v : y) v = std::fabs(v);
  return single(result(c, x.data.extents(), std::move(y)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {.other = elements_per_sample(results[0].shape)};
}

}  // namespace

extern constinit const OpDef absolute{.name = "absolute",
                                      .doc = "The magnitude of each element.",
                                      .operands = kOperands,
                                      .attrs = attrs_of<NoFields>,
                                      .infer = infer,
                                      .evaluate = evaluate,
                                      .count = count};

}  // namespace qloom::ops
