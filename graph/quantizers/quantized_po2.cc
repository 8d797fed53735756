// graph/quantizers/quantized_po2.cc: ±2^E, never 0. E is the rounded logarithm of |x|, clipped.
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/po2.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_po2";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8},
          {"max_value", {}},
          {"use_stochastic_rounding", false},
          {"quadratic_approximation", false},
          {"log2_rounding", "rnd"},
          {"qnoise_factor", 1.0},
          {"var_name", {}},
          {"use_ste", true},
          {"use_variables", false}};
}

void construct(Attributes& a) { check_po2(Settings(kName, a)); }

Po2Exponents exponents(const Settings& s) { return Po2Exponents(s, s.integer("bits") - 1); }

Numeric values(const Attributes& a) {
  const Settings s(kName, a);
  return exponents(s).values(true, s.real("qnoise_factor") != 1);
}

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  check_po2(s);
  const Po2Exponents e = exponents(s);
  const double noise = s.real("qnoise_factor");
  const bool use_ste = s.flag("use_ste");
  Draws* const draws = rounding_draws(s, options);
  Outcome out;
  for (const float v : flushed(x)) {
    out.q.push_back(flush(sign_or_one(v) * pow2(e.drawn(std::fabs(v), options.division, draws))));
    out.y.push_back(straight_through(v, out.q.back(), noise, use_ste));
  }
  std::optional<Tensor> step;
  add_codes(out, e.values(true, false), step);
  return assemble(x, std::move(out), std::move(step), {});
}

/// In quadratic mode a magnitude below 1e-7 gives a larger result than those just above it.
bool monotone(const Attributes& a) { return !a["quadratic_approximation"].truthy(); }

bool uncertain(const Attributes& a, float x) {
  return exponents(Settings(kName, a)).uncertain(std::fabs(x));
}

Attributes config(const Attributes& a) {
  return pick(a, {"bits", "max_value", "use_stochastic_rounding", "quadratic_approximation",
                  "qnoise_factor", "log2_rounding"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = "quantized_po2(" + python_text(a["bits"]) + po2_text(s);
  if (s.flag("use_stochastic_rounding")) text += ",1";
  if (s.flag("quadratic_approximation")) text += ",quadratic_approximation=1";
  return text + ")";
}

double max(const Attributes& a) { return exponents(Settings(kName, a)).bound(); }

double min(const Attributes& a) { return -max(a); }

bool draws(const Attributes& a) {
  return rounds_stochastically(a) && !exponents(Settings(kName, a)).floor;
}

std::vector<std::string> notes(const Attributes& a) {
  const Settings s(kName, a);
  std::vector<std::string> result;
  const Po2Exponents e = exponents(s);
  if (e.lo != std::rint(e.lo)) result.push_back("too few bits: the exponents are no integers");
  if (e.has_max && e.max_value == 0) result.push_back("max_value = 0 gives NaN");
  return result;
}

}  // namespace

extern constinit const QuantizerDef quantized_po2{
    .name = kName,
    .doc = "Signed powers of two.",
    .source = "QKeras qkeras/quantizers.py, quantized_po2",
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
