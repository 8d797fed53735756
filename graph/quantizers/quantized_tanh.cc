// graph/quantizers/quantized_tanh.cc: clip(rint(p·m)/m, -1 + symmetric/m, 1 - 1/m), m = 2^(bits-1).
//   p = 2·σ(x) - 1 with QKeras's internal sigmoid, or tanh(x). Hard, p is 2·(x/2 + 1/2) - 1, which
//   is not clip(x, -1, 1): low bits of a small x are lost.
#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_tanh";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8},
          {"use_stochastic_rounding", false},
          {"symmetric", false},
          {"use_real_tanh", false}};
}

Numeric values(const Attributes& a) {
  const Settings s(kName, a);
  const int64_t bits = s.integer("bits");
  if (bits < 1 || bits > 31) return Numeric::float32();
  const int64_t m = int64_t{1} << (bits - 1);
  // The float bounds: 1 - 1/m rounds to 1 from 25 magnitude bits on.
  return integer_set(-m + (bits > 25 ? 0 : s.integer("symmetric")), bits > 25 ? m : m - 1,
                     bits - 1);
}

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  const float m = int32_pow2(s.integer("bits") - 1, kName, "bits");
  const float lo = -1.0f + static_cast<float>(s.real("symmetric")) / m;
  const float hi = 1.0f - 1.0f / m;
  // QKeras draws half steps here.
  const Rounding rounded(rounding_draws(s, options), 2);
  Outcome out;
  for (const float v : flushed(x)) {
    const float p = s.flag("use_real_tanh")
                        ? real_tanh(v)
                        : 2.0f * internal_sigmoid(v, options.internal_sigmoid) - 1.0f;
    out.y.push_back(clip(rounded(p * m) / m, lo, hi));
    out.codes.push_back(out.y.back() * m);
  }
  keep_whole_codes(out);
  out.q = out.y;
  return assemble(x, std::move(out), Tensor::scalar(1.0 / static_cast<double>(m)), {});
}

bool monotone(const Attributes&) { return true; }

Attributes config(const Attributes& a) {
  return pick(a, {"bits", "symmetric", "use_stochastic_rounding", "use_real_tanh"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = "quantized_tanh(" + python_text(a["bits"]);
  for (const std::string_view name : {"use_stochastic_rounding", "symmetric", "use_real_tanh"})
    if (s.flag(name)) text += "," + python_integer(s, name);
  return text + ")";
}

double max(const Attributes& a) {
  const Settings s(kName, a);
  return 1.0 - std::exp2(1.0 - static_cast<double>(s.integer("bits")));
}

double min(const Attributes& a) {
  const Settings s(kName, a);
  return -1.0 + s.real("symmetric") * std::exp2(1.0 - static_cast<double>(s.integer("bits")));
}

std::vector<std::string> notes(const Attributes& a) {
  const Settings s(kName, a);
  if (s.flag("use_stochastic_rounding") && !s.flag("symmetric"))
    return {"the second argument is use_stochastic_rounding, the third symmetric"};
  return {};
}

}  // namespace

extern constinit const QuantizerDef quantized_tanh{
    .name = kName,
    .doc = "Quantised hyperbolic tangent: hard, smooth or real.",
    .source = "QKeras qkeras/quantizers.py, quantized_tanh",
    .arguments = arguments,
    .values = values,
    .forward = forward,
    .monotone = monotone,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .draws = rounds_stochastically,
    .notes = notes};

}  // namespace qloom::quantizers
