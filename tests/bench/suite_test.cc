// Suites: the format, its errors, and the files that are there.
#include "bench/support/suite.h"

#include <gtest/gtest.h>

#include <set>

#include "graph/support/error.h"
#include "tests/bindings/expect_error.h"

namespace qloom::bench {
namespace {

TEST(Suite, EachLayerWithEachWidths) {
  const auto rows = parse_suite(
      "# a source\n"
      "widths bb=bxb w4a4\n"
      "batch 8\n"
      "conv first 32x30x3 16 3x5 stride 2 valid  # odd\n"
      "conv second 8x8x64 32 1x1 groups 2 dilation 2\n"
      "widths w8a8\n"
      "depthwise dw 6x6x128 3x3\n"
      "dense fc 64 10\n",
      "mine.txt");
  ASSERT_EQ(rows.size(), 6U);
  EXPECT_EQ(rows[0].name, "first/bxb");
  EXPECT_EQ(rows[0].class_name, "bxb");
  EXPECT_EQ(rows[0].widths->name, "bb");
  const LayerSpec& first = rows[1];
  EXPECT_EQ(first.class_name, "w4a4");
  EXPECT_EQ((std::vector<int64_t>{first.h, first.w, first.c, first.n, first.kernel_h,
                                  first.kernel_w, first.stride, first.batch}),
            (std::vector<int64_t>{32, 30, 3, 16, 3, 5, 2, 8}));
  EXPECT_EQ(first.padding, ops::Padding::valid);
  EXPECT_EQ(rows[2].groups, 2);
  EXPECT_EQ(rows[2].dilation, 2);
  EXPECT_EQ(rows[2].padding, ops::Padding::same);
  EXPECT_EQ(rows[4].op, LayerOp::depthwise);
  EXPECT_EQ(rows[4].groups, 128);
  EXPECT_EQ(rows[4].n, 128);
  EXPECT_EQ(rows[5].op, LayerOp::dense);
  EXPECT_EQ(rows[5].name, "fc/w8a8");
}

TEST(SuiteErrors, NameFileLineExpectedAndFound) {
  const auto expect = [](const char* text, const std::vector<std::string>& parts) {
    try {
      (void)parse_suite(text, "mine.txt");
      ADD_FAILURE() << text << ": accepted";
    } catch (const UserError& error) {
      for (const std::string& part : parts)
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expect("", {"mine.txt", "no layers"});
  expect("conv a 1x1x1 1 1x1", {"mine.txt:1", "widths"});
  expect("\nwidths w5a11", {"mine.txt:2", "w5a11", "w4a4"});
  expect("widths w4a4\nconv a 8x8 16 3x3", {"mine.txt:2", "HxWxC", "8x8"});
  expect("widths w4a4\nconv a 8x8x0 16 3x3", {"mine.txt:2", "8x8x0"});
  expect("widths w4a4\nconv a 8x8x3 16 3x3x3", {"mine.txt:2", "KxK", "3x3x3"});
  expect("widths w4a4\nconv a 8x8x3 16", {"mine.txt:2", "KxK", "end of the line"});
  expect("widths w4a4\nconv a 8x8x3 16 3x3 strides 2", {"mine.txt:2", "strides"});
  expect("widths w4a4\ndense a 8 16 stride 2", {"mine.txt:2", "stride", "dense"});
  expect("pool a 8x8x3 2x2", {"mine.txt:1", "pool"});
  EXPECT_THROW((void)read_suite("no_such_suite"), UserError);
}

TEST(Suite, FilesAreReadAndNamesAreTheirOwn) {
  const std::vector<std::string> names = suite_names();
  EXPECT_GE(names.size(), 8U);
  for (const std::string& name : names) {
    std::set<std::string> rows;
    for (const LayerSpec& row : read_suite(name)) {
      EXPECT_TRUE(rows.insert(row.name).second) << name << ": " << row.name << " twice";
      EXPECT_GT(row.c * row.n, 0);
    }
  }
}

TEST(Suite, AcceptanceHasEachClassAtEachSize) {
  std::set<std::string> classes;
  std::set<std::string> rows;
  for (const LayerSpec& row : read_suite("acceptance")) {
    classes.insert(row.class_name);
    if (row.kernel_h == 3 && row.c == row.n)
      rows.insert(row.class_name + " " + std::to_string(row.h) + " " + std::to_string(row.c));
  }
  for (const char* name : {"bxb", "txb", "bxt", "w1a2", "w1a3", "w1a4", "w2a2", "w3a3", "w4a4",
                           "w4a8", "po2a8", "txa8", "bxa8", "w8a8", "w8a8_trained"}) {
    for (const char* h : {"56", "28", "14"})
      for (const char* c : {"64", "128", "256"})
        EXPECT_TRUE(rows.contains(std::string(name) + " " + h + " " + c)) << name << h << c;
  }
  EXPECT_TRUE(classes.contains("gemv_1bit"));
}

}  // namespace
}  // namespace qloom::bench
