#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace qloom::runtime {

struct FreeMemory {
  void operator()(uint8_t* p) const noexcept;
};
using Memory = std::unique_ptr<uint8_t, FreeMemory>;

/// `bytes` (not set to anything) at a 64-byte boundary; null where there are none. What kernels
/// sweep on every call: from half a megabyte on in pages of 2 MiB where the system has them,
/// because a walk of page tables in front of every 4 KiB costs more than reading these, in a
/// virtual machine above all. Takes up to 2 MiB more than asked for.
[[nodiscard]] Memory allocate_memory(size_t bytes) noexcept;

}  // namespace qloom::runtime
