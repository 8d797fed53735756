#include "bindings/import/hdf5_types.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

constexpr uint64_t kMaxRank = 32;  // HDF5's own limit

constexpr std::array<std::string_view, 11> kClassNames{"integer",
                                                       "float",
                                                       "time",
                                                       "text",
                                                       "bit field",
                                                       "opaque",
                                                       "compound (complex numbers or records)",
                                                       "reference",
                                                       "enumeration",
                                                       "variable length",
                                                       "array"};

std::string hexadecimal(uint64_t v) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  do {
    out.insert(out.begin(), kDigits[v & 15]);
    v >>= 4;
  } while (v != 0);
  return "0x" + out;
}

// Exponent and mantissa bits of the IEEE formats of 2, 4 and 8 bytes.
bool is_ieee(uint64_t size, uint64_t exponent_bits, uint64_t mantissa_bits) {
  return (size == 2 && exponent_bits == 5 && mantissa_bits == 10) ||
         (size == 4 && exponent_bits == 8 && mantissa_bits == 23) ||
         (size == 8 && exponent_bits == 11 && mantissa_bits == 52);
}

// value = ±mantissa · 2^(exponent − 25) (normal), ±fraction · 2^−24 (subnormal): exact in float32.
float half_to_float(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  float magnitude = 0;
  if (exponent == 31) {
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity()
                              : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

float integer_to_float(uint64_t bits, const Hdf5Type& type) {
  if (!type.is_signed) return static_cast<float>(bits);
  const int unused = 64 - 8 * static_cast<int>(type.size);
  return static_cast<float>(static_cast<int64_t>(bits << unused) >> unused);
}

float real_to_float(uint64_t bits, uint64_t size) {
  if (size == 2) return half_to_float(static_cast<uint16_t>(bits));
  if (size == 4) return std::bit_cast<float>(static_cast<uint32_t>(bits));
  return static_cast<float>(std::bit_cast<double>(bits));
}

}  // namespace

void Hdf5Bytes::fail(const std::string& what) const {
  throw UserError(file_ + ": cannot read this HDF5 file: " + what);
}

std::string_view Hdf5Bytes::slice(uint64_t at, uint64_t length, std::string_view what) const {
  if (at > bytes_.size() || length > bytes_.size() - at) {
    fail(std::string(what) + ": address " + hexadecimal(at) + " with " + std::to_string(length) +
         " bytes lies outside the file of " + std::to_string(bytes_.size()) + " bytes");
  }
  return std::string_view(bytes_).substr(at, length);
}

uint64_t Hdf5Bytes::number(uint64_t at, int width, std::string_view what) const {
  const std::string_view raw = slice(at, static_cast<uint64_t>(width), what);
  uint64_t v = 0;
  for (int k = width; k-- > 0;)
    v = v << 8 | static_cast<unsigned char>(raw[static_cast<size_t>(k)]);
  return v;
}

bool Hdf5Bytes::has_signature(uint64_t at, std::string_view four_letters) const {
  return slice(at, four_letters.size(), four_letters) == four_letters;
}

std::string_view Hdf5Bytes::text(uint64_t at, uint64_t end, std::string_view what) const {
  if (at > end)
    fail(std::string(what) + ": a name begins at " + hexadecimal(at) + ", behind its table");
  const std::string_view raw = slice(at, end - at, what);
  return raw.substr(0, raw.find('\0'));
}

Hdf5Type parse_hdf5_type(const Hdf5Bytes& bytes, uint64_t at, uint64_t length) {
  constexpr std::string_view kWhat = "datatype";
  if (length < 8) bytes.fail("a datatype message of " + std::to_string(length) + " bytes");
  const uint64_t head = bytes.number(at, 1, kWhat);
  const uint64_t type_class = head & 15;
  const uint64_t version = head >> 4;
  if (version < 1 || version > 3) bytes.fail("datatype version " + std::to_string(version));
  const uint64_t flags = bytes.number(at + 1, 3, kWhat);
  Hdf5Type type;
  type.size = bytes.number(at + 4, 4, kWhat);
  type.big_endian = (flags & 1) != 0;
  type.description = type_class < kClassNames.size() ? kClassNames[type_class]
                                                     : "class " + std::to_string(type_class);
  const std::string bits = std::to_string(type.size * 8);
  switch (type_class) {
    case 0:
      if (type.size == 1 || type.size == 2 || type.size == 4 || type.size == 8) {
        type.kind = Hdf5Type::Kind::integer;
        type.is_signed = (flags & 8) != 0;
        type.description = (type.is_signed ? "int" : "uint") + bits;
      }
      break;
    case 1:
      type.description = "float" + bits;
      if (length >= 20 &&
          is_ieee(type.size, bytes.number(at + 13, 1, kWhat), bytes.number(at + 15, 1, kWhat)) &&
          (flags & 0x40) == 0) {
        type.kind = Hdf5Type::Kind::real;
      } else {
        type.description += " (not IEEE 754)";
      }
      break;
    case 3:
      type.kind = Hdf5Type::Kind::fixed_text;
      break;
    case 8: {
      // An enumeration (h5py's bool) is stored as its base type, which follows.
      const uint64_t base = at + 8;
      if (length >= 16 && (bytes.number(base, 1, kWhat) & 15) == 0) {
        type = parse_hdf5_type(bytes, base, length - 8);
      }
      break;
    }
    case 9:
      if ((flags & 15) == 1) {
        type.kind = Hdf5Type::Kind::variable_text;
        type.description = "text";
      }
      if (type.size != 16)
        bytes.fail("variable-length elements of " + std::to_string(type.size) + " bytes");
      break;
    default:
      break;
  }
  if (type.size == 0) bytes.fail("a datatype of size 0");
  return type;
}

std::vector<int64_t> parse_hdf5_space(const Hdf5Bytes& bytes, uint64_t at, uint64_t length) {
  constexpr std::string_view kWhat = "dataspace";
  const uint64_t version = bytes.number(at, 1, kWhat);
  const uint64_t rank = bytes.number(at + 1, 1, kWhat);
  if (version != 1 && version != 2) bytes.fail("dataspace version " + std::to_string(version));
  if (rank > kMaxRank) bytes.fail("a dataspace of rank " + std::to_string(rank));
  const uint64_t first = version == 1 ? 8 : 4;
  if (first + rank * 8 > length) bytes.fail("a dataspace message too short for its rank");
  if (version == 2 && bytes.number(at + 3, 1, kWhat) == 2) return {0};
  std::vector<int64_t> extents;
  for (uint64_t k = 0; k < rank; ++k) {
    const uint64_t extent = bytes.number(at + first + 8 * k, 8, kWhat);
    if (extent > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      bytes.fail("a dimension of " + std::to_string(extent));
    }
    extents.push_back(static_cast<int64_t>(extent));
  }
  return extents;
}

uint64_t hdf5_byte_count(const Hdf5Bytes& bytes, const std::vector<int64_t>& extents,
                         uint64_t element_size, const std::string& owner) {
  uint64_t count = element_size;
  bool overflow = false;
  for (const int64_t e : extents) {
    if (e == 0) return 0;
    overflow = overflow || __builtin_mul_overflow(count, static_cast<uint64_t>(e), &count);
  }
  if (overflow || count > bytes.size()) {
    bytes.fail(owner + ": its shape needs more bytes than the file of " +
               std::to_string(bytes.size()) + " has");
  }
  return count;
}

std::vector<float> convert_to_float32(std::string_view elements, const Hdf5Type& type) {
  const size_t size = type.size;
  std::vector<float> out(elements.size() / size);
  if (type.kind == Hdf5Type::Kind::real && size == 4 && !type.big_endian &&
      std::endian::native == std::endian::little) {
    std::memcpy(out.data(), elements.data(), out.size() * sizeof(float));
    return out;
  }
  for (size_t k = 0; k < out.size(); ++k) {
    uint64_t bits = 0;
    for (size_t b = 0; b < size; ++b) {
      const size_t from = type.big_endian ? b : size - 1 - b;
      bits = bits << 8 | static_cast<unsigned char>(elements[k * size + from]);
    }
    out[k] = type.kind == Hdf5Type::Kind::real ? real_to_float(bits, size)
                                               : integer_to_float(bits, type);
  }
  return out;
}

}  // namespace qloom::keras
