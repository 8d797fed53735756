#include "tests/support/scratch_folder.h"

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>

namespace qloom::testing {

ScratchFolder::ScratchFolder() {
  path_ = (std::filesystem::temp_directory_path() / "qloom-test-XXXXXX").string();
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary folder: " + path_);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace qloom::testing
