#include "graph/support/plugin.h"

#include <dlfcn.h>

#include <utility>

#include "graph/support/error.h"

namespace qloom {

std::string library_folder() {
  Dl_info info{};
  qloom_assert(dladdr(reinterpret_cast<void*>(&library_folder), &info) != 0 && info.dli_fname,
               "the loader does not know where this library lies");
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Plugin::Plugin(std::string path, void* handle) : path_(std::move(path)), handle_(handle) {}

Plugin Plugin::open(const std::string& name) {
  std::string path = library_folder() + "/lib" + name + ".so";
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) {
    const char* reason = dlerror();
    throw UserError(join_text("cannot load ", path, ": ", reason ? reason : "no reason given"));
  }
  return {std::move(path), handle};
}

void* Plugin::address(const char* name) const {
  void* symbol = dlsym(handle_, name);
  qloom_assert(symbol, path_, " has no function ", name);
  return symbol;
}

}  // namespace qloom
