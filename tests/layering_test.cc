// tests/layering_test.cc: reads the #include lines of every source and fails on one against the
// stream
//   graph ← jit ← kernels ← runtime ← passes ← bindings
// and on third-party headers outside the folder that owns them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <istream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/paths.h"

namespace qloom {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 8> kFolders = {"graph",  "jit",      "kernels", "runtime",
                                                      "passes", "bindings", "bench",   "tests"};

/// Sources whose path begins with `from` must not include what begins with `includes`, though the
/// stream might allow it.
struct Ban {
  std::string_view from, includes, why;
};

constexpr std::string_view kOracle = "the oracle must share nothing with what it judges";
constexpr std::string_view kCompiler = "LLVM belongs to jit/";
constexpr std::string_view kImport = "this library belongs to bindings/";

constexpr Ban kBans[] = {
    {"graph/interpret", "jit/", kOracle},     {"graph/interpret", "kernels/", kOracle},
    {"graph/interpret", "passes/", kOracle},  {"graph/ops", "jit/", kOracle},
    {"graph/ops", "kernels/", kOracle},       {"graph/ops", "passes/", kOracle},
    {"graph/quantizers", "jit/", kOracle},    {"graph/quantizers", "kernels/", kOracle},
    {"graph/quantizers", "passes/", kOracle},
};

/// Third-party headers and the one folder that may include them.
struct Owner {
  std::string_view header, folder, why;
};

constexpr Owner kOwners[] = {
    {"llvm/", "jit/", kCompiler},          {"llvm-c/", "jit/", kCompiler},
    {"lld/", "jit/", kCompiler},           {"nlohmann/", "bindings/", kImport},
    {"hdf5", "bindings/import/", kImport}, {"H5", "bindings/import/", kImport},
    {"zip.h", "bindings/", kImport},       {"fmt/", "bindings/", kImport},
    {"spdlog/", "bindings/", kImport},     {"CLI/", "bindings/", kImport},
};

size_t rank_of(std::string_view path) {
  const std::string_view folder = path.substr(0, path.find('/'));
  return std::find(kFolders.begin(), kFolders.end(), folder) - kFolders.begin();
}

/// The file named by an #include line, without quotes or angle brackets; empty for any other line.
std::string included_file(std::string_view line) {
  size_t at = line.find_first_not_of(" \t");
  if (at == line.npos || line[at] != '#') return {};
  at = line.find_first_not_of(" \t", at + 1);
  if (at == line.npos || !line.substr(at).starts_with("include")) return {};
  const size_t open = line.find_first_of("<\"", at);
  if (open == line.npos) return {};
  const size_t close = line.find(line[open] == '<' ? '>' : '"', open + 1);
  if (close == line.npos) return {};
  return std::string(line.substr(open + 1, close - open - 1));
}

/// One message for each include of `source` that is not allowed. `path` is relative to the root of
/// the checkout.
std::vector<std::string> violations(std::string_view path, std::istream& source) {
  std::vector<std::string> found;
  std::string line;
  for (int number = 1; std::getline(source, line); ++number) {
    const std::string file = included_file(line);
    if (file.empty()) continue;
    auto report = [&](std::string_view why) {
      std::ostringstream text;
      text << path << ":" << number << ": includes " << file << ": " << why;
      found.push_back(text.str());
    };
    if (file.find("../") != file.npos) report("includes are relative to the root");
    const size_t rank = rank_of(file);
    if (rank < kFolders.size() && rank > rank_of(path)) report("a folder to the right");
    for (const Ban& ban : kBans) {
      if (path.starts_with(ban.from) && file.starts_with(ban.includes)) report(ban.why);
    }
    for (const Owner& owner : kOwners) {
      if (file.starts_with(owner.header) && !path.starts_with(owner.folder)) report(owner.why);
    }
  }
  return found;
}

std::vector<std::string> violations(std::string_view path, const std::string& source) {
  std::istringstream in(source);
  return violations(path, in);
}

TEST(Layering, SourcesIncludeOnlyToTheLeft) {
  int files = 0;
  for (std::string_view folder : kFolders) {
    if (folder == "tests" || folder == "bench") continue;
    for (const fs::directory_entry& entry :
         fs::recursive_directory_iterator(testing::source_dir() / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      ++files;
      std::ifstream in(entry.path());
      ASSERT_TRUE(in) << entry.path();
      const std::string path = fs::relative(entry.path(), testing::source_dir());
      for (const std::string& text : violations(path, in)) ADD_FAILURE() << text;
    }
  }
  EXPECT_GT(files, 10);
}

TEST(Layering, CheckerCatchesAnIncludeToTheRight) {
  EXPECT_EQ(
      violations("graph/op.cc", "#include \"kernels/kernel.h\"\n"),
      std::vector<std::string>{"graph/op.cc:1: includes kernels/kernel.h: a folder to the right"});
  EXPECT_EQ(violations("runtime/executor.h", "\n# include \"passes/pass.h\"\n").size(), 1u);
  EXPECT_EQ(violations("passes/compile.cc", "#include \"bindings/cpp/qloom.h\"").size(), 1u);
  EXPECT_EQ(violations("kernels/pack.cc", "#include \"../graph/numeric.h\"").size(), 1u);
}

TEST(Layering, CheckerCatchesAnOracleThatLooksAtKernels) {
  EXPECT_EQ(violations("graph/interpret.cc", "#include \"kernels/pack.h\"").size(), 2u);
  EXPECT_EQ(violations("graph/ops/conv.cc", "#include \"jit/code.h\"").size(), 2u);
}

TEST(Layering, CheckerCatchesAThirdPartyHeaderOutOfPlace) {
  EXPECT_EQ(violations("kernels/dense/dense.cc", "#include <llvm/IR/IRBuilder.h>").size(), 1u);
  EXPECT_EQ(violations("graph/text.cc", "#include <nlohmann/json.hpp>").size(), 1u);
}

TEST(Layering, CheckerAllowsIncludesToTheLeft) {
  const std::string source =
      "#include <vector>\n#include \"graph/op.h\"\n// #include \"bindings/x.h\"\n";
  EXPECT_EQ(violations("passes/fuse.cc", source).size(), 0u);
  EXPECT_EQ(violations("jit/llvm_emit.cc", "#include <llvm/IR/IRBuilder.h>").size(), 0u);
}

}  // namespace
}  // namespace qloom
