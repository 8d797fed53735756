// tests/examples/mixed_precision.cc: a network of mixed precision from scratch.
// [readme]
#include <iostream>

#include "bindings/cpp/qloom.h"

using namespace qloom;
using namespace qloom::qkeras;

int main() try {
  Network net("mixed");
  // 8 bits in; QKeras's quantizers are values or texts.
  Symbol x = net.add(QActivation{quantized_bits(8, 1, 1)}, net.input({12, 12, 3}, "image"));
  // 4-bit weights, 3-bit activations.
  x = net.add(QConv2D{.filters = 16,
                      .kernel_size = {3, 3},
                      .padding = "same",
                      .activation = quantized_relu(3, 2),
                      .kernel_quantizer = quantized_bits{.bits = 4, .alpha = "auto_po2"},
                      .bias_quantizer = "quantized_bits(6,1,1)"},
              x, "conv1");
  x = net.add(MaxPooling2D{}, x);
  // Ternary weights, and a connection around them.
  const Symbol around = x;
  x = net.add(QConv2D{.filters = 16,
                      .kernel_size = {3, 3},
                      .padding = "same",
                      .kernel_quantizer = "ternary(alpha='auto_po2')"},
              x, "conv2");
  x = net.add(QBatchNormalization{}, x);
  x = net.add(QActivation{"quantized_relu(3,2)"}, net.add(Add{}, {x, around}), "sum");
  // One bit from here on; two outputs.
  const Symbol features = net.add(Flatten{}, net.add(QActivation{binary{.alpha = 1.0}}, x - 2.0));
  net.output(net.add(QDense{.units = 10, .kernel_quantizer = "binary(alpha=1)"}, features, "fc"));
  net.output(net.add(GlobalAveragePooling2D{}, x, "mean"));
  net.initialize(/*seed=*/7);  // or set_weights, or load_weights("trained.h5")

  const CompiledNetwork compiled = net.compile();
  std::cout << net << "\n" << compiled.summary() << "\n" << compiled.explain() << "\n";
  const Tensor images = Tensor::filled({2, 12, 12, 3}, 0.4F);
  const std::vector<Tensor> outputs = compiled.run(std::vector{images}, /*threads=*/2);
  std::cout << outputs[0].f32()[0] << " is the first of " << outputs[0].size() << " scores\n";
  // Every bit as the reference interpreter says, on random images.
  const NetworkCheck checked = check(compiled, 32);
  std::cout << checked.values - checked.different << " of " << checked.values << " values equal\n";
  return checked.ok() ? 0 : 1;
} catch (const std::exception& error) {  // names the line above, the layer, expected and found
  std::cerr << error.what() << "\n";
  return 1;
}
// [/readme]
