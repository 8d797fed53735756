#include "graph/numeric.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <ostream>
#include <tuple>
#include <vector>

#include "graph/support/error.h"

namespace qloom {
namespace {

using Wide = __int128;
constexpr int64_t kMaxCode = int64_t{1} << 62;
// Exponents that a double, and so Numeric::min and max, can still represent with all code bits.
constexpr int kMaxExponent = 900;
// Below this many members a set is compared member by member.
constexpr int64_t kEnumerable = 4096;

bool fits(Wide v) { return v >= -Wide{kMaxCode} && v <= Wide{kMaxCode}; }

// Bits of an unsigned number; 0 for 0.
int width_of(uint64_t v) {
  int bits = 0;
  for (; v != 0; v >>= 1) ++bits;
  return bits;
}

// code << shift, or no value when it leaves ±2^62.
std::optional<int64_t> shifted(int64_t code, int64_t shift) {
  if (code == 0) return 0;
  if (shift > 62) return std::nullopt;
  const Wide v = Wide{code} << shift;
  if (!fits(v)) return std::nullopt;
  return static_cast<int64_t>(v);
}

// Both grids on the finer fraction; none when codes leave ±2^62.
struct Aligned {
  int64_t a_lo, a_hi, b_lo, b_hi;
  int fraction;
};
std::optional<Aligned> align(const Numeric::Grid& a, const Numeric::Grid& b) {
  const int fraction = std::max(a.fraction, b.fraction);
  const auto a_lo = shifted(a.lo, fraction - a.fraction),
             a_hi = shifted(a.hi, fraction - a.fraction);
  const auto b_lo = shifted(b.lo, fraction - b.fraction),
             b_hi = shifted(b.hi, fraction - b.fraction);
  if (!a_lo || !a_hi || !b_lo || !b_hi) return std::nullopt;
  return Aligned{*a_lo, *a_hi, *b_lo, *b_hi, fraction};
}

// Members of a set with gaps or few members; none when there are too many to list.
std::optional<std::vector<double>> members(const Numeric& n) {
  std::vector<double> out;
  if (n.is_float32()) return std::nullopt;
  if (n.is_power_of_two()) {
    for (int e = n.min_exponent(); e <= n.max_exponent(); e += n.stride()) {
      out.push_back(std::ldexp(1.0, e));
      if (n.is_signed()) out.push_back(-std::ldexp(1.0, e));
    }
    if (n.has_zero()) out.push_back(0);
    return out;
  }
  const Numeric::Grid g = *n.grid();
  if (g.hi - g.lo >= kEnumerable) return std::nullopt;
  for (int64_t c = g.lo; c <= g.hi; ++c)
    if (c != 0 || n.has_zero()) out.push_back(std::ldexp(static_cast<double>(c), -g.fraction));
  return out;
}

// A recursive-descent reader of "name" or "name(word, word, …)".
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::string_view word() {
    skip();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) ||
                                  text_[at_] == '_' || text_[at_] == '-'))
      ++at_;
    if (begin == at_) fail("a word");
    return text_.substr(begin, at_ - begin);
  }
  bool take(char c) {
    skip();
    if (at_ < text_.size() && text_[at_] == c) return ++at_, true;
    return false;
  }
  void expect(char c) {
    if (!take(c)) fail(join_text("'", c, "'"));
  }
  int64_t integer() {
    const std::string_view w = word();
    int64_t v = 0;
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), v);
    if (error != std::errc() || end != w.data() + w.size()) fail("an integer");
    return v;
  }
  int small() {
    const int64_t v = integer();
    if (v < -kMaxExponent || v > kMaxExponent) fail("a smaller number");
    return static_cast<int>(v);
  }
  void end() {
    skip();
    if (at_ != text_.size()) fail("the end");
  }
  [[noreturn]] void fail(std::string_view expected) const {
    throw UserError(
        join_text("value set '", text_, "': expected ", expected, " at position ", at_));
  }

 private:
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  std::string_view text_;
  size_t at_ = 0;
};

void check_fraction(int fraction) {
  qloom_check(fraction >= -kMaxExponent && fraction <= kMaxExponent, "value set: fraction ",
              fraction, " is not within ±", kMaxExponent);
}

}  // namespace

Numeric Numeric::fixed(int bits, int fraction, bool is_signed, bool narrow) {
  qloom_check(bits >= 1 && bits <= 62, "fixed: bits is ", bits, ", expected 1 to 62");
  if (!is_signed) return integers(0, (int64_t{1} << bits) - 1, fraction);
  const int64_t half = int64_t{1} << (bits - 1);
  return integers(narrow ? -(half - 1) : -half, half - 1, fraction);
}

