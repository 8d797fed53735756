#include "tests/support/paths.h"

#include <cstdlib>

namespace qloom::testing {

std::filesystem::path source_dir() { return QLOOM_SOURCE_DIR; }

std::optional<std::filesystem::path> shared_dir() {
  const char* variable = std::getenv("QLOOM_SHARED");
  std::filesystem::path folder =
      variable && *variable ? variable : source_dir().parent_path() / "shared";
  if (!std::filesystem::is_directory(folder)) return std::nullopt;
  return folder;
}

}  // namespace qloom::testing
