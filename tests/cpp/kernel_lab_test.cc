// Tools for those who write kernels.
#include "bindings/cpp/kernel_lab.h"

#include <gtest/gtest.h>

#include <sstream>

#include "bindings/cpp/network.h"
#include "kernels/kernels_table.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using namespace qkeras;
using kernels::KernelDef;

Network small() {
  Network net("small");
  Symbol x = net.add(QActivation{"quantized_relu(4,1)"}, net.input({6, 6, 8}, "x"), "x_q");
  x = net.add(QConv2D{.filters = 8,
                      .kernel_size = 3,
                      .activation = "quantized_relu(4,2)",
                      .kernel_quantizer = "quantized_bits(4,0,1,alpha=1)"},
              x, "conv");
  net.output(net.add(QDense{.units = 3}, net.add(Flatten{}, x), "fc"));
  net.initialize();
  return net;
}

TEST(KernelLab, ChecksKernelsOfTheLibrary) {
  for (const char* name : {"conv_pairs", "depthwise_pairs", "conv_xnor", "elementwise_chain"}) {
    const KernelCheck c = check_kernel(name, {.networks = 16, .seed = 3});
    EXPECT_TRUE(c.ok()) << c;
    EXPECT_GT(c.regions, c.matched) << c;
  }
  testing::expect_user_error([] { (void)check_kernel("conv_magic"); },
                             {"no kernel 'conv_magic'", "conv_pairs"});
}

/// conv_pairs with one packed weight changed.
std::vector<uint8_t> pack_wrong(const kernels::Query& q, const kernels::Variant& v,
                                const jit::Target& t) {
  std::vector<uint8_t> out = kernels::find_kernel("conv_pairs")->pack(q, v, t);
  for (size_t i = 0; i < std::min<size_t>(out.size(), 256); i += 3) out[i] ^= 1;
  return out;
}

TEST(KernelLab, FindsAKernelThatIsWrong) {
  static KernelDef wrong = *kernels::find_kernel("conv_pairs");
  wrong.name = "conv_wrong";
  wrong.pack = pack_wrong;
  wrong.experimental = true;  // never chosen by itself
  register_kernel(wrong);
  const KernelCheck c = check_kernel("conv_wrong", {.networks = 10});
  EXPECT_FALSE(c.ok());
  ASSERT_FALSE(c.failures.empty());
  EXPECT_NE(c.failures[0].find("the interpreter gives"), std::string::npos) << c.failures[0];
  // It is listed, with the reason why it is not taken.
  const CompiledNetwork compiled = small().compile();
  EXPECT_NE(compiled.explain().find("conv_wrong"), std::string::npos);
  EXPECT_NE(compiled.explain().find("experimental"), std::string::npos);
  EXPECT_TRUE(check(compiled).ok());
  const std::vector<KernelTime> times =
      compare_kernels(compiled.graph(), "conv", {.seconds = 0.05});
  const auto ours = std::ranges::find(times, "conv_wrong", &KernelTime::kernel);
  ASSERT_NE(ours, times.end());
  EXPECT_TRUE(ours->is_registered);
  EXPECT_FALSE(ours->chosen);
}

TEST(KernelLab, TimesTheKernelsOfARegion) {
  const Graph graph = small().graph();
  const std::vector<KernelTime> times = compare_kernels(graph, "conv", {.seconds = 0.05});
  ASSERT_FALSE(times.empty());
  EXPECT_TRUE(times[0].matches);
  int chosen = 0;
  for (const KernelTime& t : times) {
    chosen += t.chosen ? 1 : 0;
    EXPECT_EQ(t.matches, t.reason.empty()) << t.kernel;
    EXPECT_EQ(t.matches, t.measured_ns > 0) << t.kernel;
    EXPECT_EQ(t.matches, t.predicted_ns > 0) << t.kernel;
  }
  EXPECT_EQ(chosen, 1);
  std::ostringstream out;
  out << times;
  EXPECT_NE(out.str().find("chosen"), std::string::npos) << out.str();
  testing::expect_user_error([&] { (void)compare_kernels(graph, "none"); },
                             {"no region 'none'", "'conv"});
}

}  // namespace
}  // namespace qloom
