// jit/llvm/link.h: objects → one shared object, by lld in this process.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace qloom::jit {

/// As Compiler::link. Touches no disk.
[[nodiscard]] std::vector<uint8_t> link_objects(std::span<const std::vector<uint8_t>> objects);

}  // namespace qloom::jit
