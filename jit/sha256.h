// jit/sha256.h: SHA-256 (FIPS 180-4), for cache keys and checksums.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace qloom::jit {

using Digest = std::array<uint8_t, 32>;

class Sha256 {
 public:
  Sha256();
  void add(std::span<const uint8_t> bytes);
  /// Digest of all bytes added so far; more may follow.
  [[nodiscard]] Digest digest() const;

 private:
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> block_{};  ///< the part of a block that is not full yet
  uint64_t total_ = 0;
};

[[nodiscard]] Digest sha256(std::span<const uint8_t> bytes);

namespace detail {
/// Processes whole blocks of 64 bytes; the second uses the processor's SHA instructions.
void sha256_blocks_portable(uint32_t* state, const uint8_t* data, size_t blocks);
void sha256_blocks_native(uint32_t* state, const uint8_t* data, size_t blocks);
[[nodiscard]] bool has_native_sha256();
}  // namespace detail

}  // namespace qloom::jit
