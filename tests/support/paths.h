// tests/support/paths.h: where tests find files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace qloom::testing {

/// Root of the checkout that was built.
[[nodiscard]] std::filesystem::path source_dir();

/// The folder of shared models and golden data: $QLOOM_SHARED, else `../shared` beside the
/// checkout; nothing where there is none.
[[nodiscard]] std::optional<std::filesystem::path> shared_dir();

/// A Keras file of the shared models, and the weights file beside it where it has none itself.
struct KerasFile {
  std::string path, weights;
};
/// All of them below these folders of the shared models ("own", "public", "reports").
[[nodiscard]] std::vector<KerasFile> shared_keras_files(const std::vector<std::string>& folders);

}  // namespace qloom::testing

/// Skips the test where shared data is missing. `.ci/run` fails on such a skip when the data
/// exists: keep the words.
#define QLOOM_NEEDS_SHARED()         \
  if (!qloom::testing::shared_dir()) \
  GTEST_SKIP() << "needs shared data: set QLOOM_SHARED or place it in ../shared"
