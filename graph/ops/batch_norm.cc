// graph/ops/batch_norm.cc — batch normalization at inference, in Keras's orders of rounding.
//   r = 1 / sqrt(variance + epsilon);  inv = r·gamma                 each operation rounded to
//   float32 centered, plain:               y = (x − mean)·inv + beta centered, fused_multiply_add:
//   y = fma((x − mean)·r, gamma, beta) affine:                        y = x·inv + (beta − mean·inv)
// Keras 2 uses `centered` for 4-D input, channels last; otherwise, and in QBatchNormalization,
// `affine`.
#include <algorithm>
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {
    {.name = "x"}, {.name = "gamma"}, {.name = "beta"}, {.name = "mean"}, {.name = "variance"}};

Attributes attrs(const Attributes& given) {
  auto a = from_attributes<BatchNorm>(given);
  if (!a.inverse_quantizer.empty())
    a.inverse_arguments =
        Quantizer::from_config(a.inverse_quantizer, a.inverse_arguments).arguments();
  return to_attributes(a);
}

std::vector<TensorType> infer(const InferContext& c) {
  const auto a = from_attributes<BatchNorm>(c.node.attributes);
  const TensorType& x = c.operands[0];
  const auto axis = static_cast<size_t>(check_axis(c, a.axis, x.rank()));
  check(c, x.shape[axis].is_static(), "axis ", a.axis, " is the batch axis");
  for (size_t i = 1; i < c.operands.size(); ++i)
    check(c, c.operands[i].shape == Shape{x.shape[axis]}, kOperands[i].name, " has the shape ",
          to_string(c.operands[i].shape), ", x has ", x.shape[axis].extent(), " channels");
  check(c, a.inverse_quantizer.empty() || a.form == BatchNormForm::affine,
        "an inverse quantizer needs the affine form");
  return {{x.shape, Numeric::float32(), {}}};
}

// r for each channel.
std::vector<float> reciprocal_root(const BatchNorm& a, std::span<const float> variance) {
  const auto epsilon = static_cast<float>(a.epsilon);
  std::vector<float> r;
  for (const float v : variance) r.push_back(1.0F / std::sqrt(v + epsilon));
  return r;
}

// inv for each channel, quantized if asked for.
std::vector<float> inverse(const BatchNorm& a, std::span<const float> r,
                           std::span<const float> gamma, const EvaluationOptions& options) {
  std::vector<float> inv;
  for (size_t i = 0; i < r.size(); ++i) inv.push_back(r[i] * gamma[i]);
  if (a.inverse_quantizer.empty()) return inv;
  const auto n = static_cast<int64_t>(inv.size());
  const Quantized out =
      Quantizer::from_config(a.inverse_quantizer, a.inverse_arguments)
          .forward(Tensor({n}, std::move(inv)),
                   {.internal_sigmoid = options.internal_sigmoid, .division = options.division});
  const Tensor& value = options.evaluation == Evaluation::canonical && out.q ? *out.q : out.y;
  return {value.f32().begin(), value.f32().end()};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto a = from_attributes<BatchNorm>(c.node.attributes);
  Tensor t[5];
  for (size_t i = 0; i < 5; ++i) t[i] = to_f32(c.operands[i]);
  const auto x = t[0].f32(), gamma = t[1].f32(), beta = t[2].f32(), mean = t[3].f32();
  const Extents& extents = t[0].extents();
  const auto axis = static_cast<size_t>(front_axis(a.axis, t[0].rank()));
  size_t inner = 1;
  for (size_t i = axis + 1; i < extents.size(); ++i) inner *= static_cast<size_t>(extents[i]);
  const size_t channels = gamma.size();
  const std::vector<float> r = reciprocal_root(a, t[4].f32());
  const std::vector<float> inv = inverse(a, r, gamma, c.options);
  const bool fused = c.options.batch_norm == BatchNormRounding::fused_multiply_add;
  std::vector<float> y(x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t k = i / inner % channels;
    if (a.form == BatchNormForm::affine)
      y[i] = x[i] * inv[k] + (beta[k] - mean[k] * inv[k]);
    else if (fused)
      y[i] = std::fma((x[i] - mean[k]) * r[k], gamma[k], beta[k]);
    else
      y[i] = (x[i] - mean[k]) * inv[k] + beta[k];
  }
  return single(result(c, extents, std::move(y)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {.other = 2 * elements_per_sample(results[0].shape)};
}

// Rounding keeps order, so y follows x by the sign of inv, which is that of gamma where the root is
// a positive number.
std::vector<Direction> direction(const Node& node, int operand, std::span<const TensorType> types,
                                 std::span<const Node* const> constants) {
  const auto a = from_attributes<BatchNorm>(node.attributes);
  if (operand != 0 || !constants[1] || !constants[4]) return {Direction::none};
  const Tensor gamma = constant_f32(*constants[1], types[1]);
  const Tensor variance = constant_f32(*constants[4], types[4]);
  const std::vector<float> r = reciprocal_root(a, variance.f32());
  const std::vector<float> inv = inverse(a, r, gamma.f32(), {});
  std::vector<Direction> out;
  for (size_t i = 0; i < inv.size(); ++i)
    out.push_back(!std::isfinite(inv[i]) || !std::isfinite(r[i]) ? Direction::none
                  : inv[i] > 0                                   ? Direction::up
                  : inv[i] < 0                                   ? Direction::down
                                                                 : Direction::constant);
  if (out.empty()) return {Direction::none};
  if (std::adjacent_find(out.begin(), out.end(), std::not_equal_to<>()) == out.end())
    return {out[0]};
  const int rank = types[0].rank();
  return front_axis(a.axis, rank) == rank - 1 ? out : std::vector{Direction::none};
}

}  // namespace

extern constinit const OpDef batch_norm{
    .name = "batch_norm",
    .doc =
        "Batch normalization at inference, with parameters [C] along one axis, rounded in Keras's "
        "order.",
    .operands = kOperands,
    .attrs = attrs,
    .infer = infer,
    .evaluate = evaluate,
    .count = count,
    .direction = direction};

}  // namespace qloom::ops
