// graph/ops/elementwise.cc — one float32 operation per element, with NumPy broadcasting.
//
// When the result has codes: both operands lie on power-of-two grids with codes within 2^24, and so
// does the result. Then float32 arithmetic is exact, and so integers give the same.
//   add, subtract, maximum, minimum: on the finer of both grids      multiply: on the product's
//   grid
#include <algorithm>
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "a"}, {.name = "b"}};

struct Exact {
  int a_exponent = 0, b_exponent = 0;
  Numeric numeric;
};

std::optional<Exact> exact_form(Elementwise kind, const TensorType& ta, const TensorType& tb) {
  if (kind == Elementwise::divide) return std::nullopt;
  const auto a = power_grid(ta), b = power_grid(tb);
  if (!a || !b || !a->within(kExactCodes) || !b->within(kExactCodes)) return std::nullopt;
  if (kind == Elementwise::multiply) {
    const Numeric n = product(a->numeric(), b->numeric());
    const auto grid = n.grid();
    if (!grid || !PowerGrid{grid->lo, grid->hi, 0}.within(kExactCodes)) return std::nullopt;
    return Exact{a->exponent, b->exponent, n};
  }
  const int exponent = std::min(a->exponent, b->exponent);
  const auto fa = on_exponent(*a, exponent), fb = on_exponent(*b, exponent);
  if (!fa || !fb) return std::nullopt;
  PowerGrid out{0, 0, exponent};
  switch (kind) {
    case Elementwise::add:
      out.lo = fa->lo + fb->lo;
      out.hi = fa->hi + fb->hi;
      break;
    case Elementwise::subtract:
      out.lo = fa->lo - fb->hi;
      out.hi = fa->hi - fb->lo;
      break;
    case Elementwise::maximum:
      out.lo = std::max(fa->lo, fb->lo);
      out.hi = std::max(fa->hi, fb->hi);
      break;
    default:
      out.lo = std::min(fa->lo, fb->lo);
      out.hi = std::min(fa->hi, fb->hi);
      break;
  }
  if (!out.within(kExactCodes)) return std::nullopt;
  return Exact{exponent, exponent, out.numeric()};
}

std::vector<TensorType> infer(const InferContext& c) {
  const auto kind = from_attributes<ElementwiseOp>(c.node.attributes).kind;
  const Shape shape = broadcast(c, c.operands[0].shape, c.operands[1].shape);
  if (const auto exact = exact_form(kind, c.operands[0], c.operands[1]))
    return {{shape, exact->numeric, {}}};
  return {{shape, Numeric::float32(), {}}};
}

// Minimum and maximum let NaN through, as TensorFlow does.
template <class T>
T apply(Elementwise kind, T a, T b) {
  switch (kind) {
    case Elementwise::add:
      return a + b;
    case Elementwise::subtract:
      return a - b;
    case Elementwise::multiply:
      return a * b;
    case Elementwise::maximum:
      return a > b || a != a ? a : b;
    case Elementwise::minimum:
      return a < b || a != a ? a : b;
    case Elementwise::divide:
      break;
  }
  return a / b;
}

template <class T, class A, class B>
std::vector<T> combine(Elementwise kind, const Extents& out, const Extents& ea, const A& a,
                       const Extents& eb, const B& b) {
  std::vector<T> y(static_cast<size_t>(element_count(out)));
  for_each_offset(out, broadcast_strides(ea, out), broadcast_strides(eb, out),
                  [&](int64_t i, int64_t ia, int64_t ib) {
                    y[static_cast<size_t>(i)] =
                        apply<T>(kind, a[static_cast<size_t>(ia)], b[static_cast<size_t>(ib)]);
                  });
  return y;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto op = from_attributes<ElementwiseOp>(c.node.attributes);
  const RuntimeValue &a = c.operands[0], &b = c.operands[1];
  const Extents &ea = a.data.extents(), &eb = b.data.extents();
  const Extents out = broadcast_extents(ea, eb);
  if (wants_codes(c)) {
    const auto exact = exact_form(op.kind, a.type, b.type);
    qloom_assert(exact, label(c.node), ": the operands have no common grid");
    return single(result(c, out,
                         combine<int64_t>(op.kind, out, ea, codes_on(a, exact->a_exponent), eb,
                                          codes_on(b, exact->b_exponent))));
  }
  const Tensor fa = to_f32(a), fb = to_f32(b);
  if (op.kind == Elementwise::divide && op.constant_divisor &&
      c.options.division == Division::reciprocal) {
    std::vector<float> inverse(fb.f32().begin(), fb.f32().end());
    for (float& v : inverse) v = 1.0F / v;
    return single(
        result(c, out, combine<float>(Elementwise::multiply, out, ea, fa.f32(), eb, inverse)));
  }
  return single(result(c, out, combine<float>(op.kind, out, ea, fa.f32(), eb, fb.f32())));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {.other = elements_per_sample(results[0].shape)};
}

// Direction of a product or quotient by the sign of the constant, per channel where it varies along
// the last axis only.
std::vector<Direction> by_sign(const Node* constant, const TensorType& type) {
  if (!constant) return {Direction::none};
  const Tensor values = constant_f32(*constant, type);
  std::vector<Direction> out;
  for (const float v : values.f32())
    out.push_back(!std::isfinite(v) ? Direction::none
                  : v > 0           ? Direction::up
                  : v < 0           ? Direction::down
                                    : Direction::constant);
  if (std::adjacent_find(out.begin(), out.end(), std::not_equal_to<>()) == out.end() &&
      !out.empty())
    return {out[0]};
  const int64_t last = values.extents().back();
  return values.size() == last ? out : std::vector{Direction::none};
}

std::vector<Direction> direction(const Node& node, int operand, std::span<const TensorType> types,
                                 std::span<const Node* const> constants) {
  const size_t other = operand == 0 ? 1 : 0;
  switch (from_attributes<ElementwiseOp>(node.attributes).kind) {
    case Elementwise::subtract:
      return {operand == 0 ? Direction::up : Direction::down};
    case Elementwise::multiply:
      return by_sign(constants[other], types[other]);
    case Elementwise::divide:
      if (operand == 1) return {Direction::none};
      {
        // 0 in the divisor gives infinities and NaN, which have no order.
        std::vector<Direction> out = by_sign(constants[1], types[1]);
        std::replace(out.begin(), out.end(), Direction::constant, Direction::none);
        return out;
      }
    default:
      return {Direction::up};
  }
}

}  // namespace

extern constinit const OpDef elementwise{
    .name = "elementwise",
    .doc =
        "a ∘ b, one float32 operation per element; codes where both lie on power-of-two grids and "
        "the result stays within 2^24 steps.",
    .operands = kOperands,
    .attrs = attrs_of<ElementwiseOp>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count,
    .direction = direction};

}  // namespace qloom::ops
