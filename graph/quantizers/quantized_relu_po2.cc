// graph/quantizers/quantized_relu_po2.cc: 2^E of the positive part; with negative_slope s, -2^E of
// s·|x| below zero. Without a slope x <= 0 gives the lowest power, not 0.
#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/po2.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_relu_po2";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8},
          {"max_value", {}},
          {"negative_slope", 0},
          {"use_stochastic_rounding", false},
          {"quadratic_approximation", false},
          {"log2_rounding", "rnd"},
          {"qnoise_factor", 1.0},
          {"var_name", {}},
          {"use_ste", true},
          {"use_variables", false}};
}

void construct(Attributes& a) {
  const Settings s(kName, a);
  check_po2(s);
  const double slope = s.real("negative_slope");
  int exponent = 0;
  s.check(slope == 0 || (slope > 0 && std::frexp(slope, &exponent) == 0.5),
          "negative_slope must be 0 or a power of two, found ", a["negative_slope"]);
}

Po2Exponents exponents(const Settings& s) { return Po2Exponents(s, s.integer("bits")); }

Numeric values(const Attributes& a) {
  const Settings s(kName, a);
  return exponents(s).values(s.real("negative_slope") != 0, s.real("qnoise_factor") != 1);
}

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  check_po2(s);
  const Po2Exponents e = exponents(s);
  const auto slope = static_cast<float>(s.real("negative_slope"));
  const double noise = s.real("qnoise_factor");
  const bool use_ste = s.flag("use_ste");
  Draws* const draws = rounding_draws(s, options);
  Outcome out;
  for (const float v : flushed(x)) {
    float base = v > 0 || std::isnan(v) ? v : slope == 0 ? 0.0f : slope * v;
    if (e.has_max && !(v <= static_cast<float>(e.max_value)))
      base = static_cast<float>(e.max_value);
    const bool negative = v < 0 && slope != 0;
    const float magnitude = negative ? flush(-v * slope) : v < 0 ? 0.0f : v;
    const float power = pow2(e.drawn(magnitude, options.division, draws));
    out.q.push_back(negative ? -power : power);
    out.y.push_back(straight_through(base, out.q.back(), noise, use_ste));
  }
  std::optional<Tensor> step;
  add_codes(out, e.values(slope != 0, false), step);
  return assemble(x, std::move(out), std::move(step), {});
}

/// In quadratic mode a magnitude below 1e-7 gives a larger result than those just above it.
bool monotone(const Attributes& a) { return !a["quadratic_approximation"].truthy(); }

bool uncertain(const Attributes& a, float x) {
  const Settings s(kName, a);
  const auto slope = static_cast<float>(s.real("negative_slope"));
  return exponents(s).uncertain(x < 0 ? -x * slope : x);
}

Attributes config(const Attributes& a) {
  return pick(a, {"bits", "max_value", "negative_slope", "use_stochastic_rounding",
                  "quadratic_approximation", "qnoise_factor", "log2_rounding"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = "quantized_relu_po2(" + python_text(a["bits"]) + po2_text(s);
  if (s.flag("negative_slope")) text += "," + python_text(a["negative_slope"]);
  if (s.flag("use_stochastic_rounding")) text += ",1";
  if (s.flag("quadratic_approximation")) text += ",quadratic_approximation=1";
  return text + ")";
}

double max(const Attributes& a) { return exponents(Settings(kName, a)).bound(); }

double min(const Attributes& a) {
  const Settings s(kName, a);
  const Po2Exponents e = exponents(s);
  const double lowest = std::exp2(static_cast<double>(e.lo));
  const double slope = s.real("negative_slope");
  const int64_t bits = s.integer("bits");
  if (slope == 0 || bits <= 1) return lowest;
  return std::min(lowest, -slope * std::exp2(static_cast<double>(bits - 1)));
}

bool draws(const Attributes& a) {
  return rounds_stochastically(a) && !exponents(Settings(kName, a)).floor;
}

std::vector<std::string> notes(const Attributes& a) {
  const Settings s(kName, a);
  std::vector<std::string> result;
  if (s.real("negative_slope") == 0)
    result.push_back("inputs up to 0 give the lowest power of two, not 0");
  if (!a["max_value"].is_none() && s.real("max_value") == 0)
    result.push_back("max_value = 0 gives NaN");
  return result;
}

}  // namespace

extern constinit const QuantizerDef quantized_relu_po2{
    .name = kName,
    .doc = "Powers of two of the positive part; leaky with a slope.",
    .source = "QKeras qkeras/quantizers.py, quantized_relu_po2",
    .arguments = arguments,
    .construct = construct,
    .values = values,
    .forward = forward,
    .monotone = monotone,
    .uncertain = uncertain,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .draws = draws,
    .notes = notes};

}  // namespace qloom::quantizers
