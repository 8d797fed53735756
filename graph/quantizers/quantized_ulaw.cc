// graph/quantizers/quantized_ulaw.cc: 2^(bits-1) + 1 points of [-1, 1], companded by the μ-law.
//   p = σ(x/mi)·m, m = 2^(bits-1), mi = 2^integer; r = 2·(rint(p)/m) - 1
//   y = mi·clip(sign(r)·ln(1 + u|r|)/ln(1 + u), -1 + symmetric/m, 1 - 1/m)
// Quantised before companding, so the values lie on no uniform grid.
#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"
#include "graph/quantizers_table.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_ulaw";

std::vector<ArgumentDef> arguments() {
  return {{"bits", 8}, {"integer", 0}, {"symmetric", 0}, {"u", 255.0}};
}

Numeric values(const Attributes&) { return Numeric::float32(); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions& options) {
  const Settings s(kName, a);
  s.check(a["u"].is_real(), "u must be a float (QKeras cannot take the logarithm of 1 + ", a["u"],
          ")");
  const auto m = static_cast<float>(std::exp2(static_cast<double>(s.integer("bits") - 1)));
  const auto mi = static_cast<float>(std::exp2(static_cast<double>(s.integer("integer"))));
  const auto u = static_cast<float>(s.real("u"));
  const float whole = ln(1.0f + u);
  const float lo = -1.0f + static_cast<float>(s.real("symmetric")) / m;
  const float hi = 1.0f - 1.0f / m;
  Outcome out;
  for (const float v : flushed(x)) {
    const float p = internal_sigmoid(v / mi, options.internal_sigmoid) * m;
    const float r = 2.0f * (round_through(p) / m) - 1.0f;
    const float c = divide(sign(r) * ln(1.0f + u * std::fabs(r)), whole, options.division);
    out.y.push_back(mi * clip(c, lo, hi));
  }
  out.q = out.y;
  return assemble(x, std::move(out), {}, {});
}

Attributes config(const Attributes& a) { return pick(a, {"bits", "integer", "symmetric", "u"}); }

std::string to_string(const Attributes& a) {
  const Settings s(kName, a);
  std::string text = "quantized_ulaw(" + python_text(a["bits"]) + "," + python_text(a["integer"]);
  const bool other = s.real("u") != 255.0;
  if (s.flag("symmetric") || other) text += "," + python_integer(s, "symmetric");
  if (other) text += "," + python_text(a["u"]);
  return text + ")";
}

double max(const Attributes& a) {
  const Settings s(kName, a);
  if (s.integer("bits") <= 1) return 1.0;
  return std::max(1.0, std::exp2(static_cast<double>(s.integer("integer"))));
}

double min(const Attributes& a) { return -max(a); }

std::vector<std::string> notes(const Attributes&) {
  return {"quantised before companding: one bit less than the name says, on no uniform grid"};
}

}  // namespace

extern constinit const QuantizerDef quantized_ulaw{
    .name = kName,
    .doc = "Points of [-1, 1] spread by the μ-law.",
    .source = "QKeras qkeras/quantizers.py, quantized_ulaw",
    .arguments = arguments,
    .values = values,
    .forward = forward,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min,
    .notes = notes};

}  // namespace qloom::quantizers
