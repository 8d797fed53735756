// The bundles of reference results that lie in tests/data, and those of a shared folder where there
// is one. How many cases pass, and which are skipped for what reason, is pinned in
// expected_counts.json: an unlisted skip fails.
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "tests/golden/runner.h"
#include "tests/support/paths.h"

namespace qloom::golden {
namespace {

/// Compares with the entry of that name in expected_counts.json.
void check(const std::string& name, const std::string& path, const RunOptions& options = {}) {
  std::ifstream in(testing::source_dir() / "tests/golden/expected_counts.json");
  const Json all = Json::parse(in);
  ASSERT_TRUE(all.contains(name)) << name << " is not in expected_counts.json";
  const Json& expected = all[name];
  const std::vector<Outcome> outcomes = run_bundle(path, options);
  std::map<std::string, int64_t> skips;
  int64_t passed = 0;
  for (const Outcome& o : outcomes) {
    EXPECT_NE(o.result, Result::failed) << o.name << ": " << o.text;
    passed += o.result == Result::passed ? 1 : 0;
    if (o.result == Result::skipped) ++skips[o.text];
  }
  EXPECT_EQ(passed, expected["passed"].get<int64_t>());
  const auto listed = expected["skipped"].get<std::map<std::string, int64_t>>();
  EXPECT_EQ(skips, listed) << "skipped cases by reason";
}

std::string data(const std::string& file) { return std::string(QLOOM_GOLDEN_DATA) + "/" + file; }

TEST(GoldenTest, Quantizers) { check("quantizers", data("quantizers.json")); }
TEST(GoldenTest, Strings) { check("strings", data("strings.json")); }

}  // namespace
}  // namespace qloom::golden
