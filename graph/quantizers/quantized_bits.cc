// graph/quantizers/quantized_bits.cc: fixed-point quantiser.
//   alpha None or a number: clip(rint(x·2^n / 2^integer)) · 2^integer / 2^n · alpha, n = bits -
//   keep_negative;
//     1 signed bit is the sign of x
//   alpha "auto", "auto_po2": a scale from the data and codes in ±(2^(bits-1) - 1), ties away from
//   0
#include "graph/quantizers/support/bits.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_bits";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8},
          {"integer", 0},
          {"symmetric", 0},
          {"keep_negative", true},
          {"alpha", {}},
          {"use_stochastic_rounding", false},
          {"scale_axis", {}},
          {"qnoise_factor", 1.0},
          {"var_name", {}},
          {"use_ste", true},
          {"use_variables", false},
          {"elements_per_scale", {}},
          {"min_po2_exponent", {}},
          {"max_po2_exponent", {}},
          {"post_training_scale", {}}};
}

void construct(Attributes& a) { bits::construct(kName, a); }

Numeric values(const Attributes& a) { return bits::values(Settings(kName, a)); }

ScaleRule scale(const Attributes& a) { return bits::scale(Settings(kName, a)); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  return bits::forward(Settings(kName, a), x, options);
}

bool monotone(const Attributes& a) { return bits::has_fixed_scale(Settings(kName, a)); }

Attributes config(const Attributes& a) {
  return pick(a, {"bits", "integer", "symmetric", "alpha", "keep_negative",
                  "use_stochastic_rounding", "qnoise_factor", "post_training_scale"});
}

std::string integer_text(const AttributeValue& integer) {
  std::string text = python_text(integer);
  std::erase(text, ',');  // printed as an array: [0 1 2]
  return text;
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = "quantized_bits(" + python_text(a["bits"]) + "," + integer_text(a["integer"]) +
                     "," + python_integer(s, "symmetric");
  if (!s.flag("keep_negative")) text += ",keep_negative=False";
  if (s.flag("alpha")) text += "," + alpha_text(s);
  if (s.flag("use_stochastic_rounding")) text += ",use_stochastic_rounding=1";
  return text + ")";
}

double max(const Attributes& a) { return bits::max(Settings(kName, a)); }

double min(const Attributes& a) { return bits::min(Settings(kName, a)); }

std::vector<float> range(const Attributes& a) { return bits::range(Settings(kName, a)); }

bool draws(const Attributes& a) { return bits::draws(Settings(kName, a)); }

std::vector<std::string> notes(const Attributes& a) { return bits::notes(Settings(kName, a)); }

}  // namespace

extern constinit const QuantizerDef quantized_bits{
    .name = kName,
    .doc = "Fixed point: bits, of which integer before the point; scale fixed or from the data.",
    .source = "QKeras qkeras/quantizers.py, quantized_bits",
    .arguments = arguments,
    .construct = construct,
    .set_trainable_parameter = bits::set_trainable_parameter,
    .values = values,
    .scale = scale,
    .forward = forward,
    .monotone = monotone,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .range = range,
    .draws = draws,
    .notes = notes};

}  // namespace qloom::quantizers
