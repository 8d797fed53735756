#include "passes/tail/reference_order.h"

#include <cmath>
#include <optional>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/fields.h"
#include "kernels/functions/float_function.h"

namespace qloom::passes {
namespace {

using kernels::TailOp;
using Values = std::vector<float>;

int operand_step(const ReferenceOp& op, size_t i) {
  if (op.operands[i] >= 0) return op.operands[i];
  return op.builder.constant(
      constant_values(op.body, *op.body.constant_of(op.node.operands[i]), op.options));
}

ReferenceStep elementwise(const ReferenceOp& op) {
  const auto attributes = from_attributes<ops::ElementwiseOp>(op.node.attributes);
  const int a = operand_step(op, 0);
  if (attributes.kind == ops::Elementwise::divide && attributes.constant_divisor &&
      op.options.division == Division::reciprocal) {
    if (op.operands[1] >= 0) return {-1, "division by what was a constant"};
    Values inverse =
        constant_values(op.body, *op.body.constant_of(op.node.operands[1]), op.options);
    for (float& v : inverse) v = 1.0F / v;
    return {op.builder.step(TailOp::multiply, a, op.builder.constant(std::move(inverse))), {}};
  }
  const int b = operand_step(op, 1);
  constexpr TailOp kOps[] = {TailOp::add,    TailOp::subtract, TailOp::multiply,
                             TailOp::divide, TailOp::maximum,  TailOp::minimum};
  int result = op.builder.step(kOps[static_cast<size_t>(attributes.kind)], a, b);
  // Codes know no -0, which a product of floats may be.
  if (attributes.kind == ops::Elementwise::multiply && op.body.type(op.node.results[0]).has_codes())
    result = op.builder.step(TailOp::add, result, op.builder.real(0.0F));
  return {result, {}};
}

/// Parameters spread over the channels.
Values spread(Values v, size_t channels) {
  if (v.size() == 1) v.resize(channels, v[0]);
  return v;
}

ReferenceStep batch_norm(const ReferenceOp& op) {
  const auto attributes = from_attributes<ops::BatchNorm>(op.node.attributes);
  const auto channels = static_cast<size_t>(op.body.type(op.node.results[0]).shape.back().extent());
  Values parameter[5];
  for (size_t i = 1; i < 5; ++i) {
    const Node* constant = op.body.constant_of(op.node.operands[i]);
    if (constant == nullptr) return {-1, "batch normalization whose parameters are no constants"};
    parameter[i] = spread(constant_values(op.body, *constant, op.options), channels);
  }
  const auto &gamma = parameter[1], &beta = parameter[2], &mean = parameter[3],
             &variance = parameter[4];
  const auto epsilon = static_cast<float>(attributes.epsilon);
  Values r(channels), inverse(channels);
  for (size_t c = 0; c < channels; ++c) {
    const float shifted = variance[c] + epsilon;
    const float root = std::sqrt(shifted);
    r[c] = 1.0F / root;
    inverse[c] = r[c] * gamma[c];
  }
  if (!attributes.inverse_quantizer.empty()) {
    const Quantizer q =
        Quantizer::from_config(attributes.inverse_quantizer, attributes.inverse_arguments);
    const Quantized quantized = q.forward(
        Tensor({static_cast<int64_t>(channels)}, inverse),
        {.internal_sigmoid = op.options.internal_sigmoid, .division = op.options.division});
    const Tensor& canonical = quantized.q ? *quantized.q : quantized.y;
    inverse.assign(canonical.f32().begin(), canonical.f32().end());
  }
  TailBuilder& b = op.builder;
  const int x = operand_step(op, 0);
  if (attributes.form == ops::BatchNormForm::centered) {
    const int centered = b.step(TailOp::subtract, x, b.constant(mean));
    if (op.options.batch_norm == BatchNormRounding::fused_multiply_add) {
      const int scaled = b.step(TailOp::multiply, centered, b.constant(r));
      return {b.step(TailOp::fused_multiply_add, scaled, b.constant(gamma), b.constant(beta)), {}};
    }
    const int scaled = b.step(TailOp::multiply, centered, b.constant(inverse));
    return {b.step(TailOp::add, scaled, b.constant(beta)), {}};
  }
  Values offset(channels);
  for (size_t c = 0; c < channels; ++c) {
    const float moved = mean[c] * inverse[c];
    offset[c] = beta[c] - moved;
  }
  const int scaled = b.step(TailOp::multiply, x, b.constant(inverse));
  return {b.step(TailOp::add, scaled, b.constant(offset)), {}};
}

/// clip(slope·x + 0.5, 0, 1), rounded where it says so, and 2·that − 1.
struct HardSigmoid {
  std::string_view name;
  float slope;
  bool tanh, rounds = false;
};
constexpr HardSigmoid kHardSigmoids[] = {
    {"keras_hard_sigmoid", 0.2F, false}, {"hard_sigmoid", 0.5F, false},
    {"smooth_sigmoid", 0.1875F, false},  {"hard_tanh", 0.5F, true},
    {"smooth_tanh", 0.1875F, true},      {"binary_sigmoid", 0.5F, false, true},
    {"binary_tanh", 0.5F, true, true},
};

int hard_sigmoid(TailBuilder& b, int x, const HardSigmoid& form) {
  x = b.step(TailOp::add, b.step(TailOp::multiply, b.real(form.slope), x), b.real(0.5F));
  x = b.step(TailOp::minimum, x, b.real(1.0F));
  x = b.step(TailOp::maximum, x, b.real(0.0F));
  if (form.rounds) x = b.step(TailOp::round_even, x);
  if (!form.tanh) return x;
  return b.step(TailOp::subtract, b.step(TailOp::multiply, b.real(2.0F), x), b.real(1.0F));
}

/// The function in float64 that an activation is, or is made of.
std::optional<kernels::FloatFunction> float_function(std::string_view activation) {
  if (activation == "swish") return kernels::FloatFunction::sigmoid;
  for (int i = 0; i < kernels::kFloatFunctions; ++i)
    if (const auto f = static_cast<kernels::FloatFunction>(i); name_of(f) == activation) return f;
  return std::nullopt;
}

ReferenceStep activation(const ReferenceOp& op) {
  const auto attributes = from_attributes<ops::Activation>(op.node.attributes);
  TailBuilder& b = op.builder;
  if (!has_reference_form(attributes.function))
    return {-1, "activation " + attributes.function + " as float32 operations"};
  const int x = operand_step(op, 0);
  if (attributes.function == "linear") return {x, {}};
  if (attributes.function == "sqrt") return {b.step(TailOp::square_root, x), {}};
  for (const HardSigmoid& form : kHardSigmoids)
    if (form.name == attributes.function) return {hard_sigmoid(b, x, form), {}};
  if (const auto f = float_function(attributes.function)) {
    const int y = b.step(TailOp::function, x, -1, -1, static_cast<int>(*f));
    if (attributes.function == "swish") return {b.step(TailOp::multiply, x, y), {}};
    if (*f != kernels::FloatFunction::elu || attributes.alpha == 1) return {y, {}};
    const int scaled = b.step(TailOp::multiply, b.real(static_cast<float>(attributes.alpha)), y);
    return {b.step(TailOp::select, b.step(TailOp::greater_equal, b.real(0.0F), x), scaled, x), {}};
  }
  if (attributes.function == "softsign") {
    const int magnitude = b.step(TailOp::maximum, x, b.step(TailOp::subtract, b.real(0.0F), x));
    return {b.step(TailOp::divide, x, b.step(TailOp::add, magnitude, b.real(1.0F))), {}};
  }
  // max_value where x >= max_value, x where threshold < x, else negative_slope · (x - threshold)
  const int threshold = b.real(static_cast<float>(attributes.threshold));
  int below = b.real(0.0F);
  if (attributes.negative_slope != 0) {
    below = attributes.threshold == 0 ? x : b.step(TailOp::subtract, x, threshold);
    below = b.step(TailOp::multiply, below, b.real(static_cast<float>(attributes.negative_slope)));
  }
  int y;
  if (attributes.threshold == 0 && attributes.negative_slope == 0) {
    y = b.step(TailOp::maximum, x, below);
  } else {
    y = b.step(TailOp::select, b.step(TailOp::greater_equal, threshold, x), below, x);
  }
  if (attributes.max_value) {
    const int limit = b.real(static_cast<float>(*attributes.max_value));
    y = b.step(TailOp::select, b.step(TailOp::greater_equal, x, limit), limit, y);
  }
  return {y, {}};
}

}  // namespace

bool has_reference_form(std::string_view function) {
  if (function == "linear" || function == "relu" || function == "leaky_relu") return true;
  for (const HardSigmoid& form : kHardSigmoids)
    if (form.name == function) return true;
  return function == "softsign" || function == "sqrt" || float_function(function).has_value();
}

std::vector<float> constant_values(const Graph& body, const Node& constant,
                                   const EvaluationOptions& options) {
  EvaluationOptions canonical = options;
  canonical.evaluation = Evaluation::canonical;
  const Tensor values = to_f32(constant_value(body, constant, canonical));
  return {values.f32().begin(), values.f32().end()};
}

ReferenceStep lower_in_reference_order(const ReferenceOp& op) {
  if (op.node.op == &ops::elementwise) return elementwise(op);
  if (op.node.op == &ops::batch_norm) return batch_norm(op);
  if (op.node.op == &ops::activation) return activation(op);
  return {-1, join_text(op.node.op->name, " '", op.node.name, "' as float32 operations")};
}

}  // namespace qloom::passes
