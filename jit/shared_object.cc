#include "jit/shared_object.h"

#include <dlfcn.h>

#include <atomic>

namespace qloom::jit {
namespace {

class SharedObject final : public Code {
 public:
  explicit SharedObject(void* handle) : handle_(handle) {}
  ~SharedObject() override { dlclose(handle_); }

  void* symbol(std::string_view name) const override {
    return dlsym(handle_, std::string(name).c_str());
  }

 private:
  void* handle_;
};

/// A path to the descriptor that no call has used before. The loader takes two equal paths for the
/// same library, and numbers of descriptors are used again: with the plain path, a second model
/// could get the code of the first.
std::string unique_path(int descriptor) {
  static std::atomic<uint32_t> next = 0;
  std::string path = "/proc/self/fd";
  for (uint32_t n = next++, bit = 0; bit < 32; ++bit) path += (n >> bit & 1) ? "/./" : "//.";
  return path + "/" + std::to_string(descriptor);
}

}  // namespace

std::shared_ptr<const Code> open_shared_object(int descriptor, std::string& why) {
  void* handle = dlopen(unique_path(descriptor).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* reason = dlerror();
    why = reason ? reason : "no reason given";
    return nullptr;
  }
  return std::make_shared<SharedObject>(handle);
}

}  // namespace qloom::jit
