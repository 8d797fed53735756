// tests/examples/own_quantizer.cc: a quantizer of one's own, used by its name like QKeras's.
// quantized_levels(levels, step): the nearest of an odd number of levels around zero.
#include <cmath>
#include <iostream>

#include "bindings/cpp/qloom.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"

using namespace qloom;
using namespace qloom::qkeras;

namespace {

int64_t reach(const Attributes& a) { return (a["levels"].as_integer() - 1) / 2; }
double step(const Attributes& a) { return a["step"].as_real(); }

Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions&) {
  const auto width = static_cast<float>(step(a)), top = static_cast<float>(reach(a));
  quantizers::Outcome out;
  for (const float v : quantizers::flushed(x)) {
    out.codes.push_back(quantizers::clip(std::rint(v / width), -top, top) + 0.0F);  // no -0
    out.q.push_back(out.codes.back() * width);
    out.y.push_back(quantizers::straight_through(v, out.q.back(), /*noise=*/1.0));
  }
  return quantizers::assemble(x, std::move(out), Tensor::scalar(step(a)), {});
}

constexpr QuantizerDef kLevels{
    .name = "quantized_levels",
    .doc = "An odd number of levels around zero.",
    .source = "own",
    .arguments = [] { return std::vector<ArgumentDef>{{"levels", 11}, {"step", 0.125}}; },
    .construct = [](Attributes& a) { qloom_check(reach(a) > 0, "levels must be 3 or more"); },
    .values = [](const Attributes& a) { return Numeric::integers(-reach(a), reach(a), 0); },
    .scale = [](const Attributes& a) -> ScaleRule {
      return {.kind = ScaleRule::Kind::constant, .constant = {step(a)}};
    },
    .forward = forward,
    .monotone = [](const Attributes&) { return true; },
    .config = [](const Attributes& a) { return a; },
    .to_string = [](const Attributes& a) { return "quantized_levels" + a.to_string(); },
    .max = [](const Attributes& a) { return static_cast<double>(reach(a)) * step(a); },
    .min = [](const Attributes& a) { return -static_cast<double>(reach(a)) * step(a); }};

}  // namespace

int main() try {
  register_quantizer(kLevels);

  Network net("levels");
  Symbol x = net.add(QActivation{"quantized_levels(11, 0.125)"}, net.input({32}, "x"));
  x = net.add(QDense{.units = 8, .kernel_quantizer = "quantized_levels(5, step=0.25)"}, x);
  net.output(net.add(QActivation{"quantized_levels(21, 0.25)"}, x));
  net.initialize();
  const CompiledNetwork compiled = net.compile();
  std::cout << compiled.summary() << compiled.explain();
  const NetworkCheck checked = check(compiled, 100);
  std::cout << checked.values - checked.different << " of " << checked.values << " values equal\n";
  return checked.ok() ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
