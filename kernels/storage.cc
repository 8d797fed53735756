#include "kernels/storage.h"

#include <bit>
#include <cstring>
#include <limits>
#include <ostream>

#include "graph/support/error.h"

namespace qloom::kernels {
namespace {

constexpr std::string_view kNames[] = {"f32", "bytes", "words", "dwords", "bits"};

template <class T>
bool within(const Numeric::Grid& grid, int64_t shift = 0) {
  return grid.lo + shift >= std::numeric_limits<T>::min() &&
         grid.hi + shift <= std::numeric_limits<T>::max();
}

template <class T>
T load(const void* data, int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(data) + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(void* data, int64_t index, int64_t code) {
  const T value = static_cast<T>(code);
  std::memcpy(static_cast<char*>(data) + index * sizeof(T), &value, sizeof(T));
}

struct BitPlace {
  int64_t byte;
  int bit;
};

// Runs begin at whole words; within a run the least significant bit comes first, so the byte order
// of words is the byte order of memory.
static_assert(std::endian::native == std::endian::little);
BitPlace bit_place(int64_t index, int64_t last) {
  const int64_t run = index / last, at = index % last;
  return {run * ((last + 63) / 64) * 8 + at / 8, static_cast<int>(at % 8)};
}

}  // namespace

std::string Storage::to_string() const {
  std::string text(kNames[static_cast<size_t>(kind)]);
  if (kind == Kind::bytes && zero != 0) text += (zero > 0 ? "+" : "") + std::to_string(zero);
  return text;
}

std::ostream& operator<<(std::ostream& out, const Storage& storage) {
  return out << storage.to_string();
}

int64_t bytes_per_sample(const Shape& shape, Storage storage) {
  const int64_t elements = elements_per_sample(shape);
  qloom_assert(elements < int64_t{1} << 56, "a sample of ", elements, " elements");
  switch (storage.kind) {
    case Storage::Kind::f32:
    case Storage::Kind::dwords:
      return elements * 4;
    case Storage::Kind::bytes:
      return elements;
    case Storage::Kind::words:
      return elements * 2;
    case Storage::Kind::bits: {
      // A last axis that is the batch: each sample is a run of one element.
      const int64_t last = last_extent(shape);
      return last == 0 ? 0 : elements / last * ((last + 63) / 64) * 8;
    }
  }
  qloom_assert(false, "storage kind ", static_cast<int>(storage.kind));
  return 0;
}

int64_t last_extent(const Shape& shape) {
  return shape.empty() || shape.back().is_batch() ? 1 : shape.back().extent();
}

Storage plain_storage(const TensorType& type) {
  if (!type.has_codes()) return Storage::f32();
  const Numeric::Grid grid = *type.numeric.grid();
  const int zero = grid.lo < 0 && grid.lo >= -255 ? static_cast<int>(-grid.lo) : 0;
  for (const Storage s : {Storage::bytes(zero), Storage::words(), Storage::dwords()})
    if (fits(type, s)) return s;
  return Storage::f32();
}

bool fits(const TensorType& type, Storage storage) {
  if (!type.has_codes()) return storage.kind == Storage::Kind::f32;
  const Numeric::Grid grid = *type.numeric.grid();
  switch (storage.kind) {
    case Storage::Kind::f32:
      // The code is read back as the integer next to value / step: exact while a rounding of the
      // value, half a unit in 2^24, and one of the step move it by less than half a code.
      return within<int32_t>(grid) && grid.lo >= -(1 << 22) && grid.hi <= (1 << 22);
    case Storage::Kind::bytes:
      return within<uint8_t>(grid, storage.zero);
    case Storage::Kind::words:
      return within<int16_t>(grid);
    case Storage::Kind::dwords:
      return within<int32_t>(grid);
    case Storage::Kind::bits:
      return type.numeric.kind() == Numeric::Kind::binary ||
             type.numeric.kind() == Numeric::Kind::bit;
  }
  return false;
}

int64_t read_code(const void* data, Storage storage, int64_t index, int64_t last) {
  switch (storage.kind) {
    case Storage::Kind::bytes:
      return load<uint8_t>(data, index) - int64_t{storage.zero};
    case Storage::Kind::words:
      return load<int16_t>(data, index);
    case Storage::Kind::dwords:
      return load<int32_t>(data, index);
    case Storage::Kind::bits: {
      const BitPlace p = bit_place(index, last);
      return load<uint8_t>(data, p.byte) >> p.bit & 1;
    }
    case Storage::Kind::f32:
      break;
  }
  qloom_assert(false, "codes are read from ", storage);
  return 0;
}

void write_code(void* data, Storage storage, int64_t index, int64_t last, int64_t code) {
  switch (storage.kind) {
    case Storage::Kind::bytes:
      return store<uint8_t>(data, index, code + storage.zero);
    case Storage::Kind::words:
      return store<int16_t>(data, index, code);
    case Storage::Kind::dwords:
      return store<int32_t>(data, index, code);
    case Storage::Kind::bits: {
      const BitPlace p = bit_place(index, last);
      const int mask = 1 << p.bit;
      const int old = load<uint8_t>(data, p.byte);
      return store<uint8_t>(data, p.byte, code > 0 ? old | mask : old & ~mask);
    }
    case Storage::Kind::f32:
      break;
  }
  qloom_assert(false, "codes are written to ", storage);
}

}  // namespace qloom::kernels