Numeric Numeric::integers(int64_t lo, int64_t hi, int fraction) {
  qloom_check(lo <= hi, "integers: the interval [", lo, ", ", hi, "] is empty");
  qloom_check(fits(lo) && fits(hi), "integers: [", lo, ", ", hi, "] is not within ±2^62");
  check_fraction(fraction);
  Numeric n(Kind::fixed);
  n.lo_ = lo;
  n.hi_ = hi;
  n.fraction_ = fraction;
  return n;
}

Numeric Numeric::power_of_two(int min_exponent, int max_exponent, bool is_signed, bool zero,
                              int stride) {
  qloom_check(min_exponent <= max_exponent, "power_of_two: the exponents [", min_exponent, ", ",
              max_exponent, "] are empty");
  qloom_check(stride >= 1, "power_of_two: stride is ", stride, ", expected at least 1");
  check_fraction(min_exponent);
  check_fraction(max_exponent);
  Numeric n(Kind::power_of_two);
  n.lo_ = min_exponent;
  n.hi_ = max_exponent - (max_exponent - min_exponent) % stride;
  n.is_signed_ = is_signed;
  n.zero_ = zero;
  n.stride_ = stride;
  return n;
}

Numeric Numeric::ternary(int fraction) {
  check_fraction(fraction);
  Numeric n(Kind::ternary);
  n.fraction_ = fraction;
  return n;
}

Numeric Numeric::binary(int fraction) {
  check_fraction(fraction);
  Numeric n(Kind::binary);
  n.fraction_ = fraction;
  return n;
}

Numeric Numeric::bit(int fraction) {
  check_fraction(fraction);
  Numeric n(Kind::bit);
  n.fraction_ = fraction;
  return n;
}

Numeric Numeric::float32() { return Numeric(Kind::float32); }

std::optional<Numeric::Grid> Numeric::grid() const {
  switch (kind_) {
    case Kind::fixed:
      return Grid{lo_, hi_, fraction_};
    case Kind::ternary:
    case Kind::binary:
      return Grid{-1, 1, fraction_};
    case Kind::bit:
      return Grid{0, 1, fraction_};
    case Kind::power_of_two: {
      if (hi_ - lo_ > 62) return std::nullopt;
      const int64_t top = int64_t{1} << (hi_ - lo_);
      const int64_t bottom = is_signed_ ? -top : zero_ ? 0 : 1;
      return Grid{bottom, top, static_cast<int>(-lo_)};
    }
    case Kind::float32:
      return std::nullopt;
  }
  return std::nullopt;
}

double Numeric::min() const {
  if (is_float32()) return -std::numeric_limits<double>::infinity();
  if (is_power_of_two()) {
    if (is_signed_) return -std::ldexp(1.0, static_cast<int>(hi_));
    return zero_ ? 0 : std::ldexp(1.0, static_cast<int>(lo_));
  }
  const Grid g = *grid();
  return std::ldexp(static_cast<double>(g.lo), -g.fraction);
}

double Numeric::max() const {
  if (is_float32()) return std::numeric_limits<double>::infinity();
  if (is_power_of_two()) return std::ldexp(1.0, static_cast<int>(hi_));
  const Grid g = *grid();
  return std::ldexp(static_cast<double>(g.hi), -g.fraction);
}

bool Numeric::contains(double member) const {
  if (is_float32())
    return !std::isfinite(member) || static_cast<double>(static_cast<float>(member)) == member;
  if (!std::isfinite(member)) return false;
  if (is_power_of_two()) {
    if (member == 0) return zero_;
    if (member < 0 && !is_signed_) return false;
    int exponent = 0;
    if (std::abs(std::frexp(member, &exponent)) != 0.5) return false;
    --exponent;
    return exponent >= lo_ && exponent <= hi_ && (exponent - lo_) % stride_ == 0;
  }
  const Grid g = *grid();
  const double code = std::ldexp(member, g.fraction);
  if (code != std::nearbyint(code) || std::abs(code) > static_cast<double>(kMaxCode)) return false;
  const auto c = static_cast<int64_t>(code);
  return c >= g.lo && c <= g.hi && (c != 0 || has_zero());
}

