#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace qloom {

/// Value set of a tensor: *which numbers* its members may be. A value of a tensor is member × scale
/// (see TensorType); a member on a grid is code × 2^-fraction, the code an integer.
///
///   fixed         code in [lo, hi], any interval of integers; fixed(bits, fraction, signed,
///   narrow)
///                 is the usual special case
///   power_of_two  ±2^e, e in [min_exponent, max_exponent] in steps of `stride` (2 for QKeras's
///                 quadratic approximation), optionally 0
///   ternary       {-1, 0, +1} × 2^-fraction
///   binary        {-1, +1} × 2^-fraction
///   bit           {0, 1} × 2^-fraction
///   float32       any finite float32 (and whatever float arithmetic makes of it)
///
/// Bits are a field, never an enumerator: there is no "int4" kind.
class Numeric {
 public:
  enum class Kind : uint8_t { fixed, power_of_two, ternary, binary, bit, float32 };

  /// Integers representable in `bits` bits (1..62) times 2^-fraction; `narrow` leaves out the most
  /// negative one (QKeras's `symmetric`). Throws UserError when bits is out of range.
  [[nodiscard]] static Numeric fixed(int bits, int fraction, bool is_signed, bool narrow = false);
  /// The integers lo..hi times 2^-fraction. lo <= hi, both within ±2^62.
  [[nodiscard]] static Numeric integers(int64_t lo, int64_t hi, int fraction);
  [[nodiscard]] static Numeric power_of_two(int min_exponent, int max_exponent, bool is_signed,
                                            bool zero = false, int stride = 1);
  [[nodiscard]] static Numeric ternary(int fraction = 0);
  [[nodiscard]] static Numeric binary(int fraction = 0);
  [[nodiscard]] static Numeric bit(int fraction = 0);
  [[nodiscard]] static Numeric float32();

  Numeric() : Numeric(float32()) {}

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is_float32() const { return kind_ == Kind::float32; }
  [[nodiscard]] bool is_binary() const { return kind_ == Kind::binary; }
  [[nodiscard]] bool is_ternary() const { return kind_ == Kind::ternary; }
  [[nodiscard]] bool is_power_of_two() const { return kind_ == Kind::power_of_two; }

  /// Members as integers lo..hi times 2^-fraction; every member is such a multiple, not every
  /// multiple is a member (binary has no 0, powers of two have gaps).
  struct Grid {
    int64_t lo = 0, hi = 0;
    int fraction = 0;
    bool operator==(const Grid&) const = default;
  };
  /// None for float32 and for powers of two that span more than 62 bits.
  [[nodiscard]] std::optional<Grid> grid() const;

  [[nodiscard]] double min() const;  ///< smallest member; -infinity for float32
  [[nodiscard]] double max() const;  ///< largest member; +infinity for float32
  [[nodiscard]] bool is_signed() const { return min() < 0; }
  /// True when `member` (before the scale) belongs to the set.
  [[nodiscard]] bool contains(double member) const;
  /// True when every member of `other` belongs to this set.
  [[nodiscard]] bool contains(const Numeric& other) const;
  /// Bits to store a member: 1 for binary and bit, 2 for ternary, bits of the code range for fixed,
  /// sign and exponent (and zero) states for powers of two, 32 for float32.
  [[nodiscard]] int bits() const;
  [[nodiscard]] int min_exponent() const;  ///< power_of_two only
  [[nodiscard]] int max_exponent() const;  ///< power_of_two only
  [[nodiscard]] int stride() const;        ///< power_of_two only
  [[nodiscard]] bool has_zero() const;

  bool operator==(const Numeric&) const = default;

  /// Readable form, parses back: "fixed(4, 3, signed)", "fixed(4, 3, signed, narrow)",
  /// "integers(-3, 10, 0)", "power_of_two(-8, 7, signed)", "ternary", "binary", "bit", "float32".
  [[nodiscard]] std::string to_string() const;
  /// Throws UserError that names the text and the position.
  [[nodiscard]] static Numeric parse(std::string_view text);

 private:
  explicit Numeric(Kind kind) : kind_(kind) {}
  Kind kind_;
  bool is_signed_ = false, zero_ = false;  // power_of_two
  int fraction_ = 0, stride_ = 1;
  int64_t lo_ = 0, hi_ = 0;  // fixed: codes; power_of_two: exponents
};

/// Smallest fixed (or sharper) set that holds every a·b. float32 when either has no grid or the
/// codes leave ±2^62.
[[nodiscard]] Numeric product(const Numeric& a, const Numeric& b);
/// Smallest fixed set that holds every a + b, on the finer of both grids.
[[nodiscard]] Numeric sum(const Numeric& a, const Numeric& b);
/// Set that holds every member of a and of b (concatenation, padding with zero, maximum).
[[nodiscard]] Numeric join(const Numeric& a, const Numeric& b);

std::ostream& operator<<(std::ostream&, const Numeric&);

}  // namespace qloom
