// qloom-bench-choice as a person starts it.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/cli/process.h"

namespace qloom::testing {
namespace {

using Json = nlohmann::json;

TEST(BenchChoice, ExitCodeFollowsTheShares) {
  const ScratchFolder scratch;
  const std::string model = data_file("models/digits_cnn_w4a4.h5");
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {model, "--seconds", "0.05", "--variants", "1"});
    return run_program("qloom-bench-choice", arguments);
  };
  const Finished loose = run(
      {"--ratio", "1000", "--within", "1000", "--share", "80", "--json", scratch / "choice.json"});
  EXPECT_EQ(loose.exit_code, 0) << loose.out << loose.err;
  // A share of nodes whose prediction is exact to the last digit: none.
  const Finished strict = run({"--within", "0", "--share", "80"});
  EXPECT_EQ(strict.exit_code, 1) << strict.out << strict.err;
  EXPECT_EQ(run_program("qloom-bench-choice", {"no_such_model.h5"}).exit_code, 2);
  EXPECT_EQ(run_program("qloom-bench-choice", {scratch.path(), "--share", "101"}).exit_code, 2);

  const Json reports = Json::parse(std::ifstream(scratch / "choice.json"));
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0]["model"], "digits_cnn_w4a4");
  EXPECT_GE(reports[0]["nodes"].size(), 5U);
  for (const Json& node : reports[0]["nodes"]) EXPECT_GT(node["pick"]["measured_ns"], 0) << node;
}

}  // namespace
}  // namespace qloom::testing
