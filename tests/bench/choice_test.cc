// Measured choices: each matching kernel is timed for the node it was asked for.
#include "bindings/measure/choice.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "graph/support/error.h"
#include "passes/compile.h"
#include "tests/passes/networks.h"

namespace qloom::measure {
namespace {

TEST(Choice, MeasuresEveryMatchingKernel) {
  const Graph graph = test::residual_block("binary(alpha=1)", "binary(alpha=1)", 3);
  const ChoiceReport report =
      measure_choices(graph, {.batch = 4, .rounds = 3, .seconds = 0.05, .variants = 1});
  const passes::Compilation compiled = passes::compile(graph.clone());
  ASSERT_EQ(report.nodes.size(), compiled.regions.size());
  int with_others = 0;
  for (size_t i = 0; i < report.nodes.size(); ++i) {
    const NodeChoice& node = report.nodes[i];
    const passes::RegionReport& region = compiled.regions[i];
    EXPECT_EQ(node.node, region.name);
    EXPECT_EQ(node.pick.kernel, region.kernel);
    EXPECT_GT(node.pick.measured_ns, 0) << node.node;
    EXPECT_GE(node.ratio(), 1);
    for (const passes::Candidate& c : region.candidates) {
      if (!c.matches || c.kernel == region.kernel || region.op == "convert") continue;
      const auto found = std::ranges::find(node.others, c.kernel, &Alternative::kernel);
      ASSERT_NE(found, node.others.end()) << node.node << ": " << c.kernel;
      EXPECT_GT(found->measured_ns, 0) << node.node << ": " << c.kernel;
      ++with_others;
    }
  }
  EXPECT_GT(with_others, 1) << "binary layers have several kernels";
}

TEST(Choice, SharesCountNodes) {
  ChoiceReport report;
  for (const double ns : {100.0, 120.0, 200.0, 400.0}) {
    NodeChoice node;
    node.pick = {"a", "", 100, ns};
    node.others = {{"b", "", 100, 100}, {"c", "", 100, 0}};
    report.nodes.push_back(node);
  }
  EXPECT_DOUBLE_EQ(report.nodes[2].ratio(), 2);
  EXPECT_DOUBLE_EQ(report.nodes[2].prediction(), 0.5);
  EXPECT_DOUBLE_EQ(report.share_chosen(1.25), 0.5);
  EXPECT_DOUBLE_EQ(report.share_chosen(2), 0.75);
  EXPECT_DOUBLE_EQ(report.share_predicted(30), 0.5);
  EXPECT_DOUBLE_EQ(report.share_predicted(60), 0.75);
}

TEST(Choice, VariantsArePinnedByName) {
  const Graph graph = test::small_cnn("quantized_bits(4,0,1,alpha=1)", "quantized_relu(4,1)", 5);
  const passes::Compilation free = passes::compile(graph.clone());
  int pinned = 0;
  for (const passes::RegionReport& region : free.regions)
    for (const passes::Candidate& c : region.candidates) {
      if (!c.matches) continue;
      for (const auto& [variant, ns] : c.variants) {
        passes::CompileOptions options;
        options.pinned = {{region.name, c.kernel + " " + variant}};
        const passes::Compilation one = passes::compile(graph.clone(), options);
        const auto found = std::ranges::find(one.regions, region.name, &passes::RegionReport::name);
        ASSERT_NE(found, one.regions.end());
        EXPECT_EQ(found->kernel + " " + found->variant, c.kernel + " " + variant);
        if (++pinned > 6) return;
      }
    }
  EXPECT_GT(pinned, 2);
}

TEST(Choice, AnUnknownVariantIsRefused) {
  const Graph graph = test::small_cnn("quantized_bits(4,0,1,alpha=1)", "quantized_relu(4,1)", 5);
  passes::CompileOptions options;
  options.pinned = {{"conv_sum", "conv_pairs 99x99"}};
  try {
    (void)passes::compile(graph.clone(), options);
    FAIL() << "accepted";
  } catch (const UserError& error) {
    for (const char* part : {"conv_sum", "conv_pairs 99x99", "variant"})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace qloom::measure
