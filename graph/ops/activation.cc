// graph/ops/activation.cc — plain functions of each element, by name.
//
// QKeras's and Keras's piecewise-linear functions are rounded operation by operation, as their
// sources write them; exp, tanh, sigmoid and what is made of them are computed in float64 and
// rounded once (TensorFlow's own approximations differ from that by a few ulp and between
// machines).
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};

// clip as TensorFlow orders it, min first; NaN passes.
float clip(float v, float lo, float hi) {
  v = v > hi ? hi : v;
  return v < lo ? lo : v;
}

float round_even(float v) { return std::nearbyint(v) + 0.0F; }  // −0 becomes +0

float relu(const Activation& a, float x) {
  const auto threshold = static_cast<float>(a.threshold),
             slope = static_cast<float>(a.negative_slope);
  if (a.max_value && x >= static_cast<float>(*a.max_value)) return static_cast<float>(*a.max_value);
  if (x > threshold) return x;
  if (x != x) return x;
  if (a.negative_slope == 0) return 0.0F;
  return slope * (x - threshold);
}
float leaky_relu(const Activation& a, float x) {
  return x > 0 ? x : static_cast<float>(a.negative_slope) * x;
}
float elu(const Activation& a, float x) {
  if (x > 0) return x;
  const auto below = static_cast<float>(std::expm1(static_cast<double>(x)));
  return a.alpha == 1 ? below : static_cast<float>(a.alpha) * below;
}
float selu(const Activation&, float x) {
  constexpr double kScale = 1.0507009873554804934193349852946;
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  if (x >= 0) return static_cast<float>(kScale) * x;
  return static_cast<float>(kScale * kAlpha * std::expm1(static_cast<double>(x)));
}
float softplus(const Activation&, float x) {
  // ln(1 + e^x) = max(x, 0) + ln(1 + e^−|x|), without overflow.
  const double d = x;
  return static_cast<float>(std::fmax(d, 0.0) + std::log1p(std::exp(-std::abs(d)))) +
         (x != x ? x : 0.0F);
}
float softsign(const Activation&, float x) { return x / (std::abs(x) + 1.0F); }
double logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }
float sigmoid(const Activation&, float x) { return static_cast<float>(logistic(x)); }
float swish(const Activation& a, float x) { return x * sigmoid(a, x); }
float gelu(const Activation&, float x) {
  // x/2 · (1 + erf(x/√2)), where 1 + erf cancels below 0; a rounded argument of erfc would show in
  // float64 already.
  constexpr long double kSqrtHalf = 0.707106781186547524400844362104849039L;
  const long double d = x;
  return static_cast<float>(0.5L * d * std::erfc(-d * kSqrtHalf));
}
float exponential(const Activation&, float x) {
  return static_cast<float>(std::exp(static_cast<double>(x)));
}
float mish(const Activation&, float x) {
  const double d = x;
  return static_cast<float>(d * std::tanh(std::fmax(d, 0.0) + std::log1p(std::exp(-std::abs(d)))));
}
float hyperbolic_tangent(const Activation&, float x) {
  return static_cast<float>(std::tanh(static_cast<double>(x)));
}
float linear(const Activation&, float x) { return x; }
float keras_hard_sigmoid(const Activation&, float x) { return clip(0.2F * x + 0.5F, 0, 1); }
float hard_sigmoid(const Activation&, float x) { return clip(0.5F * x + 0.5F, 0, 1); }
float smooth_sigmoid(const Activation&, float x) { return clip(0.1875F * x + 0.5F, 0, 1); }
float binary_sigmoid(const Activation& a, float x) { return round_even(hard_sigmoid(a, x)); }
float hard_tanh(const Activation& a, float x) { return 2.0F * hard_sigmoid(a, x) - 1.0F; }
float smooth_tanh(const Activation& a, float x) { return 2.0F * smooth_sigmoid(a, x) - 1.0F; }
float binary_tanh(const Activation& a, float x) { return 2.0F * binary_sigmoid(a, x) - 1.0F; }

// What formulas of layers are made of besides sums and products.
float square_root(const Activation&, float x) { return std::sqrt(x); }
float absolute(const Activation&, float x) { return std::abs(x); }
float base_2_logarithm(const Activation&, float x) {
  return static_cast<float>(std::log2(static_cast<double>(x)));
}
float power_of_2(const Activation&, float x) {
  return static_cast<float>(std::exp2(static_cast<double>(x)));
}
float ceiling(const Activation&, float x) { return std::ceil(x); }
float rounded(const Activation&, float x) { return round_even(x); }
float is_positive(const Activation&, float x) { return x > 0 ? 1.0F : 0.0F; }

bool always(const Activation&) { return true; }
bool relu_rises(const Activation& a) {
  return a.negative_slope >= 0 && a.threshold >= 0 && (!a.max_value || *a.max_value >= a.threshold);
}
bool leaky_rises(const Activation& a) { return a.negative_slope >= 0; }
bool elu_rises(const Activation& a) { return a.alpha >= 0; }

enum class Values : uint8_t { any, bit, binary, relu, same };

struct Function {
  std::string_view name;
  float (*apply)(const Activation&, float);
  bool (*rises)(const Activation&);  // null: not non-decreasing, or not proved after rounding
  Values values = Values::any;
};

