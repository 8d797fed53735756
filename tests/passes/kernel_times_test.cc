// Measured times in place of predictions: which kernel runs, never what comes out.
#include "passes/choose/kernel_times.h"

#include <gtest/gtest.h>

#include "graph/support/error.h"
#include "tests/passes/networks.h"
#include "tests/passes/run_model.h"

namespace qloom::test {
namespace {

using passes::KernelTimes;

const std::string kW4 = "quantized_bits(4,0,1,alpha=1)", kRelu = "quantized_relu(4,2)";

TEST(KernelTimes, TextParsesBack) {
  KernelTimes times;
  times.set("a", {{"conv_pairs", "2x3 option 1", 12.25}, {"halide_pool", "", 1e-3}});
  times.set("b", {{"conv_xnor", "1x1", 1.0 / 3}});
  EXPECT_EQ(KernelTimes::parse(times.to_text()), times);
  EXPECT_EQ(times.of("a")->size(), 2U);
  EXPECT_EQ(times.of("c"), nullptr);
  EXPECT_TRUE(KernelTimes::parse("").empty());
  KernelTimes other;
  other.set("a", {{"conv_pairs", "1x1", 3}});
  other.merge(times);
  EXPECT_EQ(other, times);
}

TEST(KernelTimes, DamagedTextIsRefusedWithTheLine) {
  for (const char* text : {"a\tb\tc", "a\tb\tc\tx", "a\tb\tc\t-1", "a\tb\tc\t1 ", "a\tb\tc\t1\td",
                           "a\tb\tc\t0", "a\tb\tc\tnan", "\n"}) {
    try {
      static_cast<void>(KernelTimes::parse(std::string("s\tk\tv\t1\n") + text));
      ADD_FAILURE() << text;
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
    }
  }
}

TEST(KernelTimes, ShapesAreThoseOfTheCall) {
  const auto shapes = [](const Graph& graph, int64_t batch) {
    passes::CompileOptions options;
    options.batch = batch;
    std::vector<std::string> out;
    for (const auto& r : passes::compile(graph.clone(), options).regions) out.push_back(r.shape);
    return out;
  };
  const std::vector<std::string> one = shapes(small_cnn(kW4, kRelu), 16);
  EXPECT_EQ(shapes(small_cnn(kW4, kRelu), 16), one);
  const std::vector<std::string> other = shapes(small_cnn("binary(alpha=1)", kRelu), 16);
  EXPECT_NE(other, one);
  EXPECT_NE(shapes(small_cnn(kW4, kRelu), 4), one);
  EXPECT_FALSE(one.front().empty());
}

TEST(KernelTimes, DecideInPlaceOfPredictions) {
  const Graph graph = small_cnn(kW4, kRelu);
  const auto predicted = passes::compile(graph.clone());
  int tried = 0;
  for (const passes::RegionReport& region : predicted.regions) {
    EXPECT_FALSE(region.tuned);
    if (region.shape.empty()) continue;
    for (const passes::Candidate& c : region.candidates) {
      if (!c.matches || c.variants.size() < 2) continue;
      const auto& [variant, ns] = c.variants.back();
      passes::CompileOptions pinned;
      pinned.pinned = {{region.name, c.kernel + " " + variant}};
      if (!passes::compile(graph.clone(), pinned).notes.empty()) continue;  // its loop would spill
      // All of that kernel are measured: others of its variants would be taken to be as fast.
      std::vector<passes::KernelTime> measured;
      if (c.kernel != region.kernel) measured.push_back({region.kernel, region.variant, 1e6});
      for (const auto& [other, predicted_ns] : c.variants)
        measured.push_back({c.kernel, other, other == variant ? 1 : 1e6});
      KernelTimes times;
      times.set(region.shape, measured);
      passes::CompileOptions options;
      options.times = std::make_shared<const KernelTimes>(times);
      const auto tuned = passes::compile(graph.clone(), options);
      const passes::RegionReport& r = report(tuned, region.name);
      EXPECT_TRUE(r.tuned);
      EXPECT_EQ(r.kernel, c.kernel);
      EXPECT_EQ(r.variant, variant);
      EXPECT_NEAR(r.predicted_ns, 1, 0.5);
      expect_agrees(graph, options);
      ++tried;
    }
  }
  EXPECT_GE(tried, 3);
}

TEST(KernelTimes, OfKernelsThatAreNotThereDoNotMatter) {
  const Graph graph = small_cnn(kW4, kRelu);
  const auto predicted = passes::compile(graph.clone());
  KernelTimes times;
  for (const passes::RegionReport& region : predicted.regions)
    if (!region.shape.empty())
      times.set(region.shape, {{"conv_magic", "1x1", 1}, {region.kernel, "99x99", 1}});
  passes::CompileOptions options;
  options.times = std::make_shared<const KernelTimes>(times);
  const auto tuned = passes::compile(graph.clone(), options);
  ASSERT_EQ(tuned.regions.size(), predicted.regions.size());
  for (size_t i = 0; i < tuned.regions.size(); ++i) {
    EXPECT_FALSE(tuned.regions[i].tuned);
    EXPECT_EQ(tuned.regions[i].kernel, predicted.regions[i].kernel);
    EXPECT_EQ(tuned.regions[i].variant, predicted.regions[i].variant);
  }
}

}  // namespace
}  // namespace qloom::test
