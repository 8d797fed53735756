// graph/quantizers/stochastic_binary.cc: at inference it is binary; in training the sign is drawn.
#include "graph/quantizers/support/signs.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "stochastic_binary";

std::vector<ArgumentDef> arguments() {
  return {{"alpha", {}}, {"temperature", 6.0}, {"use_real_sigmoid", true}};
}

void construct(Attributes& a) { check_alpha(Settings(kName, a)); }

void set_trainable_parameter(Attributes& a) {
  if (a["alpha"].is_none()) a.set("alpha", "auto_po2");
}

Numeric values(const Attributes&) { return Numeric::binary(); }

ScaleRule scale(const Attributes& a) { return alpha_rule(Settings(kName, a)); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  if (options.draws != nullptr) return signs::drawn_binary(Settings(kName, a), x, options, false);
  Attributes b = a;
  b.set("use_01", false);
  b.set("use_stochastic_rounding", false);
  for (const std::string_view name :
       {"scale_axis", "elements_per_scale", "min_po2_exponent", "max_po2_exponent"})
    b.set(name, {});
  return signs::binary(Settings(kName, b), x, options);
}

bool monotone(const Attributes& a) { return !a["alpha"].is_string(); }

Attributes config(const Attributes& a) {
  return pick(a, {"alpha", "temperature", "use_real_sigmoid"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = signs::opening(s);
  if (s.real("temperature") != 6.0)
    signs::add(text, "temperature=" + python_text(a["temperature"]));
  if (!s.flag("use_real_sigmoid"))
    signs::add(text, "use_real_sigmoid=" + python_integer(s, "use_real_sigmoid"));
  return text + ")";
}

double max(const Attributes& a) { return alpha_bound(Settings(kName, a)); }

double min(const Attributes& a) { return -max(a); }

}  // namespace

extern constinit const QuantizerDef stochastic_binary{
    .name = kName,
    .doc = "binary whose sign is drawn in training; deterministic at inference.",
    .source = "QKeras qkeras/quantizers.py, stochastic_binary",
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
