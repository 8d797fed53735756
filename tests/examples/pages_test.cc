// The C++ in the pages is the C++ that the tests compile.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/paths.h"

namespace qloom {
namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << "cannot read " << path;
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

/// The insides of the blocks of a page that begin with ```language, in order.
std::vector<std::string> blocks_of(const std::string& page, const std::string& language) {
  std::vector<std::string> blocks;
  std::istringstream in(page);
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (!inside && line == "```" + language) {
      inside = true;
      blocks.emplace_back();
    } else if (inside && line == "```") {
      inside = false;
    } else if (inside) {
      blocks.back() += line + "\n";
    }
  }
  EXPECT_FALSE(inside) << "a block is not closed";
  return blocks;
}

/// The path in a first line `// tests/examples/…`, the file of a first line `pass NAME`; "" for
/// other blocks.
std::string path_in(const std::string& block) {
  if (block.starts_with("pass "))
    return "tests/examples/contributing/" + block.substr(5, block.find('\n') - 5) + ".txt";
  const std::string mark = "// tests/examples/";
  if (!block.starts_with(mark)) return {};
  const size_t end = block.find(".cc");
  return end == block.npos ? std::string() : block.substr(3, end);
}

/// The lines between `// [name]` and `// [/name]`; the whole text where there is no such line.
std::string section(const std::string& text, const std::string& name) {
  const std::string open = "// [" + name + "]\n", close = "// [/" + name + "]\n";
  const size_t begin = text.find(open), end = text.find(close);
  if (begin == text.npos || end == text.npos) return text;
  return text.substr(begin + open.size(), end - begin - open.size());
}

TEST(Pages, ContributingShowsTheCompiledFiles) {
  std::set<std::string> shown;
  const std::string page = text_of(testing::source_dir() / "CONTRIBUTING.md");
  std::vector<std::string> blocks = blocks_of(page, "cpp");
  for (std::string& text : blocks_of(page, "text")) blocks.push_back(std::move(text));
  for (const std::string& block : blocks) {
    const std::string path = path_in(block);
    ASSERT_FALSE(path.empty()) << "a block that names no file in its first line:\n" << block;
    EXPECT_EQ(block, text_of(testing::source_dir() / path))
        << "CONTRIBUTING.md shows another " << path;
    EXPECT_TRUE(shown.insert(path).second) << path << " is shown twice";
  }
  for (const auto& file :
       std::filesystem::directory_iterator(testing::source_dir() / "tests/examples/contributing"))
    EXPECT_TRUE(shown.contains("tests/examples/contributing/" + file.path().filename().string()))
        << file.path() << " is not shown in CONTRIBUTING.md";
}

/// Every path that CONTRIBUTING.md names in `…` is a file of the project, or the place of one of
/// the files that it shows.
TEST(Pages, ContributingNamesFilesThatExist) {
  const std::string page = text_of(testing::source_dir() / "CONTRIBUTING.md");
  int files = 0;
  for (size_t at = page.find('`'); at != page.npos;) {
    const size_t end = page.find('`', at + 1);
    if (end == page.npos) break;
    const std::string word = page.substr(at + 1, end - at - 1);
    at = page.find('`', end + 1);
    const bool plain = word.find_first_of(" <>*…$(){}=\n") == word.npos;
    const bool path = word.find('/') != word.npos && word.find('.') != word.npos;
    if (!plain || !path || word.starts_with("build/")) continue;
    ++files;
    const std::filesystem::path root = testing::source_dir();
    const auto shown =
        root / "tests/examples/contributing" / std::filesystem::path(word).filename();
    EXPECT_TRUE(std::filesystem::exists(root / word) || std::filesystem::exists(shown)) << word;
  }
  EXPECT_GT(files, 20);
}

TEST(Pages, ReadmeShowsTheExampleThatRuns) {
  const std::filesystem::path readme = testing::source_dir() / "README.md";
  ASSERT_TRUE(std::filesystem::exists(readme)) << "README.md is missing";
  const auto blocks = blocks_of(text_of(readme), "cpp");
  ASSERT_EQ(blocks.size(), 1U) << "README.md has one ```cpp block, that of load_and_run.cc";
  const std::string text = text_of(testing::source_dir() / "tests/examples/load_and_run.cc");
  const std::string shown = section(text, "readme");
  ASSERT_NE(shown, text) << "load_and_run.cc has no lines // [readme] and // [/readme]";
  EXPECT_EQ(blocks[0], shown);
}

TEST(Pages, CppReadmeShowsTheExampleThatRuns) {
  const auto blocks = blocks_of(text_of(testing::source_dir() / "bindings/cpp/README.md"), "cpp");
  ASSERT_EQ(blocks.size(), 1U) << "one ```cpp block, that of mixed_precision.cc";
  const std::string text = text_of(testing::source_dir() / "tests/examples/mixed_precision.cc");
  const std::string shown = section(text, "readme");
  ASSERT_NE(shown, text) << "mixed_precision.cc has no lines // [readme] and // [/readme]";
  EXPECT_EQ(blocks[0], shown);
}

/// An example says what it shows in less than 60 lines.
TEST(Pages, ExamplesAreShort) {
  for (const char* name :
       {"dense_pruned", "load_and_run", "mixed_precision", "own_kernel", "own_quantizer"}) {
    const std::string text =
        text_of(testing::source_dir() / "tests/examples" / (std::string(name) + ".cc"));
    EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 60) << name;
  }
}

/// Tests of the reader of pages.
TEST(Pages, BlocksAndSectionsAreFound) {
  EXPECT_EQ(blocks_of("a\n```cpp\nx\ny\n```\n```\nz\n```\n```cpp\n```\n", "cpp"),
            (std::vector<std::string>{"x\ny\n", ""}));
  EXPECT_EQ(path_in("// tests/examples/contributing/a.cc: b\n"),
            "tests/examples/contributing/a.cc");
  EXPECT_EQ(path_in("pass b\n=== before\n"), "tests/examples/contributing/b.txt");
  EXPECT_EQ(path_in("int x;\n"), "");
  EXPECT_EQ(section("a\n// [m]\nb\n// [/m]\nc\n", "m"), "b\n");
}

}  // namespace
}  // namespace qloom
