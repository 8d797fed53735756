// graph/support/plugin.h: libraries that are opened only when needed, because what they link is
// slow to load.
#pragma once

#include <string>

namespace qloom {

/// Folder of libqloom.so; plug-ins lie beside it.
[[nodiscard]] std::string library_folder();

/// An opened `lib<name>.so`. It stays loaded until the process ends: code and objects of it may
/// outlive any handle.
class Plugin {
 public:
  /// Opens `lib<name>.so` in library_folder(), e.g. "qloom_compiler"; opening it again costs
  /// microseconds. Throws UserError naming the file and the loader's reason.
  static Plugin open(const std::string& name);

  /// The `extern "C"` function of that name. Throws InternalError when the plug-in has none.
  template <class Function>
  [[nodiscard]] Function* function(const char* name) const {
    return reinterpret_cast<Function*>(address(name));
  }

 private:
  Plugin(std::string path, void* handle);
  void* address(const char* name) const;

  std::string path_;
  void* handle_;
};

}  // namespace qloom
