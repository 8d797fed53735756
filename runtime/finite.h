// runtime/finite.h: the check of what the caller hands over.
#pragma once

#include <cstdint>

namespace qloom::runtime {

/// Position of the first NaN or infinity among n numbers, or n.
[[nodiscard]] int64_t first_not_finite(const float* x, int64_t n) noexcept;

}  // namespace qloom::runtime
