#include "jit/environment.h"

#include <cstdlib>
#include <iterator>

#include "graph/support/error.h"

namespace qloom::jit {
namespace {

constexpr std::string_view kNames[] = {"QLOOM_CACHE", "QLOOM_CACHE_DIR", "QLOOM_TARGET",
                                       "XDG_CACHE_HOME", "HOME"};

}  // namespace

std::string_view name_of(Environment variable) {
  const auto index = static_cast<size_t>(variable);
  qloom_assert(index < std::size(kNames), "no environment variable has number ", index);
  return kNames[index];
}

std::string value_of(Environment variable) {
  // secure_getenv: in a set-uid process the environment belongs to the caller, who must not choose
  // where code is loaded from.
  const char* value = secure_getenv(std::string(name_of(variable)).c_str());
  return value ? value : "";
}

}  // namespace qloom::jit
