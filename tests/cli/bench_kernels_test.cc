// qloom-bench-kernels as a person starts it.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/cli/process.h"

namespace qloom::testing {
namespace {

using Json = nlohmann::json;

TEST(BenchKernels, RowsHaveWhatTheFormatPromises) {
  const ScratchFolder scratch;
  std::ofstream(scratch / "mine.txt")
      << "widths bb=bxb w4a4\nconv a 8x8x64 32 3x3\ndense b 64 10\n";
  const Finished f = run_program("qloom-bench-kernels",
                                 {"--suite", scratch / "mine.txt", "--json", scratch / "rows.json",
                                  "--threads", "1", "--seconds", "0.01"});
  ASSERT_EQ(f.exit_code, 0) << f.err << f.out;
  EXPECT_NE(f.out.find("4 rows, 0 wrong outputs"), std::string::npos) << f.out;
  const Json rows = Json::parse(std::ifstream(scratch / "rows.json"));
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0]["name"], "a/bxb");
  EXPECT_EQ(rows[0]["class"], "bxb");
  EXPECT_EQ(rows[0]["shape"],
            Json({{"h", 8}, {"w", 8}, {"c", 64}, {"n", 32}, {"kh", 3}, {"kw", 3}}));
  for (const Json& row : rows) {
    EXPECT_EQ(row["mismatches"], 0);
    const double macs = row["macs"], time = row["time_ns"], peak = row["fp32_peak_gmacs"];
    EXPECT_GT(time, 0);
    EXPECT_GT(row["predicted_ns"], 0);
    EXPECT_GT(row["bytes_per_second"], 0);
    EXPECT_NEAR(row["gmacs"].get<double>(), macs / time, 1e-6 * macs / time);
    EXPECT_NEAR(row["ratio_to_fp32"].get<double>(), macs / time / peak, 1e-6 * macs / time / peak);
  }
  EXPECT_EQ(rows[1]["macs"], 8 * 8 * 64 * 32 * 9);
}

TEST(BenchKernels, WrongUsageIsTwo) {
  const auto run = [](const std::vector<std::string>& arguments) {
    return run_program("qloom-bench-kernels", arguments).exit_code;
  };
  EXPECT_EQ(run({"--suite", "no_such_suite"}), 2);
  EXPECT_EQ(run({"--threads", "2"}), 2);
  EXPECT_EQ(run({"--no-such-flag"}), 2);
  EXPECT_EQ(run({"--suite", "jets", "--json", "/no/such/folder/rows.json"}), 2);
  EXPECT_EQ(run({"--help"}), 0);
  const Finished list = run_program("qloom-bench-kernels", {"--list"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_NE(list.out.find("acceptance\n"), std::string::npos) << list.out;
}

}  // namespace
}  // namespace qloom::testing
