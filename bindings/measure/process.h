// bindings/measure/process.h: a program once more, in a fresh process.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace qloom::measure {

struct Finished {
  double ms = 0;  ///< wall time from before its start to its end
  int exit_code = 0;
  std::string out;  ///< what it wrote to standard output; standard error is the caller's
};

/// Runs `arguments[0]` to its end. `environment` replaces variables of the caller's. Throws
/// UserError when it cannot be started or ends by a signal.
[[nodiscard]] Finished run_process(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::string>>& environment = {});

/// Path of this executable.
[[nodiscard]] std::string own_executable();

/// The most memory that this process ever had resident, in bytes, shared libraries and mapped files
/// included (VmHWM of Linux). A child cannot be asked from outside: what the system reports of it
/// begins with the size of its parent.
[[nodiscard]] int64_t peak_rss_bytes();

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

}  // namespace qloom::measure
