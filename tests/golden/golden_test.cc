// The bundles of reference results that lie in tests/data, and the models of a shared folder where
// there is one. How many cases pass, and how many are skipped for what reason, is pinned in
// expected_counts.json: an unlisted skip fails, and so does an unlisted bundle.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/golden/runner.h"
#include "tests/support/paths.h"

namespace qloom::golden {
namespace {

Json expected_counts() {
  std::ifstream in(testing::source_dir() / "tests/golden/expected_counts.json");
  return Json::parse(in);
}

/// Runs a bundle and compares with the entry of that name in expected_counts.json.
void check(const std::string& name, const std::string& path, const RunOptions& options) {
  const Json all = expected_counts();
  ASSERT_TRUE(all.contains(name)) << name << " is not in expected_counts.json";
  const std::vector<Outcome> outcomes = run_bundle(path, options);
  std::map<std::string, int64_t> skips;
  int64_t passed = 0;
  for (const Outcome& o : outcomes) {
    EXPECT_NE(o.result, Result::failed) << o.name << ": " << o.text;
    passed += o.result == Result::passed ? 1 : 0;
    if (o.result == Result::skipped) ++skips[o.text];
  }
  EXPECT_EQ(passed, all[name]["passed"].get<int64_t>());
  const auto listed = all[name]["skipped"].get<std::map<std::string, int64_t>>();
  EXPECT_EQ(skips, listed) << "skipped cases by reason";
}

/// The bundles that are unpacked beside the tests.
class GoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, Bundle) {
  check(GetParam(), std::string(QLOOM_GOLDEN_DATA) + "/" + GetParam() + ".json",
        {.interpreter_only = true});
}

INSTANTIATE_TEST_SUITE_P(Data, GoldenTest,
                         ::testing::Values("quantizers", "strings", "layers", "files", "broken"),
                         [](const auto& info) { return std::string(info.param); });

/// Every bundle of models, by the name it has in expected_counts.json: "own/digits_po2_ref".
std::vector<std::string> model_bundles() {
  std::vector<std::string> names;
  const Json all = expected_counts();
  for (const auto& [name, counts] : all.items())
    if (name.find('/') != std::string::npos) names.push_back(name);
  return names;
}

class GoldenModelTest : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenModelTest, Bundle) {
  QLOOM_NEEDS_SHARED();
  const std::string models = (*testing::shared_dir() / "models/").string();
  check(GetParam(), models + GetParam() + ".json",
        {.root = models + "public/", .interpreter_only = true});
}

INSTANTIATE_TEST_SUITE_P(Shared, GoldenModelTest, ::testing::ValuesIn(model_bundles()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '/', '_');
                           return name;
                         });

TEST(GoldenModelsTest, EveryBundleIsListed) {
  QLOOM_NEEDS_SHARED();
  const Json all = expected_counts();
  for (const char* folder : {"own", "public", "reports"})
    for (const auto& entry :
         std::filesystem::directory_iterator(*testing::shared_dir() / "models" / folder)) {
      const std::filesystem::path& path = entry.path();
      if (path.extension() != ".json") continue;
      if (!std::filesystem::exists(std::filesystem::path(path).replace_extension(".bin"))) continue;
      const std::string name = std::string(folder) + "/" + path.stem().string();
      EXPECT_TRUE(all.contains(name)) << name;
    }
}

}  // namespace
}  // namespace qloom::golden
