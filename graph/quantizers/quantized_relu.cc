// graph/quantizers/quantized_relu.cc: relu, clipped and quantised; leaky with negative_slope.
//   n = bits, less one for the sign with a slope; m = 2^n, mi = 2^integer
//   plain    p = x·m/mi               q = mi·clip(rint(p)/m, 0, 1 - 1/m)
//   sigmoid  p = σ(x/mi)·m            q = mi·clip(2·(rint(p)/m) - 1, 0, 1 - 1/m)
//   a slope s > 0 adds mi·s·clip(rint(p·s)/(s·m), -1, 0), with 2·(…) - 1 in sigmoid mode
// The output is x_u + λ(q - x_u) for the clipped float activation x_u.
#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_relu";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8},
          {"integer", 0},
          {"use_sigmoid", 0},
          {"negative_slope", 0.0},
          {"use_stochastic_rounding", false},
          {"relu_upper_bound", {}},
          {"is_quantized_clip", true},
          {"qnoise_factor", 1.0},
          {"var_name", {}},
          {"use_ste", true},
          {"use_variables", false},
          {"enable_fast_inference", false}};
}

void construct(Attributes& a) {
  const Settings s(kName, a);
  const double slope = s.real("negative_slope");
  int exponent = 0;
  s.check(slope == 0 || (slope > 0 && std::frexp(slope, &exponent) == 0.5),
          "negative_slope must be 0 or a power of two, found ", a["negative_slope"]);
}

int64_t magnitude_bits(const Settings& s) {
  return s.integer("bits") - (s.real("negative_slope") != 0 ? 1 : 0);
}

/// The negative end -slope·m of the codes is no integer when slope·m < 1: the grid is finer by this
/// many bits then.
int64_t extra_bits(const Settings& s) {
  const double slope = s.real("negative_slope");
  if (!(slope > 0) || s.flag("enable_fast_inference")) return 0;
  return std::max<int64_t>(0, -std::ilogb(slope) - magnitude_bits(s));
}

/// 2^integer, one for all or one per channel of the last axis.
Tensor integer_factor(const Settings& s) {
  const Tensor integer = s.array("integer");
  std::vector<float> factors;
  for (const float v : integer.f32())
    factors.push_back(int32_pow2(static_cast<int64_t>(v), kName, "integer"));
  return Tensor(integer.extents(), std::move(factors));
}

/// The path that QKeras compiles on its own: no straight-through sum, every other option ignored.
Quantized forward_fast(const Settings& s, const Tensor& x) {
  const int64_t bits = s.integer("bits");
  const float factor = int32_pow2(s.integer("integer"), kName, "integer");
  const float m = pow2(static_cast<float>(bits - s.integer("integer")));
  const float step = pow2(static_cast<float>(-bits));
  Outcome out;
  for (const float v : flushed(x)) {
    const float y = factor * clip(std::rint(v * m) * step, 0.0f, 1.0f - step);
    out.codes.push_back(y / (factor * step));
    out.y.push_back(y);
  }
  out.q = out.y;
  return assemble(x, std::move(out), Tensor::scalar(static_cast<double>(factor) * step), {});
}

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  if (s.flag("enable_fast_inference")) return forward_fast(s, x);
  const int64_t n = magnitude_bits(s);
  const auto slope = static_cast<float>(s.real("negative_slope"));
  const float m = int32_pow2(n, kName, "bits");
  const Tensor factors = integer_factor(s);
  const Broadcast factor(factors, x.extents(), "quantized_relu: integer");
  const bool sigmoid = s.flag("use_sigmoid");
  const bool quantized_clip = s.flag("is_quantized_clip");
  const bool bounded = !quantized_clip && !s.is_none("relu_upper_bound");
  const float bound = bounded ? static_cast<float>(s.real("relu_upper_bound")) : 0.0f;
  const float top = 1.0f - 1.0f / m;
  const auto weight = static_cast<float>(1.0 / static_cast<double>(slope * m));
  const float grid = pow2(static_cast<float>(n + extra_bits(s)));  // codes per mi
  const std::vector<float> values = flushed(x);
  const double noise = s.real("qnoise_factor");
  const bool use_ste = s.flag("use_ste");
  const Rounding rounded(rounding_draws(s, options), 2);  // QKeras draws half steps here
  Outcome out;
  out.q.resize(values.size());
  out.codes.resize(values.size());
  out.y.resize(values.size());
  rounded.with([&](const auto& round) {
    factor.for_each([&](size_t i, float mi) {
      const float v = values[i];
      const float leaky = v > 0 ? v : std::isnan(v) ? v : slope * v;
      const float limit = quantized_clip ? mi - mi * pow2(static_cast<float>(-n)) : bound;
      const float base = (quantized_clip || bounded) && !(v <= limit) ? limit : leaky;
      const float p = sigmoid ? internal_sigmoid(v / mi, options.internal_sigmoid) * m : v * m / mi;
      const float r = round(p) / m;
      float q = mi * clip(sigmoid ? 2.0f * r - 1.0f : r, 0.0f, top);
      if (slope > 0) {
        const float below = round(p * slope) * weight;
        q += mi * slope * clip(sigmoid ? 2.0f * below - 1.0f : below, -1.0f, 0.0f);
      }
      if (bounded && bound != 0 && !(q <= bound)) q = std::isnan(q) ? q : bound;
      out.q[i] = q;
      out.codes[i] = q / mi * grid;
      out.y[i] = straight_through(base, q, noise, use_ste);
    });
  });
  const double unit = std::exp2(-static_cast<double>(n + extra_bits(s)));
  keep_whole_codes(out);  // a bound may lie between two
  return assemble(
      x, std::move(out),
      factors.size() == 1 ? Tensor::scalar(factors.f32()[0] * unit) : scaled(factors, unit), {});
}

