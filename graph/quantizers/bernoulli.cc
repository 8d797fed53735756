// graph/quantizers/bernoulli.cc: scale × {0, 1}, drawn with probability sigmoid(temperature·x/σ) at
// inference too: without draws there is nothing to reproduce.
#include "graph/quantizers/support/signs.h"
#include "graph/quantizers_table.h"
#include "graph/support/error.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "bernoulli";

std::vector<ArgumentDef> arguments() {
  return {{"alpha", {}}, {"temperature", 6.0}, {"use_real_sigmoid", true}};
}

void construct(Attributes& a) { check_alpha(Settings(kName, a)); }

void set_trainable_parameter(Attributes& a) {
  if (a["alpha"].is_none()) a.set("alpha", "auto_po2");
}

Numeric values(const Attributes&) { return Numeric::bit(); }

ScaleRule scale(const Attributes& a) { return alpha_rule(Settings(kName, a)); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  static_cast<void>(is_auto(s));
  if (options.draws != nullptr) return signs::drawn_binary(s, x, options, true);
  throw UserError(
      "bernoulli draws its values at random, at inference too: there is no result to reproduce. "
      "binary(use_01=True) is its deterministic form");
}

Attributes config(const Attributes& a) { return pick(a, {"alpha"}); }

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

double min(const Attributes&) { return 0.0; }

}  // namespace

extern constinit const QuantizerDef bernoulli{
    .name = kName,
    .doc = "0 or 1 times a scale, drawn at random in every phase.",
    .source = "QKeras qkeras/quantizers.py, bernoulli",
    .arguments = arguments,
    .construct = construct,
    .set_trainable_parameter = set_trainable_parameter,
    .values = values,
    .scale = scale,
    .forward = forward,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .draws = [](const Attributes&) { return true; }};

}  // namespace qloom::quantizers
