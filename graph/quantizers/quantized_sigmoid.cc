// graph/quantizers/quantized_sigmoid.cc: clip(rint(σ(x)·m)/m, symmetric/m, 1 - 1/m), m = 2^bits.
#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_sigmoid";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8},
          {"symmetric", false},
          {"use_real_sigmoid", false},
          {"use_stochastic_rounding", false}};
}

Numeric values(const Attributes& a) {
  const Settings s(kName, a);
  const int64_t bits = s.integer("bits");
  const int64_t lo = s.integer("symmetric");
  if (bits < 0 || bits > 30) return Numeric::float32();
  const int64_t m = int64_t{1} << bits;
  // The float bound 1 - 1/m rounds to 1 from 25 bits on. Without bits the lower bound wins.
  return integer_set(lo, std::max(lo, bits > 24 ? m : m - 1), bits);
}

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  const float m = int32_pow2(s.integer("bits"), kName, "bits");
  const InternalSigmoid mode =
      s.flag("use_real_sigmoid") ? InternalSigmoid::real : options.internal_sigmoid;
  const float lo = static_cast<float>(s.real("symmetric")) / m;
  const float hi = 1.0f - 1.0f / m;
  // QKeras draws half steps here.
  const Rounding rounded(rounding_draws(s, options), 2);
  Outcome out;
  for (const float v : flushed(x)) {
    out.y.push_back(clip(rounded(internal_sigmoid(v, mode) * m) / m, lo, hi));
    out.codes.push_back(out.y.back() * m);
  }
  keep_whole_codes(out);
  out.q = out.y;
  return assemble(x, std::move(out), Tensor::scalar(1.0 / static_cast<double>(m)), {});
}

bool monotone(const Attributes&) { return true; }

Attributes config(const Attributes& a) {
  return pick(a, {"bits", "symmetric", "use_real_sigmoid", "use_stochastic_rounding"});
}

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = "quantized_sigmoid(" + python_text(a["bits"]);
  for (const std::string_view name : {"symmetric", "use_real_sigmoid", "use_stochastic_rounding"})
    if (s.flag(name)) text += "," + python_integer(s, name);
  return text + ")";
}

double max(const Attributes& a) {
  return 1.0 - std::exp2(-static_cast<double>(Settings(kName, a).integer("bits")));
}

double min(const Attributes& a) {
  const Settings s(kName, a);
  return s.real("symmetric") * std::exp2(-static_cast<double>(s.integer("bits")));
}

}  // namespace

extern constinit const QuantizerDef quantized_sigmoid{
    .name = kName,
    .doc = "Quantised logistic function: hard, smooth or real.",
    .source = "QKeras qkeras/quantizers.py, quantized_sigmoid",
    .arguments = arguments,
    .values = values,
    .forward = forward,
    .monotone = monotone,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .draws = rounds_stochastically};

}  // namespace qloom::quantizers
