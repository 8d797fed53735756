// kernels/functions/formulas.h: exp and what is made of it in float64, as a fixed sequence of IEEE
// operations: on a double, or on a vector in an emitter. Each formula is written once; so reference
// kernels, verified tails and machine code on every target give the same bits.
//
// A type R of numbers needs + - * / with itself and with double, and the functions below, which are
// those of double.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace qloom::kernels::formulas {

/// The second where one is NaN, or both are equal.
inline double min_of(double a, double b) { return a < b ? a : b; }
inline double max_of(double a, double b) { return a > b ? a : b; }
/// The magnitude of `y` with the sign of `x`.
inline double with_sign_of(double y, double x) { return std::copysign(y, x); }
/// a where the sign bit of x is set, else b.
inline double where_negative(double x, double a, double b) { return std::signbit(x) ? a : b; }
/// 2^n for n + 1.5·2^52; 0 for n = -1023.
inline double power_of_two(double shifted) {
  return std::bit_cast<double>((std::bit_cast<uint64_t>(shifted) + 1023) << 52);
}

/// Σ c[i]·x^i for an even number of coefficients, as two chains in x² that run side by side.
template <class R, size_t n>
R polynomial(const std::array<double, n>& c, R x) {
  static_assert(n % 2 == 0 && n >= 4);
  const R square = x * x;
  R even = c[n - 4] + c[n - 2] * square, odd = c[n - 3] + c[n - 1] * square;
  for (size_t i = n - 4; i > 0; i -= 2) {
    even = c[i - 2] + even * square;
    odd = c[i - 1] + odd * square;
  }
  return even + x * odd;
}

/// e^x = scale · (1 + r + rest), |r| <= ln(2)/2, |rest| < r²; scale is a power of two, or 0 below
/// -709.09. Above 709.09 it stays what it is there.
template <class R>
struct Power {
  R scale, r, rest;
};

template <class R>
Power<R> power(R x) {
  // n = round(x / ln 2), in the low bits of n + 1.5·2^52.
  constexpr double kShift = 0x1.8p52, kPerLn2 = 0x1.71547652b82fep0;
  // ln 2 = high + low; high has 21 zero bits, so that its products with n are exact.
  constexpr double kHigh = 0x1.62e42fee00000p-1, kLow = 0x1.a39ef35793c76p-33;
  // (e^r - 1 - r) / r² by Taylor: the rest is below 2^-57.
  constexpr std::array<double, 12> kTaylor{
      1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,       1.0 / 5040,
      1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
  x = min_of(709.09, max_of(-709.09, x));
  const R shifted = x * kPerLn2 + kShift;
  const R n = shifted - kShift;
  const R exact = x - n * kHigh, low = n * kLow;
  const R r = exact - low;
  const R lost = (exact - r) - low;
  return {power_of_two(shifted), r, lost + (r * r) * polynomial(kTaylor, r)};
}

/// e^x, within 0.53 units in the last place.
template <class R>
R exponential(R x) {
  const Power<R> p = power(x);
  const R sum = 1.0 + p.r;
  return (sum + ((p.r - (sum - 1.0)) + p.rest)) * p.scale;
}

/// e^x - 1 for x <= 0.
template <class R>
R exponential_minus_1(R x) {
  const Power<R> p = power(x);
  return (p.scale - 1.0) + p.scale * (p.r + p.rest);
}

/// ln(1 + x) for 0 <= x <= 1, by s = x / (2 + x) and 2·artanh(s) = 2·s + s·R:
///   ln(1 + x) = x - (x²/2 - s·(x²/2 + R))
template <class R>
R log_1_plus(R x) {
  // (2·artanh(s)/s - 2) / s² in s² <= 1/9, by Chebyshev: relative error below 2^-63.
  constexpr std::array<double, 12> kCoefficients{
      0x1.5555555555555p-1, 0x1.999999999999cp-2, 0x1.2492492491fe8p-2, 0x1.c71c71c77e0f7p-3,
      0x1.745d1724e5b21p-3, 0x1.3b13b7c41e111p-3, 0x1.11103f2bddc9fp-3, 0x1.e2046677f3c39p-4,
      0x1.ad46f379b316dp-4, 0x1.9739afdde0110p-4, 0x1.0371f75936f6fp-4, 0x1.37efaea22dc4bp-3};
  const R s = x / (2.0 + x);
  const R z = s * s, half = 0.5 * x * x;
  return x - (half - s * (half + z * polynomial(kCoefficients, z)));
}

template <class R>
R sigmoid(R x) {
  return 1.0 / (1.0 + exponential(0.0 - x));
}

/// t / (t + 2) for t = e^(-2|x|) - 1, with the sign of x.
template <class R>
R tanh(R x) {
  const R t = exponential_minus_1(-2.0 * max_of(0.0 - x, x));
  return with_sign_of(t / (t + 2.0), x);
}

/// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
template <class R>
R softplus(R x) {
  return max_of(0.0, x) + log_1_plus(exponential(0.0 - max_of(0.0 - x, x)));
}

/// x · tanh(softplus(x)) = x · n / (n + 2) for n = w·(w + 2), w = e^x: tanh is 1 above 40.
template <class R>
R mish(R x) {
  const R w = exponential(min_of(40.0, x));
  const R n = w * (w + 2.0);
  return x * (n / (n + 2.0));
}

/// x · Φ(x), with the normal distribution Φ(-t) = e^(-t²/2) · m(t) for t >= 0: the square of a
/// float32 is exact. (t + 4) · m(t) in u = (t - 4) / (t + 4), by Chebyshev for t <= 15: relative
/// error below 2^-57; further out Φ(-t) is 0 in float32.
template <class R>
R gelu(R x) {
  constexpr std::array<double, 22> kCoefficients{
      0x1.82b4bb8c94dcep-1,  -0x1.373e3a893c28ap-1,  0x1.8c6dbf2cfc29fp-2,   -0x1.7dff2bff683bdp-3,
      0x1.eec4cc3e4fe5cp-5,  -0x1.ee2761046daccp-8,  -0x1.c81719d9bacb3p-9,  0x1.ab825fb883e67p-10,
      0x1.17a4b1d26fffdp-13, -0x1.e4a421219b49ap-13, -0x1.0024fa4960986p-19, 0x1.26cffc3a0c24ap-15,
      0x1.8121e618dfb16p-21, -0x1.8d30c3faeace2p-18, -0x1.52de63a3827e2p-21, 0x1.10e9e1133d177p-20,
      0x1.2494104c87f75p-22, -0x1.3a9158bee461ep-23, -0x1.6061e4834428ep-24, 0x1.b48c7ac48ea8ap-28,
      0x1.d7c8502db362ap-27, 0x1.9417000d01f59p-29};
  const R t = min_of(16.0, max_of(0.0 - x, x));
  const R inverse = 1.0 / (t + 4.0);
  const R below =
      exponential(-0.5 * (x * x)) * (polynomial(kCoefficients, (t - 4.0) * inverse) * inverse);
  return x * where_negative(x, below, 1.0 - below);
}

}  // namespace qloom::kernels::formulas
