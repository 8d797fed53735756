#pragma once

#include <string_view>

namespace qloom {

/// Version of the library, `major.minor.patch`.
[[nodiscard]] std::string_view version();

}  // namespace qloom
