// tests/support/scratch_folder.h: a place for files that a test writes.
#pragma once

#include <string>

namespace qloom::testing {

/// A new, empty folder below $TMPDIR, removed when the object goes. No two have one name, also not
/// where a test that crashed has left its own.
class ScratchFolder {
 public:
  ScratchFolder();  ///< throws std::runtime_error where none can be made
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace qloom::testing
