#pragma once

#include <cstdint>

namespace qloom {

/// Uniform random numbers by counting: number i of a key's stream is a function of key and i alone,
/// so that equal keys give equal numbers on every machine. Multiples of 2^-23 in [0, 1), as
/// TensorFlow draws them.
class Draws {
 public:
  explicit Draws(uint64_t key) : key_(mixed(key)) {}
  float next() { return static_cast<float>(mixed(key_ + kStep * ++count_) >> 41) * 0x1p-23f; }

  /// The key of stream number `counter` of a seed.
  [[nodiscard]] static uint64_t key(uint64_t seed, uint64_t counter) {
    return mixed(mixed(seed) + kStep * (counter + 1));
  }

 private:
  static constexpr uint64_t kStep = 0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio, odd
  /// A permutation of 64 bits in which every bit depends on every other (splitmix64's, by
  /// S. Vigna).
  static constexpr uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  uint64_t key_;
  uint64_t count_ = 0;
};

}  // namespace qloom