Numeric values(const Attributes& a) {
  const Settings s(kName, a);
  const int64_t n = magnitude_bits(s);
  const double slope = s.real("negative_slope");
  const bool fast = s.flag("enable_fast_inference");
  const bool vector = s["integer"].is_list();
  if (n < 0 || n > 31 || (!fast && s.real("qnoise_factor") != 1)) return Numeric::float32();
  const int64_t extra = extra_bits(s);
  if (extra > 24) return Numeric::float32();
  const int64_t fraction = n + extra - (vector ? 0 : s.integer("integer"));
  const auto unit = static_cast<double>(int64_t{1} << extra);
  const auto m = static_cast<double>(int64_t{1} << n);
  double hi = unit * (n > 24 ? m : m - 1);  // 1 - 1/m rounds to 1 in float32
  const double lo = slope > 0 && !fast ? -slope * m * unit : 0;
  if (!fast && !s.flag("is_quantized_clip") && s.flag("relu_upper_bound")) {
    // A bound below the top code must be a code itself.
    const double bound =
        std::ldexp(static_cast<float>(s.real("relu_upper_bound")), static_cast<int>(fraction));
    if (bound < hi && (vector || bound != std::rint(bound))) return Numeric::float32();
    hi = std::min(hi, bound);
  }
  if (lo > hi) return Numeric::float32();
  return integer_set(static_cast<int64_t>(lo), static_cast<int64_t>(hi), fraction);
}

ScaleRule scale(const Attributes& a) {
  const Settings s(kName, a);
  if (!s["integer"].is_list()) return {};
  const Tensor factors = integer_factor(s);
  return {.kind = ScaleRule::Kind::constant,
          .power_of_two = true,
          .constant = {factors.f32().begin(), factors.f32().end()}};
}

bool monotone(const Attributes& a) {
  const Settings s(kName, a);
  return s.flag("enable_fast_inference") || s.real("negative_slope") >= 0;
}

Attributes config(const Attributes& a) {
  return pick(a, {"bits", "integer", "use_sigmoid", "negative_slope", "use_stochastic_rounding",
                  "relu_upper_bound", "qnoise_factor"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string integer = python_text(a["integer"]);
  std::erase(integer, ',');  // printed as an array: [0 1 2]
  std::string text = "quantized_relu(" + python_text(a["bits"]) + "," + integer;
  const bool stochastic = s.flag("use_stochastic_rounding");
  if (s.flag("use_sigmoid") || stochastic) text += "," + python_integer(s, "use_sigmoid");
  if (s.flag("negative_slope")) text += "," + python_text(a["negative_slope"]);
  if (stochastic) text += "," + python_integer(s, "use_stochastic_rounding");
  return text + ")";
}

double max(const Attributes& a) {
  const Settings s(kName, a);
  if (magnitude_bits(s) <= 0) return 1.0;
  s.check(!s["integer"].is_list() || s["integer"].as_reals().size() == 1,
          "max() needs one integer, found ", a["integer"]);
  return std::max(1.0, std::exp2(static_cast<double>(s.array("integer").f32()[0])));
}

double min(const Attributes& a) {
  const Settings s(kName, a);
  const double slope = s.real("negative_slope");
  if (slope == 0) return 0.0;
  if (s.integer("bits") <= 1) return -1.0;
  s.check(!s["integer"].is_list() || s["integer"].as_reals().size() == 1,
          "min() needs one integer, found ", a["integer"]);
  return std::min(-0.0, -slope * std::exp2(static_cast<double>(s.array("integer").f32()[0])));
}

std::vector<float> range(const Attributes& a) {
  const Settings s(kName, a);
  s.check(!s.flag("use_sigmoid"), "range() needs use_sigmoid = 0");
  s.check(s.real("negative_slope") == 0, "range() needs negative_slope = 0");
  s.check(!s["integer"].is_list(), "range() needs one integer, found ", a["integer"]);
  const int64_t bits = s.integer("bits");
  s.check(bits >= 0 && bits <= 24, "range() of ", bits, " bits");
  std::vector<float> result;
  for (int64_t k = 0; k < (int64_t{1} << bits); ++k)
    result.push_back(static_cast<float>(
        std::ldexp(static_cast<double>(k), static_cast<int>(s.integer("integer") - bits))));
  return result;
}

std::vector<std::string> notes(const Attributes& a) {
  const Settings s(kName, a);
  std::vector<std::string> result;
  if (s.flag("use_sigmoid"))
    result.push_back("use_sigmoid = " + python_text(a["use_sigmoid"]) +
                     ": the sigmoid form, which uses every second code");
  if (!s["integer"].is_list() && s.integer("integer") > magnitude_bits(s))
    result.push_back(
        "integer = " + python_text(a["integer"]) + " of " + python_text(a["bits"]) +
        " bits: the step is " +
        python_text(std::exp2(static_cast<double>(s.integer("integer") - magnitude_bits(s)))));
  if (s.flag("relu_upper_bound") && s.flag("is_quantized_clip"))
    result.push_back("relu_upper_bound is ignored unless is_quantized_clip is False");
  return result;
}

}  // namespace

extern constinit const QuantizerDef quantized_relu{
    .name = kName,
    .doc = "Quantised relu, leaky relu or sigmoid form, clipped to its range.",
    .source = "QKeras qkeras/quantizers.py, quantized_relu",
    .arguments = arguments,
    .construct = construct,
    .values = values,
    .scale = scale,
    .forward = forward,
    .monotone = monotone,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .range = range,
    .draws = rounds_stochastically,
    .notes = notes};

}  // namespace qloom::quantizers
