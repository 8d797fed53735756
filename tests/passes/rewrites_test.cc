// Text in, text out: each file of rewrites/ names a pass and holds a graph before and after it.
// QLOOM_REWRITE_GOLDEN=1 writes what the passes give now; read the difference before it is
// committed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "graph/text.h"
#include "passes/inference_table.h"
#include "passes/pass.h"
#include "tests/support/paths.h"

namespace qloom::test {
namespace {

std::filesystem::path folder() { return testing::source_dir() / "tests" / "passes" / "rewrites"; }

struct Rewrite {
  std::string name, pass, before, after;
  int rewrites = 0;
};

Rewrite read(const std::filesystem::path& path) {
  Rewrite r{.name = path.stem(), .pass = {}, .before = {}, .after = {}};
  std::ifstream in(path);
  std::string* to = nullptr;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first, second;
    words >> first >> second;
    if (first == "pass") {
      r.pass = second;
    } else if (first == "===") {
      to = second == "before" ? &r.before : &r.after;
      if (second == "after") words >> r.rewrites;
    } else if (to != nullptr) {
      *to += line + "\n";
    }
  }
  return r;
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder()))
    out.push_back(entry.path().stem());
  std::sort(out.begin(), out.end());
  return out;
}

const passes::PassDef* find_pass(const std::string& name) {
  for (const passes::PassDef* pass : passes::all_inference())
    if (pass->name == name) return pass;
  return nullptr;
}

class RewriteFile : public ::testing::TestWithParam<std::string> {};

TEST_P(RewriteFile, GivesTheExpectedText) {
  const std::filesystem::path path = folder() / (GetParam() + ".txt");
  const Rewrite expected = read(path);
  const passes::PassDef* const one[] = {find_pass(expected.pass)};
  ASSERT_NE(one[0], nullptr) << expected.pass;
  Graph graph = parse_graph(expected.before);
  ASSERT_EQ(to_text(graph), expected.before);
  const int rewrites = passes::run_passes(graph, one, {})[0].rewrites;
  const std::string text = to_text(graph);
  if (std::getenv("QLOOM_REWRITE_GOLDEN") != nullptr)
    std::ofstream(path) << "pass " << expected.pass << "\n=== before\n"
                        << expected.before << "=== after " << rewrites << " rewrites\n"
                        << text;
  EXPECT_EQ(text, expected.after);
  EXPECT_EQ(rewrites, expected.rewrites);
}

INSTANTIATE_TEST_SUITE_P(Files, RewriteFile, ::testing::ValuesIn(names()),
                         [](const auto& info) { return info.param; });

TEST(PassTable, EveryPassSaysWhatItDoesIsInThePipelineAndHasACase) {
  std::set<std::string> tested;
  for (const std::string& name : names()) tested.insert(read(folder() / (name + ".txt")).pass);
  const auto pipeline = passes::inference_pipeline();
  for (const passes::PassDef* pass : passes::all_inference()) {
    EXPECT_FALSE(pass->name.empty());
    EXPECT_NE(pass->doc.find("Gives:"), std::string_view::npos) << pass->name;
    EXPECT_NE(std::find(pipeline.begin(), pipeline.end(), pass), pipeline.end()) << pass->name;
    EXPECT_TRUE(tested.contains(std::string(pass->name)))
        << "no case for " << pass->name << " in rewrites/";
  }
}

}  // namespace
}  // namespace qloom::test
