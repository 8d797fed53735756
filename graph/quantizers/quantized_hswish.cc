// graph/quantizers/quantized_hswish.cc: x · relu(x + shift, at most bound) / bound, then
// quantized_bits.
#include <algorithm>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/bits.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers_table.h"
#include "graph/support/error.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_hswish";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8},
          {"integer", 0},
          {"symmetric", 0},
          {"alpha", {}},
          {"use_stochastic_rounding", false},
          {"scale_axis", {}},
          {"qnoise_factor", 1.0},
          {"var_name", {}},
          {"use_variables", false},
          {"relu_shift", 3},
          {"relu_upper_bound", 6}};
}

/// The arguments of the quantized_bits that it ends in.
Attributes as_bits(const Attributes& a) {
  Attributes b = a;
  b.set("keep_negative", true);
  b.set("use_ste", true);
  for (const std::string_view name :
       {"elements_per_scale", "min_po2_exponent", "max_po2_exponent", "post_training_scale"})
    b.set(name, {});
  return b;
}

void construct(Attributes& a) {
  Attributes b = as_bits(a);
  bits::construct(kName, b);
  a.set("symmetric", b["symmetric"]);
}

Numeric values(const Attributes& a) {
  const Attributes b = as_bits(a);
  return bits::values(Settings(kName, b));
}

ScaleRule scale(const Attributes& a) {
  const Attributes b = as_bits(a);
  return bits::scale(Settings(kName, b));
}

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  s.check(s.real("relu_upper_bound") > 0, "relu_upper_bound must be a positive value, found ",
          a["relu_upper_bound"]);
  s.check(s.real("relu_shift") > 0, "relu_shift must be a positive value, found ", a["relu_shift"]);
  const auto shift = static_cast<float>(s.real("relu_shift"));
  const auto bound = static_cast<float>(s.real("relu_upper_bound"));
  std::vector<float> w = flushed(x);
  for (float& v : w) {
    const float t = v + shift;
    const float h = t > bound ? bound : t < 0 ? 0.0f : t;
    v = divide(v * h, bound, options.division);
  }
  const Attributes b = as_bits(a);
  return bits::forward(Settings(kName, b), Tensor(x.extents(), std::move(w)), options);
}

Attributes config(const Attributes& a) {
  Attributes result =
      pick(as_bits(a), {"bits", "integer", "symmetric", "alpha", "keep_negative",
                        "use_stochastic_rounding", "qnoise_factor", "post_training_scale"});
  result.set("relu_shift", a["relu_shift"]);
  result.set("relu_upper_bound", a["relu_upper_bound"]);
  return result;
}

void accept_config(Attributes& a) {
  if (const AttributeValue* v = a.find("keep_negative"))
    qloom_check(v->truthy(), kName, ": keep_negative must be True, found ", *v);
  if (const AttributeValue* v = a.find("post_training_scale"))
    qloom_check(v->is_none(), kName, ": post_training_scale must be None, found ", *v);
  a.remove("keep_negative");
  a.remove("post_training_scale");
}

std::string to_string(const Attributes&) {
  throw UserError("quantized_hswish: QKeras cannot print this class");
}

double max(const Attributes& a) {
  const Attributes b = as_bits(a);
  return bits::max(Settings(kName, b));
}

double min(const Attributes& a) {
  const Attributes b = as_bits(a);
  const Settings s(kName, b);
  const double lowest = bits::min(s);
  const double shift = s.real("relu_shift");
  s.check(lowest >= -shift * shift / (4 * s.real("relu_upper_bound")),
          "QKeras has no min() where the range of the quantizer goes below that of the function");
  return lowest;
}

std::vector<float> range(const Attributes& a) {
  const Attributes b = as_bits(a);
  return bits::range(Settings(kName, b));
}

bool draws(const Attributes& a) { return bits::draws(Settings(kName, a)); }

std::vector<std::string> notes(const Attributes& a) {
  const Attributes b = as_bits(a);
  return bits::notes(Settings(kName, b));
}

}  // namespace

extern constinit const QuantizerDef quantized_hswish{
    .name = kName,
    .doc = "Hard swish, x · min(relu(x + shift), bound) / bound, quantised by quantized_bits.",
    .source = "QKeras qkeras/quantizers.py, quantized_hswish",
    .arguments = arguments,
    .construct = construct,
    .set_trainable_parameter = bits::set_trainable_parameter,
    .values = values,
    .scale = scale,
    .forward = forward,
    .config = config,
    .accept_config = accept_config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .range = range,
    .draws = draws,
    .notes = notes};

}  // namespace qloom::quantizers
