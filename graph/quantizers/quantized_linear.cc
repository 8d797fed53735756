// graph/quantizers/quantized_linear.cc: uniform quantiser; value = code × S.
//   S   2^(integer - bits + keep_negative), times alpha where that is a number; from the data
//       where alpha is "auto" or "auto_po2"
//   code clip(x/S, lo, hi) rounded to even; 1 signed bit: -1/2 or +1/2 (codes here count half
//   steps)
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"
#include "graph/quantizers_table.h"
#include "graph/support/error.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_linear";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8},        {"integer", 0},
          {"symmetric", 1},   {"keep_negative", true},
          {"alpha", {}},      {"use_stochastic_rounding", false},
          {"scale_axis", {}}, {"qnoise_factor", 1.0},
          {"var_name", {}},   {"use_variables", false}};
}

void construct(Attributes& a) {
  const Settings s(kName, a);
  s.check(s.real("bits") > 0, "bits must be positive, found ", a["bits"]);
  check_alpha(s);
}

void set_trainable_parameter(Attributes& a) {
  if (!a["alpha"].is_none()) return;
  a.set("alpha", "auto_po2");
  a.set("symmetric", true);
}

/// The grid: codes lo..hi around `offset`, S of scale 1.
struct Grid {
  explicit Grid(const Settings& s)
      : keep_negative(s.flag("keep_negative")),
        bits(s.integer("bits")),
        sign_mode(bits == 1 && keep_negative) {
    const double top = std::exp2(static_cast<double>(bits - (keep_negative ? 1 : 0)));
    lo = sign_mode ? -0.5f : keep_negative ? static_cast<float>(-top + s.real("symmetric")) : 0.0f;
    hi = sign_mode ? 0.5f : static_cast<float>(top - 1);
    offset = sign_mode ? 0.5f : 0.0f;
    unit = static_cast<float>(
        std::exp2(static_cast<double>(s.integer("integer") - bits + (keep_negative ? 1 : 0))));
  }
  bool keep_negative;
  int64_t bits;
  bool sign_mode;
  float lo, hi, offset, unit;
};

/// Codes of x under the scale S; halves in sign mode.
std::vector<float> codes_of(const std::vector<float>& x, const Broadcast& scale, const Grid& g,
                            const Rounding& rounded) {
  std::vector<float> codes(x.size());
  const auto fill = [&](const auto& round) {
    scale.for_each([&](size_t i, float step) {
      const float u = clip(x[i] / step, g.lo, g.hi);
      codes[i] = round(u - g.offset) + g.offset;
    });
  };
  rounded.with(fill);
  return codes;
}

/// S from the data: the largest value fills the range; "auto_po2" rounds that to a power of two and
/// then repeats least squares until it stays, five times at most.
Tensor scale_from_data(const Settings& s, const Grid& g, const std::vector<float>& x,
                       const Extents& extents, Division division, Draws* draws) {
  const auto rank = static_cast<int>(extents.size());
  const ScaleMap map(extents, rank > 1 ? reduced_axes(s["scale_axis"], rank, kName)
                                       : std::vector<bool>(extents.size(), false));
  std::vector<float> magnitudes = x;
  if (g.keep_negative)
    for (float& v : magnitudes) v = std::fabs(v);
  std::vector<float> scale = map.maximum(magnitudes);
  const bool power_of_two = s.text("alpha") == "auto_po2";
  for (float& v : scale) {
    v = divide(g.keep_negative ? v * 2.0f : v, g.hi - g.lo, division);
    if (v < kEpsilon) v = kEpsilon;
    if (power_of_two) v = nearest_power_of_two(v + kEpsilon, division);
  }
  Tensor result = map.tensor(scale);
  for (int round = 0; power_of_two && round < (g.sign_mode ? 1 : 5); ++round) {
    const std::vector<float> codes =
        codes_of(x, Broadcast(result, extents, kName), g, Rounding(draws, 1));
    Tensor next = least_squares_scale(
        true, x, codes, extents,
        {.quantizer = kName, .scale_axis = s["scale_axis"], .division = division});
    const bool stays = equal_values(next, result);
    result = std::move(next);
    if (stays) break;  // drawn codes differ from round to round, but QKeras stops here too
  }
  return result;
}

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  const Grid g(s);
  const std::vector<float> values = flushed(x);
  Tensor scale = Tensor({1}, std::vector<float>{g.unit});
  if (is_auto(s)) {
    scale =
        scale_from_data(s, g, values, x.extents(), options.division, rounding_draws(s, options));
  } else if (!s.is_none("alpha")) {
    const Tensor alpha = s.array("alpha");
    std::vector<float> products;
    for (const float v : alpha.f32()) products.push_back(v * g.unit);
    scale = Tensor(alpha.extents(), std::move(products));
  }
  const Broadcast step(scale, x.extents(), "quantized_linear: alpha");
  const double noise = s.real("qnoise_factor");
  Outcome out;
  out.codes = codes_of(values, step, g, Rounding(rounding_draws(s, options), 1));
  out.q.resize(values.size());
  out.y.resize(values.size());
  step.for_each([&](size_t i, float width) {
    out.q[i] = out.codes[i] * width;
    out.y[i] = straight_through(values[i], out.q[i], noise);
    if (g.sign_mode) out.codes[i] *= 2;
  });
  std::vector<float> relative;
  for (const float v : scale.f32()) relative.push_back(v / g.unit);
  return assemble(x, std::move(out), scaled(scale, g.sign_mode ? 0.5 : 1.0),
                  Tensor(scale.extents(), std::move(relative)));
}

