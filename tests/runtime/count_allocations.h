#pragma once

#include <cstdint>

namespace qloom {

/// Calls of operator new in this process so far, by any library. Linking this replaces it.
[[nodiscard]] int64_t allocation_count();
/// False under sanitizers, which have their own.
[[nodiscard]] bool counts_allocations();

}  // namespace qloom
