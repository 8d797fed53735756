// jit/environment.h: every environment variable that this library reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qloom::jit {

enum class Environment : uint8_t {
  cache,           ///< QLOOM_CACHE: `off` disables the cache of compiled models
  cache_dir,       ///< QLOOM_CACHE_DIR: folder of the cache
  target,          ///< QLOOM_TARGET: `portable` compiles without AVX2, `avx2` without AVX-512
  xdg_cache_home,  ///< XDG_CACHE_HOME: the cache lies in its `qloom`
  home,            ///< HOME: the cache lies in its `.cache/qloom`
};

/// Name of the variable, as the shell spells it.
[[nodiscard]] std::string_view name_of(Environment variable);

/// Its value; "" where it is not set, and in a set-uid process.
[[nodiscard]] std::string value_of(Environment variable);

}  // namespace qloom::jit
