// QTools's known faults in the search for unroll factors, numbered as in qtools_faults_test.cc.
#include <gtest/gtest.h>

#include "bindings/cpp/qloom.h"
#include "bindings/cpp/stats.h"

namespace qloom {
namespace {

using namespace qkeras;

QConv2D conv(int64_t filters, Sizes size) {
  return {.filters = filters,
          .kernel_size = size,
          .use_bias = false,
          .kernel_quantizer = "quantized_bits(4,0,1,alpha=1)"};
}

qtools::QtoolsModel pipeline() {
  Network net("m");
  const Symbol x = net.input({16, 16, 1}, "x");
  net.output(net.add(conv(5, 3), net.add(conv(3, 3), x, "conv_1"), "conv_2"));
  net.initialize(1);
  return model_stats(net.description(), {.rules = "qkeras"}).model;
}

TEST(QtoolsFaults, B20LimitsOfBuffers) {
  qtools::ParallelismOptions options{.throughput = 0.1};
  const qtools::Parallelism swapped = find_parallelism(pipeline(), {}, options);
  options.as_qtools = false;
  const qtools::Parallelism matching = find_parallelism(pipeline(), {}, options);
  ASSERT_TRUE(swapped.gates && matching.gates);
  EXPECT_NEAR(*swapped.gates, 16291.94986, 1e-4);  // the specification's example
  // Each stage takes its input's elements in time: k unrolled channels for each taken.
  const auto taken_rate = [](const qtools::Stage& s, int64_t channels) {
    return static_cast<double>(s.unroll->cin) / s.taken_ratio / static_cast<double>(channels);
  };
  EXPECT_GE(taken_rate(matching.path.at(2), 3), 0.1 * 196 / 144);
  EXPECT_GE(taken_rate(matching.path.at(1), 1), 0.1 * 256 / 144 - 1e-12);
}

TEST(QtoolsFaults, B21StagesWithoutWeights) {
  using Layers = Symbol (*)(Network&, const Symbol&);
  const auto search = [](Layers after, bool as_qtools) {
    Network net("m");
    net.output(after(net, net.add(MaxPooling2D{}, net.input({16, 16, 1}, "x"), "pool")));
    net.initialize(1);
    const qtools::QtoolsModel model = model_stats(net.description(), {.rules = "qkeras"}).model;
    return find_parallelism(
        model, {}, {.out_elements_per_clock = 4, .throughput = 0.01, .as_qtools = as_qtools});
  };
  const qtools::Parallelism found =
      search([](Network& net, const Symbol& x) { return net.add(conv(4, 3), x); }, true);
  ASSERT_EQ(found.refusals.size(), 1U);
  EXPECT_EQ(found.refusals[0].exception, "TypeError");
  EXPECT_TRUE(found.gates);
  // Classes that are no stages there.
  for (const bool as_qtools : {true, false}) {
    const qtools::Parallelism more = search(
        [](Network& net, const Symbol& x) {
          const Symbol y = net.add(AveragePooling2D{}, x, "average");
          return net.add(Dense{.units = 4}, net.add(Flatten{}, y, "flat"), "fc");
        },
        as_qtools);
    ASSERT_EQ(more.refusals.size(), 4U);  // one for pool
    for (const qtools::Refusal& r : more.refusals)
      EXPECT_EQ(r.exception, r.layer == "pool" ? "TypeError" : "AssertionError") << r.layer;
    ASSERT_EQ(more.path.size(), 5U);
    EXPECT_GE(more.path[1].gates, 0);  // no unit has an area below zero
    EXPECT_FALSE(more.path[3].unroll);
    EXPECT_GT(more.path[4].gates, 0);
    if (!as_qtools) {
      EXPECT_GE(more.path[2].gates, 0);
    }
  }
}

}  // namespace
}  // namespace qloom
