// Layers of the benchmarks: what they compute is right, and a wrong output would be seen.
#include "bench/support/layer.h"

#include <gtest/gtest.h>

namespace qloom::bench {
namespace {

TEST(Layer, AgreesWithTheInterpreterForEachKindAndWidth) {
  const auto rows = parse_suite(
      "widths bb tb bt w2a2 w4a4 w4a8 po2a8 w8a8_trained\n"
      "conv odd 6x7x5 19 3x3\n"
      "widths bb w4a4\n"
      "batch 3\n"
      "conv packed 6x6x64 64 3x3\n"
      "conv strided 7x7x16 8 3x2 stride 2 valid\n"
      "conv grouped 5x5x8 16 3x3 groups 2 dilation 2\n"
      "conv pointwise 4x4x24 12 1x1\n"
      "depthwise depthwise 5x6x17 3x3\n"
      "dense dense 70 33\n",
      "test");
  for (const LayerSpec& row : rows) {
    const Layer layer(row);
    layer.run();
    layer.run();
    EXPECT_EQ(layer.mismatches(), 0) << row.name << " on " << layer.kernel();
    EXPECT_LT(layer.most_frequent_share(), 0.95) << row.name;
    EXPECT_GT(layer.predicted_ns(), 0) << row.name;
    EXPECT_GT(layer.bytes(), 0) << row.name;
  }
}

TEST(Layer, CountsWrongOutputs) {
  for (const char* widths : {"bb", "w4a4"}) {
    const auto rows =
        parse_suite(std::string("widths ") + widths + "\nconv a 6x6x32 32 3x3", "test");
    const Layer layer(rows[0]);
    EXPECT_GT(layer.mismatches(), 6 * 6 * 32 / 10) << "nothing has run yet";
    layer.run();
    EXPECT_EQ(layer.mismatches(), 0);
  }
}

TEST(Layer, CostsArePredictedForItsBatch) {
  const auto rows =
      parse_suite("widths w4a4\nbatch 1\ndense a 32 10\nbatch 64\ndense b 32 10", "test");
  EXPECT_GT(Layer(rows[0]).predicted_ns(), Layer(rows[1]).predicted_ns())
      << "one call for one sample, or for 64";
}

TEST(Layer, KnowsItsMacs) {
  const auto rows = parse_suite("widths w4a4\nconv a 6x6x32 16 3x3\ndense b 32 10", "test");
  EXPECT_EQ(Layer(rows[0]).macs(), 6 * 6 * 32 * 16 * 9);
  EXPECT_EQ(Layer(rows[1]).macs(), 320);
}

}  // namespace
}  // namespace qloom::bench
