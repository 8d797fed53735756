// tests/examples/own_kernel.cc: a kernel of one's own, registered, chosen, checked and timed.
#include <algorithm>
#include <iostream>

#include "bindings/cpp/qloom.h"

using namespace qloom;
using namespace qloom::qkeras;

extern const kernels::KernelDef dense_pruned;  // dense_pruned.cc, linked into this program

namespace {

Network pruned_network() {
  Network net("pruned");
  Symbol x = net.add(QActivation{quantized_bits(4, 0, 1)}, net.input({256}, "x"));
  x = net.add(QDense{.units = 24, .kernel_quantizer = "quantized_bits(4,0,1,alpha=1)"}, x, "fc");
  net.output(net.add(QActivation{"quantized_relu(4,2)"}, x));
  net.initialize();
  // Of 256 inputs training has left one in sixteen.
  std::vector<float> kernel(256 * 24, 0);
  for (size_t k = 0; k < kernel.size(); ++k)
    if (k / 24 % 16 == 3) kernel[k] = static_cast<float>(k % 13) / 8 - 0.75F;
  net.set_weight("fc", "kernel", kernel);
  return net;
}

}  // namespace

int main() try {
  register_kernel(dense_pruned);  // the one line

  const CompiledNetwork compiled = pruned_network().compile();
  std::cout << compiled.explain() << "\n";  // chosen, and why the others were not

  // Against the reference interpreter, bit by bit: on random layers of all kinds, and on ours.
  const KernelCheck checked = check_kernel("dense_pruned", {.networks = 60});
  std::cout << checked << "\n";
  const NetworkCheck ours = check(compiled);

  // Beside the library's kernels, predicted and measured.
  const std::vector<KernelTime> times = compare_kernels(compiled.graph(), "fc");
  std::cout << times << "\n";

  const auto pruned = std::ranges::find(times, "dense_pruned", &KernelTime::kernel);
  const bool good = pruned != times.end() && pruned->chosen && checked.ok() && ours.ok();
  std::cout << (good ? "dense_pruned is chosen and exact\n" : ours.first + "\n");
  return good ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
