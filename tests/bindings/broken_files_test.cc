// The files of golden/broken.json that are HDF5 or JSON: each is refused with the listed words, or
// accepted, as the list says.
#include <gtest/gtest.h>

#include <fstream>

#include "bindings/import/json.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "tests/bindings/expect_error.h"
#include "tests/support/limits.h"
#include "tests/support/paths.h"

namespace qloom {
namespace {

namespace fs = std::filesystem;

// The whole way from files to a graph. "" when accepted.
std::string refusal(const std::string& path, const std::string& weights) {
  try {
    const Graph graph = import_keras(read_keras_model(path, {.weights = weights}));
    EXPECT_FALSE(graph.outputs().empty()) << path;
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(BrokenFiles, AreRefusedOrAcceptedAsListed) {
  QLOOM_NEEDS_SHARED();
  const fs::path golden = *testing::shared_dir() / "golden";
  std::ifstream in(golden / "broken.json");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const ConfigValue list = keras::parse_json(text, "broken.json");
  int checked = 0;
  for (const ConfigValue& entry : *list.array()) {
    const ConfigView c(entry, "broken.json");
    const std::string file = c["file"].as_text();
    const std::string weights = c["weights"].text_or("");
    const std::string name = fs::path(file.starts_with("broken/") ? file : weights).filename();
    const double start = testing::milliseconds_of_this_thread();
    const std::string message =
        refusal((golden / "files" / file).string(),
                weights.empty() ? "" : (golden / "files" / weights).string());
    EXPECT_LT(testing::milliseconds_of_this_thread() - start, 1000) << name;
    ++checked;
    const std::string expect = c["expect"].as_text();
    if (message.empty()) {
      EXPECT_NE(expect, "refuse") << name << " was accepted";
      continue;
    }
    EXPECT_NE(expect, "accept") << name << ": " << message;
    for (size_t k = 0; k < c["names"].size(); ++k) {
      const std::string word = c["names"][k].as_text();
      EXPECT_NE(testing::lower(message).find(testing::lower(word)), std::string::npos)
          << name << ": no \"" << word << "\" in: " << message;
    }
  }
  EXPECT_EQ(checked, 94);
}

}  // namespace
}  // namespace qloom
