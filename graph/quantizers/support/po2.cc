#include "graph/quantizers/support/po2.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"

namespace qloom::quantizers {

Po2Exponents::Po2Exponents(const Settings& s, int64_t magnitude_bits)
    : quadratic(s.flag("quadratic_approximation")) {
  floor = s.text("log2_rounding") == "floor";
  has_max = !s.is_none("max_value");
  if (has_max) max_value = s.real("max_value");
  const int64_t bits = magnitude_bits - (!has_max || max_value > 1 ? 1 : 0);
  lo = -std::exp2(static_cast<float>(bits));
  hi = std::exp2(static_cast<float>(bits)) - 1.0f;
  if (quadratic) hi = 2.0f * std::floor(hi / 2.0f);
}

float Po2Exponents::drawn(float a, Division division, Draws* draws) const {
  if (draws == nullptr || floor || a < kEpsilon) return of(a, division);
  float f = a;
  if (has_max && f >= static_cast<float>(max_value)) f = static_cast<float>(max_value);
  const float t = quadratic ? std::sqrt(f) : f;
  const float nearest = std::rint(log2_by_ln(t + kEpsilon, division));
  const float below = pow2(nearest) > t ? nearest - 1.0f : nearest;
  const float from = pow2(below);  // to twice that
  const float e = t < from + draws->next() * from ? below : below + 1.0f;
  return (quadratic ? 2.0f : 1.0f) * clip(e, lo, hi);
}

float Po2Exponents::of(float a, Division division) const {
  if (a < kEpsilon) return lo;
  float f = a;
  if (has_max && f >= static_cast<float>(max_value)) f = static_cast<float>(max_value);
  const float t = quadratic ? std::sqrt(f) : f;
  const float e = log2_by_ln(t, division);
  const float rounded = e + ((floor ? std::floor(e) : std::rint(e)) - e);
  return (quadratic ? 2.0f : 1.0f) * clip(rounded, lo, hi);
}

bool Po2Exponents::uncertain(float a) const {
  if (!(a >= kEpsilon)) return false;
  const double f = has_max && a >= max_value ? max_value : static_cast<double>(a);
  const double t = quadratic ? std::sqrt(f) : f;
  if (!std::isfinite(t) || t == 0) return false;
  const double e = std::log2(t);
  const double threshold = floor ? std::nearbyint(e) : std::floor(e) + 0.5;
  const auto below = static_cast<float>(floor ? threshold - 1 : threshold - 0.5);
  if (clip(below, lo, hi) == clip(below + 1, lo, hi)) return false;
  const double ulps = std::abs(threshold) <= 32 ? 32 : 128;
  return std::abs(t / std::exp2(threshold) - 1) <= std::ldexp(ulps, -23);
}

Numeric Po2Exponents::values(bool is_signed, bool with_noise) const {
  if (with_noise || lo != std::rint(lo)) return Numeric::float32();
  const float factor = quadratic ? 2.0f : 1.0f;
  float lowest = factor * lo;
  // A bound below the range lowers the top; the logarithm decides to which exponent.
  float highest = std::max(of(FLT_MAX, Division::divide), lo);
  if (std::isnan(highest)) return Numeric::float32();
  bool zero = false;
  // Powers below 2^-126 are subnormal and count as zero; from 2^128 on they are infinite.
  if (lowest < -126.0f) {
    zero = true;
    lowest = quadratic ? -126.0f : std::max(lowest, -126.0f);
  }
  highest = std::clamp(highest, lowest, 127.0f);
  const bool even = quadratic && std::fmod(lo, 2.0f) == 0 && std::fmod(lowest, 2.0f) == 0;
  return Numeric::power_of_two(static_cast<int>(lowest), static_cast<int>(highest), is_signed, zero,
                               even ? 2 : 1);
}

double Po2Exponents::bound() const {
  if (has_max && max_value != 0) return std::max(1.0, max_value);
  return std::max(1.0, std::exp2(static_cast<double>(hi)));
}

void check_po2(const Settings& s) {
  const std::string rounding = s.text("log2_rounding");
  s.check(rounding == "rnd" || rounding == "floor",
          "log2_rounding must be 'rnd' or 'floor', found ", s["log2_rounding"]);
  if (!s.is_none("max_value"))
    s.check(s.real("max_value") >= 0, "max_value must not be negative, found ", s["max_value"]);
}

std::string po2_text(const Settings& s) {
  const bool stochastic = s.flag("use_stochastic_rounding");
  if (s.is_none("max_value") && !stochastic) return "";
  return "," + python_integer(s, "max_value");
}

void add_codes(Outcome& out, const Numeric& values, std::optional<Tensor>& step) {
  const std::optional<Numeric::Grid> grid = values.grid();
  if (!grid) return;
  for (const float q : out.q) out.codes.push_back(std::ldexp(q, grid->fraction));
  step = Tensor::scalar(std::ldexp(1.0, -grid->fraction));
}

}  // namespace qloom::quantizers
