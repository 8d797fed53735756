// graph/quantizers/binary.cc: scale × {-1, +1}, or {0, 1} with use_01; 0 counts as positive.
#include "graph/quantizers/support/signs.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "binary";

std::vector<ArgumentDef> arguments() {
  return {{"use_01", false},
          {"alpha", {}},
          {"use_stochastic_rounding", false},
          {"scale_axis", {}},
          {"elements_per_scale", {}},
          {"min_po2_exponent", {}},
          {"max_po2_exponent", {}}};
}

void construct(Attributes& a) { check_alpha(Settings(kName, a)); }

void set_trainable_parameter(Attributes& a) {
  if (a["alpha"].is_none()) a.set("alpha", "auto_po2");
}

Numeric values(const Attributes& a) {
  return a["use_01"].truthy() ? Numeric::bit() : Numeric::binary();
}

ScaleRule scale(const Attributes& a) { return alpha_rule(Settings(kName, a)); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  return signs::binary(Settings(kName, a), x, options);
}

bool monotone(const Attributes& a) { return !a["alpha"].is_string(); }

Attributes config(const Attributes& a) {
  return pick(a, {"use_01", "alpha", "use_stochastic_rounding"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = "binary(";
  if (s.flag("use_01")) signs::add(text, "use_01=1");
  if (!s.is_none("alpha")) signs::add(text, alpha_text(s));
  for (const std::string_view name :
       {"elements_per_scale", "scale_axis", "min_po2_exponent", "max_po2_exponent"})
    if (!s.is_none(name)) {
      std::string value = python_text(s[name]);
      std::erase(value, ' ');  // lists print as [1,2] here
      signs::add(text, std::string(name) + "=" + value);
    }
  if (s.flag("use_stochastic_rounding")) signs::add(text, "use_stochastic_rounding=True");
  return text + ")";
}

double max(const Attributes& a) { return alpha_bound(Settings(kName, a)); }

double min(const Attributes& a) {
  return a["use_01"].truthy() ? 0.0 : -alpha_bound(Settings(kName, a));
}

}  // namespace

extern constinit const QuantizerDef binary{
    .name = kName,
    .doc = "One bit: the sign of x times a scale; {0, 1} with use_01.",
    .source = "QKeras qkeras/quantizers.py, binary",
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
    .draws = rounds_stochastically};

}  // namespace qloom::quantizers