Numeric values(const Attributes& a) {
  const Settings s(kName, a);
  const Grid g(s);
  const int64_t fraction = g.bits - (g.keep_negative ? 1 : 0) - s.integer("integer");
  if (s.real("qnoise_factor") != 1 || g.bits > 60) return Numeric::float32();
  if (g.sign_mode) return Numeric::binary(static_cast<int>(fraction + 1));
  return integer_set(static_cast<int64_t>(g.lo), static_cast<int64_t>(g.hi), fraction);
}

ScaleRule scale(const Attributes& a) { return alpha_rule(Settings(kName, a)); }

bool monotone(const Attributes& a) {
  const ScaleRule rule = scale(a);
  if (rule.kind == ScaleRule::Kind::data) return false;
  for (const double v : rule.constant)
    if (!(v > 0)) return false;
  return true;
}

Attributes config(const Attributes& a) {
  return pick(a, {"bits", "integer", "symmetric", "alpha", "keep_negative",
                  "use_stochastic_rounding", "qnoise_factor"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  s.check(s.is_none("alpha") || s.is_text("alpha"),
          "QKeras cannot print this class with a numeric alpha");
  std::string text = "quantized_linear(" + python_text(a["bits"]) + "," +
                     python_text(a["integer"]) + "," + python_integer(s, "symmetric");
  if (!s.flag("keep_negative")) text += ",keep_negative=False";
  if (s.flag("alpha")) text += "," + alpha_text(s);
  if (s.flag("use_stochastic_rounding")) text += ",use_stochastic_rounding=1";
  return text + ")";
}

double max(const Attributes& a) {
  const Grid g(Settings(kName, a));
  return g.hi * g.unit;
}

double min(const Attributes& a) {
  const Grid g(Settings(kName, a));
  return g.lo * g.unit;
}

std::vector<float> range(const Attributes& a) {
  const Settings s(kName, a);
  const Grid g(s);
  s.check(g.bits <= 24, "range() of ", g.bits, " bits is too long");
  if (g.sign_mode) return {g.hi * g.unit, g.lo * g.unit};
  std::vector<float> result;
  for (float k = 0; k <= g.hi; ++k) result.push_back(k * g.unit);
  for (float k = g.lo; k < 0; ++k) result.push_back(k * g.unit);
  return result;
}

std::vector<std::string> notes(const Attributes& a) {
  const Settings s(kName, a);
  std::vector<std::string> result;
  if (s.integer("integer") > 0 && s.integer("integer") >= s.integer("bits"))
    result.push_back("integer >= bits: the step is " +
                     python_text(static_cast<double>(Grid(s).unit)));
  return result;
}

}  // namespace

extern constinit const QuantizerDef quantized_linear{
    .name = kName,
    .doc = "Uniform quantiser: code × step, codes clipped, then rounded to even.",
    .source = "QKeras qkeras/quantizers.py, quantized_linear",
    .arguments = arguments,
    .construct = construct,
    .set_trainable_parameter = set_trainable_parameter,
    .values = values,
    .scale = scale,
    .forward = forward,
    .monotone = monotone,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .range = range,
    .bounds_times_scale = true,
    .draws = rounds_stochastically,
    .notes = notes};

}  // namespace qloom::quantizers
