// qloom-bench-models and qloom-bench-report as a person starts them.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/cli/process.h"

namespace qloom::testing {
namespace {

using Json = nlohmann::json;

TEST(BenchModels, FiguresBecomeAReport) {
  const ScratchFolder scratch;
  std::ofstream(scratch / "broken.h5") << "no model";
  const Finished f = run_program("qloom-bench-models",
                                 {data_file("models/digits_cnn_w4a4.h5"), scratch / "broken.h5",
                                  "--seconds", "0.02", "--json", scratch / "models.json"});
  EXPECT_EQ(f.exit_code, 1) << f.out << f.err;  // one of two
  EXPECT_NE(f.out.find("broken"), std::string::npos) << f.out;
  const Json out = Json::parse(std::ifstream(scratch / "models.json"));
  ASSERT_EQ(out["models"].size(), 1U);
  const Json& model = out["models"][0];
  EXPECT_EQ(model["model"], "digits_cnn_w4a4");
  EXPECT_GT(model["batch_1_latency_ns"]["min"], 0);
  EXPECT_GT(model["all_threads"]["samples_per_second"], 0);
  EXPECT_GE(out["machine"]["cores"], 1);

  std::ofstream(scratch / "README.md") << "# x\n<!-- bench: begin -->\n<!-- bench: end -->\n";
  const Finished report = run_program(
      "qloom-bench-report", {scratch / "results.json", "--models", scratch / "models.json",
                             "--readme", scratch / "README.md", "--plot", scratch / "speed.svg"});
  ASSERT_EQ(report.exit_code, 0) << report.err;
  std::ifstream readme(scratch / "README.md"), plot(scratch / "speed.svg");
  const std::string text{std::istreambuf_iterator<char>(readme), {}},
      svg{std::istreambuf_iterator<char>(plot), {}};
  EXPECT_NE(text.find("| digits_cnn_w4a4 |"), std::string::npos) << text;
  EXPECT_NE(svg.find("digits_cnn_w4a4"), std::string::npos) << svg;
  EXPECT_EQ(run_program("qloom-bench-report", {scratch / "missing.json"}).exit_code, 2);
  EXPECT_EQ(run_program("qloom-bench-models", {scratch / "broken.h5"}).exit_code, 2);
}

}  // namespace
}  // namespace qloom::testing
