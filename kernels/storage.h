#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "graph/tensor_type.h"

namespace qloom::kernels {

/// How elements of a value lie in memory. All: row-major, one sample after the other, no padding
/// between samples except as said.
///   f32     values (code × step for quantized ones)
///   bytes   one byte: code + zero, 0..255
///   words   int16 codes
///   dwords  int32 codes
///   bits    binary sets: bit 1 stands for +1 (or 1), 0 for -1 (or 0); the last axis is packed,
///   each run
///           of it padded with 0 bits to whole 64-bit words, least significant bit first
struct Storage {
  enum class Kind : uint8_t { f32, bytes, words, dwords, bits };
  Kind kind = Kind::f32;
  int zero = 0;  ///< bytes only
  bool operator==(const Storage&) const = default;
  [[nodiscard]] std::string to_string() const;  ///< "bytes+8"

  static Storage f32() { return {}; }
  static Storage bytes(int zero) { return {Kind::bytes, zero}; }
  static Storage words() { return {Kind::words, 0}; }
  static Storage dwords() { return {Kind::dwords, 0}; }
  static Storage bits() { return {Kind::bits, 0}; }
};

/// Bytes of one sample of a value with this shape, without slack.
[[nodiscard]] int64_t bytes_per_sample(const Shape& shape, Storage storage);
/// Narrowest storage that holds every code of the type (bytes with the zero that makes codes
/// non-negative, words, dwords), f32 where it has no codes.
[[nodiscard]] Storage plain_storage(const TensorType& type);
/// True when every code of the type can be stored so and read back. f32: values without codes, and
/// codes within ±2^22.
[[nodiscard]] bool fits(const TensorType& type, Storage storage);
/// Kernels may read up to this many bytes before and after, and write after, what a buffer holds.
inline constexpr int64_t kSlackBytes = 256;

/// Extent of the last axis: 1 for rank 0 and where it is the batch.
[[nodiscard]] int64_t last_extent(const Shape& shape);
/// Scalar access, for packing and tests: element `index` (row-major) of the sample at `data`;
/// `last` is the extent of the last axis (bits). Reading bits yields the bit, 0 or 1 (of a binary
/// set: code 2·bit - 1); writing sets it where code > 0. Throws InternalError for f32.
[[nodiscard]] int64_t read_code(const void* data, Storage storage, int64_t index, int64_t last);
void write_code(void* data, Storage storage, int64_t index, int64_t last, int64_t code);

std::ostream& operator<<(std::ostream&, const Storage&);

}  // namespace qloom::kernels