constexpr Function kFunctions[] = {
    {"linear", linear, always, Values::same},
    {"relu", relu, relu_rises, Values::relu},
    {"leaky_relu", leaky_relu, leaky_rises},
    {"elu", elu, elu_rises},
    {"selu", selu, always},
    {"softplus", softplus, always},
    {"softsign", softsign, nullptr},
    {"swish", swish, nullptr},
    {"gelu", gelu, nullptr},
    {"exponential", exponential, always},
    {"mish", mish, nullptr},
    {"sigmoid", sigmoid, always},
    {"tanh", hyperbolic_tangent, always},
    {"keras_hard_sigmoid", keras_hard_sigmoid, always},
    {"hard_sigmoid", hard_sigmoid, always},
    {"smooth_sigmoid", smooth_sigmoid, always},
    {"binary_sigmoid", binary_sigmoid, always, Values::bit},
    {"hard_tanh", hard_tanh, always},
    {"smooth_tanh", smooth_tanh, always},
    {"binary_tanh", binary_tanh, always, Values::binary},
    {"sqrt", square_root, nullptr},  // NaN below 0
    {"abs", absolute, nullptr},
    {"log2", base_2_logarithm, nullptr},
    {"exp2", power_of_2, always},
    {"ceil", ceiling, always},
    {"round", rounded, always},
    {"is_positive", is_positive, always, Values::bit},
};

const Function& function_of(const Activation& a) {
  for (const Function& f : kFunctions)
    if (f.name == a.function) return f;
  std::string names;
  for (const Function& f : kFunctions) names += (names.empty() ? "" : ", ") + std::string(f.name);
  throw UserError(join_text("'", a.function, "' is no activation function; known: ", names));
}

Attributes attrs(const Attributes& given) {
  const auto a = from_attributes<Activation>(given);
  (void)function_of(a);
  return to_attributes(a);
}

// relu without slope on a grid: codes clipped to [0, code of max_value].
std::optional<TensorType> relu_type(const Activation& a, const TensorType& x) {
  if (a.negative_slope != 0 || a.threshold != 0 || !x.has_codes() || !x.scale.is_per_tensor())
    return std::nullopt;
  const Numeric::Grid grid = *x.numeric.grid();
  const double step = x.step().f64()[0];
  if (!(step > 0)) return std::nullopt;
  int64_t hi = std::max<int64_t>(grid.hi, 0);
  if (a.max_value) {
    const double top = *a.max_value / step;
    if (!(top >= 0) || top != std::floor(top) || static_cast<float>(*a.max_value) != *a.max_value)
      return std::nullopt;
    if (top < static_cast<double>(hi)) hi = static_cast<int64_t>(top);
  }
  // Other grids than powers of two: max_value as float32 has to be what its code stands for.
  if (a.max_value && !x.scale.is_power_of_two()) return std::nullopt;
  return TensorType{
      x.shape, Numeric::integers(std::min(std::max<int64_t>(grid.lo, 0), hi), hi, grid.fraction),
      x.scale};
}

std::vector<TensorType> infer(const InferContext& c) {
  const auto a = from_attributes<Activation>(c.node.attributes);
  const TensorType& x = c.operands[0];
  switch (function_of(a).values) {
    case Values::bit:
      return {{x.shape, Numeric::bit(), {}}};
    case Values::binary:
      return {{x.shape, Numeric::binary(), {}}};
    case Values::same:
      if (!x.scale.is_dynamic()) return {x};
      break;
    case Values::relu:
      if (const auto type = relu_type(a, x)) return {*type};
      break;
    case Values::any:
      break;
  }
  return {{x.shape, Numeric::float32(), {}}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto a = from_attributes<Activation>(c.node.attributes);
  const Function& f = function_of(a);
  const RuntimeValue& x = c.operands[0];
  const Extents& extents = x.data.extents();
  const bool set = f.values == Values::bit || f.values == Values::binary;
  if (wants_codes(c) && !set) {
    std::vector<int64_t> codes(x.data.i64().begin(), x.data.i64().end());
    if (f.values == Values::relu) {
      const int64_t top = c.results[0].numeric.grid()->hi;
      for (int64_t& code : codes) code = std::min(std::max<int64_t>(code, 0), top);
    }
    return single(result(c, extents, std::move(codes)));
  }
  const Tensor t = to_f32(x);
  if (set) check_finite(c.node, t);
  std::vector<float> y;
  y.reserve(t.f32().size());
  for (const float v : t.f32()) y.push_back(f.apply(a, v));
  if (wants_codes(c))  // the members are -1, 0, 1 and so are the codes
    return single(result(c, extents, std::vector<int64_t>(y.begin(), y.end())));
  return single(result(c, extents, std::move(y)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType> results) {
  return {.other = elements_per_sample(results[0].shape)};
}

std::vector<Direction> direction(const Node& node, int, std::span<const TensorType>,
                                 std::span<const Node* const>) {
  const auto a = from_attributes<Activation>(node.attributes);
  const Function& f = function_of(a);
  return {f.rises && f.rises(a) ? Direction::up : Direction::none};
}

}  // namespace

extern constinit const OpDef activation{
    .name = "activation",
    .doc = "A plain function of each element, by name: QKeras's and Keras's activations.",
    .operands = kOperands,
    .attrs = attrs,
    .infer = infer,
    .evaluate = evaluate,
    .count = count,
    .direction = direction};

}  // namespace qloom::ops
