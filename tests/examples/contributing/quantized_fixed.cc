// tests/examples/contributing/quantized_fixed.cc: codes clip(rint(x · 2^fraction)) of `bits` bits,
// as many above zero as below; value = code / 2^fraction.
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"

namespace qloom::quantizers {
namespace {

constexpr std::string_view kName = "quantized_fixed";

std::vector<ArgumentDef> arguments() { return {{"bits", 4}, {"fraction", 2}}; }

void construct(Attributes& a) {
  const Settings s(kName, a);
  s.check(s.integer("bits") >= 2 && s.integer("bits") <= 16, "bits must be 2 to 16, found ",
          a["bits"]);
  s.check(std::abs(s.integer("fraction")) <= 32, "fraction must be -32 to 32, found ",
          a["fraction"]);
}

Numeric values(const Attributes& a) {
  const Settings s(kName, a);
  return Numeric::fixed(static_cast<int>(s.integer("bits")),
                        static_cast<int>(s.integer("fraction")), /*is_signed=*/true,
                        /*narrow=*/true);
}

double max(const Attributes& a) { return values(a).max(); }

double min(const Attributes& a) { return values(a).min(); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions&) {
  const double step = std::exp2(-static_cast<double>(Settings(kName, a).integer("fraction")));
  const auto factor = static_cast<float>(1.0 / step), width = static_cast<float>(step);
  const float top = static_cast<float>(max(a)) * factor;
  Outcome out;
  for (const float v : flushed(x)) {
    out.codes.push_back(clip(std::rint(v * factor), -top, top) + 0.0f);  // no -0
    out.q.push_back(out.codes.back() * width);
    out.y.push_back(straight_through(v, out.q.back(), /*noise=*/1.0));
  }
  return assemble(x, std::move(out), Tensor::scalar(step), {});
}

bool monotone(const Attributes&) { return true; }

Attributes config(const Attributes& a) { return pick(a, {"bits", "fraction"}); }

std::string to_string(const Attributes& a) {
  return "quantized_fixed(" + python_text(a["bits"]) + "," + python_text(a["fraction"]) + ")";
}

}  // namespace

extern constinit const QuantizerDef quantized_fixed{
    .name = kName,
    .doc = "Fixed point with a given number of fractional bits.",
    .source = "own",
    .arguments = arguments,
    .construct = construct,
    .values = values,
    .forward = forward,
    .monotone = monotone,
    .config = config,
    .to_string = to_string,
    .max = max,
    .min = min};

}  // namespace qloom::quantizers
