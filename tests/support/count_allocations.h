#pragma once

#include <cstdint>

namespace qloom {

/// Calls of malloc and its kin in this process so far, by any library: operator new ends there too.
/// Linking this replaces them.
[[nodiscard]] int64_t allocation_count();
/// False under sanitizers, which have their own, and where the C library is not glibc.
[[nodiscard]] bool counts_allocations();

}  // namespace qloom