bool Numeric::contains(const Numeric& other) const {
  if (*this == other) return true;
  if (other.is_float32()) return false;
  if (const auto list = members(other))
    return std::all_of(list->begin(), list->end(), [&](double m) { return contains(m); });
  // `other` is a long interval of integers: only a float or a finer, wider interval can hold it.
  const Grid b = *other.grid();
  if (is_float32())
    return std::max(-b.lo, b.hi) <= (int64_t{1} << 24) && b.fraction <= 149 && b.fraction >= -103;
  if (kind_ != Kind::fixed || fraction_ < b.fraction) return false;
  const auto lo = shifted(b.lo, fraction_ - b.fraction), hi = shifted(b.hi, fraction_ - b.fraction);
  return lo && hi && *lo >= lo_ && *hi <= hi_;
}

int Numeric::bits() const {
  switch (kind_) {
    case Kind::float32:
      return 32;
    case Kind::binary:
    case Kind::bit:
      return 1;
    case Kind::ternary:
      return 2;
    case Kind::power_of_two: {
      const int64_t states = ((hi_ - lo_) / stride_ + 1) * (is_signed_ ? 2 : 1) + (zero_ ? 1 : 0);
      return std::max(1, width_of(static_cast<uint64_t>(states - 1)));
    }
    case Kind::fixed:
      if (lo_ >= 0) return std::max(1, width_of(static_cast<uint64_t>(hi_)));
      return 1 + std::max(width_of(static_cast<uint64_t>(-(lo_ + 1))),
                          hi_ > 0 ? width_of(static_cast<uint64_t>(hi_)) : 0);
  }
  return 0;
}

int Numeric::min_exponent() const {
  qloom_assert(is_power_of_two(), *this, " has no exponents");
  return static_cast<int>(lo_);
}

int Numeric::max_exponent() const {
  qloom_assert(is_power_of_two(), *this, " has no exponents");
  return static_cast<int>(hi_);
}

int Numeric::stride() const {
  qloom_assert(is_power_of_two(), *this, " has no exponents");
  return stride_;
}

bool Numeric::has_zero() const {
  switch (kind_) {
    case Kind::fixed:
      return lo_ <= 0 && hi_ >= 0;
    case Kind::power_of_two:
      return zero_;
    case Kind::binary:
      return false;
    default:
      return true;
  }
}

std::string Numeric::to_string() const {
  const std::string fraction = fraction_ == 0 ? "" : join_text("(", fraction_, ")");
  switch (kind_) {
    case Kind::float32:
      return "float32";
    case Kind::binary:
      return "binary" + fraction;
    case Kind::bit:
      return "bit" + fraction;
    case Kind::ternary:
      return "ternary" + fraction;
    case Kind::power_of_two:
      return join_text("power_of_two(", lo_, ", ", hi_, is_signed_ ? ", signed" : ", unsigned",
                       zero_ ? ", zero" : "", stride_ != 1 ? join_text(", stride ", stride_) : "",
                       ")");
    case Kind::fixed:
      break;
  }
  // The usual special cases by their usual name. One bit, signed, narrow would be {0}.
  const int width = bits();
  if (width <= 62)
    for (const auto& [is_signed, narrow, suffix] :
         {std::tuple{false, false, ", unsigned)"}, std::tuple{true, false, ", signed)"},
          std::tuple{true, true, ", signed, narrow)"}})
      if (!(narrow && width == 1) && *this == fixed(width, fraction_, is_signed, narrow))
        return join_text("fixed(", width, ", ", fraction_, suffix);
  return join_text("integers(", lo_, ", ", hi_, ", ", fraction_, ")");
}

Numeric Numeric::parse(std::string_view text) {
  Reader in(text);
  const std::string_view name = in.word();
  Numeric result;
  if (name == "float32") {
    result = float32();
  } else if (name == "binary" || name == "bit" || name == "ternary") {
    int fraction = 0;
    if (in.take('(')) {
      fraction = in.small();
      in.expect(')');
    }
    result = name == "binary" ? binary(fraction)
             : name == "bit"  ? bit(fraction)
                              : ternary(fraction);
  } else if (name == "integers") {
    in.expect('(');
    const int64_t lo = in.integer();
    in.expect(',');
    const int64_t hi = in.integer();
    in.expect(',');
    const int fraction = in.small();
    in.expect(')');
    result = integers(lo, hi, fraction);
  } else if (name == "fixed" || name == "power_of_two") {
    in.expect('(');
    const int first = in.small();
    in.expect(',');
    const int second = in.small();
    in.expect(',');
    const std::string_view sign = in.word();
    if (sign != "signed" && sign != "unsigned") in.fail("'signed' or 'unsigned' before");
    bool narrow = false, zero = false;
    int stride = 1;
    while (in.take(',')) {
      const std::string_view word = in.word();
      if (name == "fixed" && word == "narrow") {
        narrow = true;
      } else if (name == "power_of_two" && word == "zero") {
        zero = true;
      } else if (name == "power_of_two" && word == "stride") {
        stride = in.small();
      } else {
        in.fail("another word before");
      }
    }
    in.expect(')');
    result = name == "fixed" ? fixed(first, second, sign == "signed", narrow)
                             : power_of_two(first, second, sign == "signed", zero, stride);
  } else {
    in.fail("fixed, integers, power_of_two, ternary, binary, bit or float32 before");
  }
  in.end();
  return result;
}

