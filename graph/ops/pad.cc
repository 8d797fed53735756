// graph/ops/pad.cc — zeros around x.
#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};
constexpr int64_t kMaxPadding = int64_t{1} << 31;

std::vector<TensorType> infer(const InferContext& c) {
  const auto p = from_attributes<Pad>(c.node.attributes);
  const TensorType& x = c.operands[0];
  check(c, p.before.size() == x.shape.size() && p.after.size() == x.shape.size(), "before has ",
        p.before.size(), " and after ", p.after.size(), " entries, x has ", x.rank(), " axes");
  Shape shape;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    const int64_t b = p.before[i], a = p.after[i];
    check(c, b >= 0 && a >= 0 && b < kMaxPadding && a < kMaxPadding, "padding (", b, ", ", a,
          ") on axis ", i, " has to lie in 0 to 2^31");
    check(c, x.shape[i].is_static() || (a == 0 && b == 0), "the batch axis cannot be padded");
    shape.push_back(x.shape[i].is_batch() ? x.shape[i] : Dim(x.shape[i].extent() + a + b));
  }
  // A scale that changes along a padded axis has no value for the new elements.
  std::vector<int64_t> padded;
  for (size_t i = 0; i < x.shape.size(); ++i)
    if (p.before[i] + p.after[i] > 0) padded.push_back(static_cast<int64_t>(i));
  if (x.has_codes() && constant_along(x.scale, x.rank(), padded)) {
    const int fraction = x.numeric.grid()->fraction;
    const Numeric numeric =
        padded.empty() ? x.numeric : join(x.numeric, Numeric::integers(0, 0, fraction));
    if (numeric.grid()) return {{std::move(shape), numeric, x.scale}};
  }
  if (const auto grid = power_grid(x); grid) {
    const Numeric numeric = join(grid->numeric(), Numeric::integers(0, 0, -grid->exponent));
    return {{std::move(shape), numeric, {}}};
  }
  return {{std::move(shape), Numeric::float32(), {}}};
}

template <class T, class X>
std::vector<T> pad_with_zeros(const X& x, const Extents& from, const Extents& to,
                              const std::vector<int64_t>& before) {
  std::vector<T> out(static_cast<size_t>(element_count(to)), T{0});
  std::vector<int64_t> strides(to.size(), 1);
  for (size_t i = to.size(); i-- > 1;) strides[i - 1] = strides[i] * to[i];
  int64_t origin = 0;
  for (size_t i = 0; i < to.size(); ++i) origin += before[i] * strides[i];
  const std::vector<int64_t> none(to.size(), 0);
  for_each_offset(from, strides, none, [&](int64_t i, int64_t at, int64_t) {
    out[static_cast<size_t>(origin + at)] = x[static_cast<size_t>(i)];
  });
  return out;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto p = from_attributes<Pad>(c.node.attributes);
  const RuntimeValue& x = c.operands[0];
  const Extents& from = x.data.extents();
  Extents to = from;
  for (size_t i = 0; i < to.size(); ++i) to[i] += p.before[i] + p.after[i];
  if (wants_codes(c)) {
    const TensorType& type = c.results[0];
    std::vector<int64_t> codes(x.data.i64().begin(), x.data.i64().end());
    if (x.type.scale != type.scale) codes = codes_on(x, -type.numeric.grid()->fraction);
    return single(result(c, to, pad_with_zeros<int64_t>(codes, from, to, p.before)));
  }
  const Tensor f = to_f32(x);
  return single(result(c, to, pad_with_zeros<float>(f.f32(), from, to, p.before)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef pad{.name = "pad",
                                 .doc = "Zeros before and after x on each axis but the batch axis.",
                                 .operands = kOperands,
                                 .attrs = attrs_of<Pad>,
                                 .infer = infer,
                                 .evaluate = evaluate,
                                 .count = count};

}  // namespace qloom::ops
