#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace qloom::jit {

/// Machine code in this process: from ORC, or from a shared object of the cache. Freed with its
/// last owner. Immutable, shared by threads.
class Code {
 public:
  virtual ~Code() = default;
  /// Address of a function; null when there is none of this name.
  [[nodiscard]] virtual void* symbol(std::string_view name) const = 0;
};

/// Signature of every emitted kernel: `buffers` as the kernel's definition says, `count` samples,
/// and of each its work items [begin, end). Parts of a sample are asked for with count = 1 only.
using KernelFunction = void (*)(void* const* buffers, int64_t count, int64_t begin, int64_t end);

}  // namespace qloom::jit
