// graph/quantizers/stochastic_ternary.cc: at inference it is ternary; in training values are drawn.
#include "graph/quantizers/support/signs.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "stochastic_ternary";

std::vector<ArgumentDef> arguments() {
  return {{"alpha", {}},
          {"threshold", {}},
          {"temperature", 8.0},
          {"use_real_sigmoid", true},
          {"number_of_unrolls", 5}};
}

void construct(Attributes& a) {
  const Settings s(kName, a);
  check_alpha(s);
  s.check(!a["threshold"].is_number() || s.real("threshold") != 1.0,
          "QKeras refuses threshold = 1.0");
}

void set_trainable_parameter(Attributes& a) {
  if (a["alpha"].is_none()) a.set("alpha", "auto_po2");
}

Numeric values(const Attributes&) { return Numeric::ternary(); }

ScaleRule scale(const Attributes& a) { return alpha_rule(Settings(kName, a)); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  if (options.draws != nullptr) return signs::drawn_ternary(Settings(kName, a), x, options);
  Attributes b = a;
  b.set("use_stochastic_rounding", false);
  return signs::ternary(Settings(kName, b), x, options);
}

bool monotone(const Attributes& a) { return !a["alpha"].is_string(); }

Attributes config(const Attributes& a) {
  return pick(a, {"alpha", "threshold", "temperature", "use_real_sigmoid", "number_of_unrolls"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = signs::opening(s);
  if (!s.is_none("threshold")) signs::add(text, "threshold=" + python_text(a["threshold"]));
  if (s.real("temperature") != 8.0)
    signs::add(text, "temperature=" + python_text(a["temperature"]));
  if (!s.flag("use_real_sigmoid"))
    signs::add(text, "use_real_sigmoid=" + python_integer(s, "use_real_sigmoid"));
  if (s.real("number_of_unrolls") != 5)
    signs::add(text, "number_of_unrolls=" + python_text(a["number_of_unrolls"]));
  return text + ")";
}

double max(const Attributes& a) { return alpha_bound(Settings(kName, a)); }

double min(const Attributes& a) { return -max(a); }

}  // namespace

extern constinit const QuantizerDef stochastic_ternary{
    .name = kName,
    .doc = "ternary whose values are drawn in training; deterministic at inference.",
    .source = "QKeras qkeras/quantizers.py, stochastic_ternary",
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
    .draws = [](const Attributes&) { return true; }};

}  // namespace qloom::quantizers
