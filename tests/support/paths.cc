#include "tests/support/paths.h"

#include <algorithm>
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

std::vector<KerasFile> shared_keras_files(const std::vector<std::string>& folders) {
  std::vector<KerasFile> out;
  for (const std::string& folder : folders)
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(*shared_dir() / "models" / folder)) {
      const std::string path = entry.path().string();
      constexpr std::string_view kArchitecture = "_arch.json";
      if (path.ends_with(kArchitecture)) {
        const std::string weights =
            path.substr(0, path.size() - kArchitecture.size()) + "_weights.h5";
        out.push_back({path, std::filesystem::exists(weights) ? weights : ""});
      } else if (!path.ends_with("weights.h5") &&
                 (path.ends_with(".h5") || path.ends_with(".keras"))) {
        out.push_back({path, ""});
      }
    }
  std::ranges::sort(out, {}, &KerasFile::path);
  return out;
}

}  // namespace qloom::testing
