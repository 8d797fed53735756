#include "runtime/memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <limits>

namespace qloom::runtime {
namespace {

constexpr size_t kAlignment = 64, kHugePage = size_t{2} << 20, kLeastForHuge = kHugePage / 4;

}  // namespace

void FreeMemory::operator()(uint8_t* p) const noexcept { std::free(p); }

Memory allocate_memory(size_t bytes) noexcept {
  const bool huge = bytes >= kLeastForHuge;
  const size_t alignment = huge ? kHugePage : kAlignment;
  if (bytes > std::numeric_limits<size_t>::max() - alignment) return {};
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  Memory memory(static_cast<uint8_t*>(std::aligned_alloc(alignment, rounded)));
  // Advice only: without huge pages everything works, more slowly.
  if (huge && memory != nullptr) madvise(memory.get(), rounded, MADV_HUGEPAGE);
  return memory;
}

}  // namespace qloom::runtime
