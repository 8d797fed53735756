// graph/quantizers/ternary.cc: scale × {-1, 0, +1}. With a fixed scale 0 below the threshold
// (0.33, not 1/3, and not times alpha); with a scale from the data 0 up to half of it.
#include "graph/quantizers/support/signs.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "ternary";

std::vector<ArgumentDef> arguments() {
  return {{"alpha", {}},
          {"threshold", {}},
          {"use_stochastic_rounding", false},
          {"number_of_unrolls", 5}};
}

void construct(Attributes& a) { check_alpha(Settings(kName, a)); }

void set_trainable_parameter(Attributes& a) {
  if (a["alpha"].is_none()) a.set("alpha", "auto_po2");
}

Numeric values(const Attributes&) { return Numeric::ternary(); }

ScaleRule scale(const Attributes& a) { return alpha_rule(Settings(kName, a)); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  return signs::ternary(Settings(kName, a), x, options);
}

bool monotone(const Attributes& a) { return !a["alpha"].is_string(); }

Attributes config(const Attributes& a) {
  return pick(a, {"alpha", "threshold", "use_stochastic_rounding", "number_of_unrolls"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = signs::opening(s);
  if (!s.is_none("threshold")) signs::add(text, "threshold=" + python_text(a["threshold"]));
  if (s.flag("use_stochastic_rounding")) signs::add(text, "use_stochastic_rounding=1");
  if (s.real("number_of_unrolls") != 5)
    signs::add(text, "number_of_unrolls=" + python_text(a["number_of_unrolls"]));
  return text + ")";
}

double max(const Attributes& a) { return alpha_bound(Settings(kName, a)); }

double min(const Attributes& a) { return -max(a); }

}  // namespace

extern constinit const QuantizerDef ternary{.name = kName,
                                            .doc = "-1, 0 or +1 times a scale.",
                                            .source = "QKeras qkeras/quantizers.py, ternary",
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
