#include "bench/support/model_files.h"

#include <algorithm>
#include <filesystem>

#include "graph/support/error.h"

namespace qloom::bench {

std::vector<std::string> model_files(const std::vector<std::string>& arguments) {
  namespace fs = std::filesystem;
  std::vector<std::string> out;
  for (const std::string& argument : arguments) {
    if (!fs::is_directory(argument)) {
      qloom_check(fs::exists(argument), argument, ": no such file or folder");
      out.push_back(argument);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& file : fs::directory_iterator(argument)) {
      const std::string name = file.path().filename().string();
      const bool model = name.ends_with(".h5") || name.ends_with(".keras");
      if (model && !name.ends_with("_weights.h5") && !name.ends_with(".weights.h5"))
        found.push_back(file.path().string());
    }
    qloom_check(!found.empty(), argument, ": no model (.h5, .keras) in this folder");
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

}  // namespace qloom::bench