Numeric product(const Numeric& a, const Numeric& b) {
  using Kind = Numeric::Kind;
  const auto ga = a.grid(), gb = b.grid();
  if (!ga || !gb) return Numeric::float32();
  const int64_t fraction = int64_t{ga->fraction} + gb->fraction;
  if (std::abs(fraction) > kMaxExponent) return Numeric::float32();
  const int f = static_cast<int>(fraction);
  const auto unit = [](Kind k) {
    return k == Kind::binary || k == Kind::ternary || k == Kind::bit;
  };
  if (unit(a.kind()) && unit(b.kind())) {
    if (a.kind() == Kind::binary && b.kind() == Kind::binary) return Numeric::binary(f);
    if (a.kind() == Kind::bit && b.kind() == Kind::bit) return Numeric::bit(f);
    return Numeric::ternary(f);
  }
  if (a.is_power_of_two() && b.is_power_of_two() && a.stride() == b.stride()) {
    const Numeric p = Numeric::power_of_two(
        a.min_exponent() + b.min_exponent(), a.max_exponent() + b.max_exponent(),
        a.is_signed() || b.is_signed(), a.has_zero() || b.has_zero(), a.stride());
    return p.grid() ? p : Numeric::float32();
  }
  Wide lo = 0, hi = 0;
  bool first = true;
  for (const int64_t x : {ga->lo, ga->hi})
    for (const int64_t y : {gb->lo, gb->hi}) {
      const Wide p = Wide{x} * y;
      lo = first ? p : std::min(lo, p);
      hi = first ? p : std::max(hi, p);
      first = false;
    }
  if (!fits(lo) || !fits(hi)) return Numeric::float32();
  return Numeric::integers(static_cast<int64_t>(lo), static_cast<int64_t>(hi), f);
}

Numeric sum(const Numeric& a, const Numeric& b) {
  const auto ga = a.grid(), gb = b.grid();
  if (!ga || !gb) return Numeric::float32();
  const auto g = align(*ga, *gb);
  if (!g) return Numeric::float32();
  const Wide lo = Wide{g->a_lo} + g->b_lo, hi = Wide{g->a_hi} + g->b_hi;
  if (!fits(lo) || !fits(hi)) return Numeric::float32();
  return Numeric::integers(static_cast<int64_t>(lo), static_cast<int64_t>(hi), g->fraction);
}

Numeric join(const Numeric& a, const Numeric& b) {
  if (a.contains(b)) return a;
  if (b.contains(a)) return b;
  const auto ga = a.grid(), gb = b.grid();
  if (!ga || !gb) return Numeric::float32();
  // {−1, +1} with 0 is ternary: what zero padding makes of binary activations.
  const Numeric three = Numeric::ternary(std::max(ga->fraction, gb->fraction));
  if (three.contains(a) && three.contains(b) && std::min(a.min(), b.min()) == three.min() &&
      std::max(a.max(), b.max()) == three.max())
    return three;
  if (a.is_power_of_two() && b.is_power_of_two() && a.stride() == 1 && b.stride() == 1) {
    const Numeric p = Numeric::power_of_two(
        std::min(a.min_exponent(), b.min_exponent()), std::max(a.max_exponent(), b.max_exponent()),
        a.is_signed() || b.is_signed(), a.has_zero() || b.has_zero());
    return p.grid() ? p : Numeric::float32();
  }
  const Numeric zero = Numeric::integers(0, 0, 0);
  for (const auto& [p, other] : {std::pair{a, b}, std::pair{b, a}})
    if (p.is_power_of_two() && zero.contains(other))
      return Numeric::power_of_two(p.min_exponent(), p.max_exponent(), p.is_signed(), true,
                                   p.stride());
  const auto g = align(*ga, *gb);
  if (!g) return Numeric::float32();
  return Numeric::integers(std::min(g->a_lo, g->b_lo), std::max(g->a_hi, g->b_hi), g->fraction);
}

std::ostream& operator<<(std::ostream& out, const Numeric& n) { return out << n.to_string(); }

}  // namespace qloom
