// graph/ops/select.cc — element by element, one of two values.
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "condition"}, {.name = "a"}, {.name = "b"}};

std::vector<TensorType> infer(const InferContext& c) {
  const TensorType &condition = c.operands[0], &a = c.operands[1], &b = c.operands[2];
  const auto bits = condition.numeric.grid();
  check(c,
        condition.has_codes() && condition.scale.is_none() && bits->fraction == 0 &&
            bits->lo >= 0 && bits->hi <= 1,
        "the condition is not always 0 or 1");
  const Shape shape = broadcast(c, a.shape, b.shape);
  check(c, broadcast(c, condition.shape, shape) == shape,
        "the condition has more elements than what is selected");
  const TensorType both[] = {a, b};
  return {join_types(shape, both)};
}

// Spread over the elements of the result.
template <class T>
std::vector<T> spread_over(const Extents& extents, std::span<const T> x, const Extents& from) {
  std::vector<T> y(static_cast<size_t>(element_count(extents)));
  const std::vector<int64_t> none(extents.size(), 0);
  for_each_offset(extents, broadcast_strides(from, extents), none,
                  [&](int64_t i, int64_t at, int64_t) {
                    y[static_cast<size_t>(i)] = x[static_cast<size_t>(at)];
                  });
  return y;
}

template <class T>
std::vector<T> chosen(const RuntimeValue& condition, const Extents& extents, std::vector<T> a,
                      const std::vector<T>& b) {
  const Tensor bits = to_f32(condition);
  const std::vector<float> take = spread_over(extents, bits.f32(), bits.extents());
  for (size_t i = 0; i < a.size(); ++i)
    if (take[i] == 0) a[i] = b[i];
  return a;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const RuntimeValue &condition = c.operands[0], &a = c.operands[1], &b = c.operands[2];
  const Extents &ea = a.data.extents(), &eb = b.data.extents();
  const Extents extents = broadcast_extents(ea, eb);
  if (wants_codes(c)) {
    const std::vector<int64_t> x = codes_as(a, c.results[0]), y = codes_as(b, c.results[0]);
    return single(
        result(c, extents,
               chosen(condition, extents, spread_over(extents, std::span<const int64_t>(x), ea),
                      spread_over(extents, std::span<const int64_t>(y), eb))));
  }
  const Tensor x = to_f32(a), y = to_f32(b);
  return single(result(c, extents,
                       chosen(condition, extents, spread_over(extents, x.f32(), ea),
                              spread_over(extents, y.f32(), eb))));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {.other = elements_per_sample(results[0].shape)};
}

}  // namespace

extern constinit const OpDef select{.name = "select",
                                    .doc = "a where the condition is 1, else b.",
                                    .operands = kOperands,
                                    .attrs = attrs_of<NoFields>,
                                    .infer = infer,
                                    .evaluate = evaluate,
                                    .count = count};

}  // namespace qloom::ops
