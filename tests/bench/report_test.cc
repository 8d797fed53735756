// Tables and plot from results.
#include "bench/support/report.h"

#include <gtest/gtest.h>

#include "graph/support/error.h"

namespace qloom::bench {
namespace {

const char kModels[] = R"({"machine": {"processor": "P & Q", "cores": 2, "target": "x86"},
  "models": [{"model": "small", "macs_per_sample": 135792, "samples_per_second": 1234567.0,
    "all_threads": {"threads": 2, "samples_per_second": 2400000.0},
    "batch_1_latency_ns": {"min": 2345.0}, "gmacs": 167.6, "ratio_to_fp32_peak": 1.25,
    "start_cold_ms": 60.4, "start_warm_ms": 2.52, "peak_rss_bytes": 6700000}]})";
const char kKernels[] = R"([{"name": "a/w4a4", "class": "w4a4",
    "shape": {"h": 28, "w": 28, "c": 64, "n": 32, "kh": 3, "kw": 3}, "time_ns": 2000.0,
    "gmacs": 400.4, "ratio_to_fp32": 3.0, "predicted_ns": 1800.0, "kernel": "conv_pairs",
    "mismatches": 0},
  {"name": "b/bb", "class": "bb", "shape": {"h": 1, "w": 1, "c": 640, "n": 128, "kh": 1, "kw": 1},
    "time_ns": 33.5, "gmacs": 2376.0, "ratio_to_fp32": 17.66, "predicted_ns": 36.0,
    "kernel": "conv_xnor", "mismatches": 0}])";

TEST(Report, TablesHaveARowForEachNetworkAndLayer) {
  const std::string text = markdown_of(merge_results(kModels, kKernels, "abc123"));
  for (const char* part :
       {"P & Q, 2 cores", "commit abc123",
        "| small | 136,000 | 1,230,000 | 2,400,000 | 2.35 | 168 | 1.25 | 60 / 2.5 | 7 |",
        "| 28×28×64 → 32, 3×3 | w4a4 | 2.00 | 400 | 3.00 | 0.90 | conv_pairs |",
        "| dense 640 → 128 | bb | 0.0335 | 2,380 | 17.66 | 1.07 | conv_xnor |"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

TEST(Report, PlotHasABarForEach) {
  const std::string svg = plot_of(merge_results(kModels, kKernels, "abc123"));
  EXPECT_TRUE(svg.starts_with("<svg ")) << svg;
  EXPECT_TRUE(svg.ends_with("</svg>\n")) << svg;
  size_t bars = 0;
  for (size_t at = svg.find("height=\"14\""); at != std::string::npos;
       at = svg.find("height=\"14\"", at + 1))
    ++bars;
  EXPECT_EQ(bars, 3U) << svg;
  // The largest of the layers comes first among them.
  EXPECT_LT(svg.find("bb  dense"), svg.find("w4a4  28")) << svg;
  EXPECT_NE(svg.find(">17.66<"), std::string::npos);
}

TEST(Report, SectionsAreReplacedBetweenTheirMarks) {
  const std::string text = "a\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nb\n";
  const std::string once = replace_section(text, "bench", "new\n", "R.md");
  EXPECT_EQ(once, "a\n<!-- bench: begin -->\nnew\n<!-- bench: end -->\nb\n");
  EXPECT_EQ(replace_section(once, "bench", "new\n", "R.md"), once);
  EXPECT_THROW((void)replace_section("nothing", "bench", "new", "R.md"), UserError);
}

TEST(Report, WrongOutputsAreNoResult) {
  std::string wrong = kKernels;
  wrong.replace(wrong.find("\"mismatches\": 0"), 15, "\"mismatches\": 7");
  EXPECT_THROW((void)markdown_of(merge_results(kModels, wrong, "")), UserError);
  EXPECT_THROW((void)merge_results("{}", "", ""), UserError);
  EXPECT_THROW((void)markdown_of("nonsense"), UserError);
}

}  // namespace
}  // namespace qloom::bench
