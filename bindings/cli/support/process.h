// bindings/cli/support/process.h: this program once more, in a fresh process.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace qloom::cli {

/// Wall time from before the start of `arguments[0]` (output discarded) to its end, in
/// milliseconds. `environment` is added to the caller's. Throws UserError when it cannot be started
/// or fails.
[[nodiscard]] double run_process_ms(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::string>>& environment);

/// Path of this executable.
[[nodiscard]] std::string own_executable();

/// A folder of its own below the system's temporary folder, removed with all it holds at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace qloom::cli
