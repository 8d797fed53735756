// tests/examples/own_quantizer.cc: a quantizer of one's own: an odd number of levels around zero.
#include <cmath>
#include <iostream>

#include "bindings/cpp/qloom.h"
#include "graph/quantizers/support/arithmetic.h"
#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"

using namespace qloom;
using namespace qloom::qkeras;

static int64_t reach(const Attributes& a) { return (a["levels"].as_integer() - 1) / 2; }
static double step(const Attributes& a) { return a["step"].as_real(); }
static ScaleRule scale(const Attributes& a) {
  return {ScaleRule::Kind::constant, false, {step(a)}};
}
static Quantized forward(const Attributes& a, const Tensor& x, const QuantizeOptions&) {
  const auto width = static_cast<float>(step(a)), last = static_cast<float>(reach(a));
  quantizers::Outcome out;
  for (const float v : quantizers::flushed(x)) {
    out.codes.push_back(quantizers::clip(std::rint(v / width), -last, last) + 0.0F);  // no -0
    out.q.push_back(out.codes.back() * width);
    out.y.push_back(quantizers::straight_through(v, out.q.back(), /*noise=*/1.0));
  }
  return quantizers::assemble(x, std::move(out), Tensor::scalar(step(a)), {});
}

constexpr QuantizerDef kLevels{
    .name = "quantized_levels",
    .doc = "The nearest of an odd number of levels around zero.",
    .source = "own",
    .arguments = [] { return std::vector<ArgumentDef>{{"levels", 11}, {"step", 0.125}}; },
    .construct = [](Attributes& a) { qloom_check(reach(a) > 0, "fewer than 3 levels"); },
    .values = [](const Attributes& a) { return Numeric::integers(-reach(a), reach(a), 0); },
    .scale = scale,
    .forward = forward,
    .monotone = [](const Attributes&) { return true; },
    .config = [](const Attributes& a) { return a; },
    .to_string = [](const Attributes& a) { return "quantized_levels" + a.to_string(); },
    .max = [](const Attributes& a) { return step(a) * reach(a); },
    .min = [](const Attributes& a) { return -step(a) * reach(a); }};

int main() try {
  register_quantizer(kLevels);
  Network net("levels");
  Symbol x = net.add(QActivation{"quantized_levels(11, 0.125)"}, net.input({32}, "x"));
  x = net.add(QDense{.units = 8, .kernel_quantizer = "quantized_levels(5, step=0.25)"}, x);
  net.output(net.add(QActivation{"quantized_levels(21, 0.25)"}, x));
  net.initialize();
  const CompiledNetwork compiled = net.compile();
  std::cout << compiled.explain();
  const NetworkCheck checked = check(compiled, 100);
  std::cout << checked.values - checked.different << " of " << checked.values << " values equal\n";
  return checked.ok() ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
