// graph/quantizers/support/arithmetic.h: the float32 operations that QKeras's quantizers are made
// of, each rounded on its own (the build forbids contraction), as TensorFlow runs them eagerly on a
// CPU: subnormal operands and results count as zero.
#pragma once

#include <cfloat>
#include <cmath>

#include "graph/quantizer.h"

namespace qloom::quantizers {

inline constexpr float kEpsilon = 1e-7f;      ///< Keras's epsilon, 0x33D6BF95
inline constexpr float kLn2 = 0x1.62e43p-1f;  ///< ln 2, 0x3F317218

/// Zero with v's sign where v is subnormal.
[[nodiscard]] inline float flush(float v) {
  return std::fabs(v) < FLT_MIN ? std::copysign(0.0f, v) : v;
}

/// max(min(v, hi), lo), in this order; NaN passes.
[[nodiscard]] inline float clip(float v, float lo, float hi) {
  const float below = v > hi ? hi : v;
  return below < lo ? lo : below;
}

// Written without branches, so that compilers make vectors of loops over them.

/// -1, 0, +1; NaN for NaN.
[[nodiscard]] inline float sign(float v) {
  const float s = (v > 0 ? 1.0f : 0.0f) - (v < 0 ? 1.0f : 0.0f);
  return v == v ? s : v;
}

/// As sign, but +1 at 0.
[[nodiscard]] inline float sign_or_one(float v) {
  const float s = v < 0 ? -1.0f : 1.0f;
  return v == v ? s : v;
}

/// rint(v), ties to even, but for the sign of a zero: from 2^23 on floats are integers, and adding
/// 2^23 leaves no bits behind the point.
[[nodiscard]] inline float nearest_integer(float v) {
  const float large = std::copysign(0x1p23f, v), rounded = (v + large) - large;
  return std::fabs(v) < 0x1p23f ? rounded : v;
}

/// p + (rint(p) - p): rint(p), ties to even, but +0 for -0 and NaN for an infinity.
[[nodiscard]] inline float round_through(float p) { return flush(p + (nearest_integer(p) - p)); }

/// round_through, or, where draws are given, the same with stochastic rounding: to the multiple of
/// 1/steps below p or above it, above with the probability of the distance from the one below.
class Rounding {
 public:
  Rounding(Draws* draws, float steps) : draws_(draws), steps_(steps) {}
  float operator()(float p) const {
    if (draws_ == nullptr) return round_through(p);
    const float y = p * steps_, below = std::floor(y);
    const float drawn = (y - below < draws_->next() ? below : std::ceil(y)) / steps_;
    return flush(p + (drawn - p));
  }
  /// f(rounding): of this, or, where nothing is drawn, of a function that loops take as vectors.
  template <class F>
  void with(const F& f) const {
    if (draws_ == nullptr)
      f([](float p) { return round_through(p); });
    else
      f(*this);
  }

 private:
  Draws* draws_;
  float steps_;
};

/// v / c for a constant c, as TensorFlow divides eagerly or in a compiled graph.
[[nodiscard]] inline float divide(float v, float c, Division how) {
  return how == Division::divide ? v / c : v * (1.0f / c);
}

/// Natural logarithm, correctly rounded to float32. -infinity at 0, NaN below.
[[nodiscard]] float ln(float v);

/// fl(ln(v) / ln 2): QKeras's log2, which it rounds to an exponent. Not a correctly rounded log2:
/// 2^13 gives a little less than 13.
[[nodiscard]] float log2_by_ln(float v, Division how);

/// The power of two nearest to v by QKeras's rule: 2^rint(log2_by_ln(v)).
[[nodiscard]] float nearest_power_of_two(float v, Division how);

/// 2^k as float32; subnormal powers give 0, large ones infinity, NaN gives NaN. k need not be
/// integral.
[[nodiscard]] float pow2(float k);

/// 2^n as TensorFlow raises two integers: int32 that wraps (2^31 gives -2^31, more gives 0). Throws
/// UserError naming `quantizer` and `argument` for n < 0, as TensorFlow does.
[[nodiscard]] float int32_pow2(int64_t n, std::string_view quantizer, std::string_view argument);

/// QKeras's internal sigmoid: clip(x/2 + 1/2, 0, 1), clip(3x/16 + 1/2, 0, 1), or the real one.
[[nodiscard]] float internal_sigmoid(float x, InternalSigmoid mode);

/// Logistic function and hyperbolic tangent, computed in double precision and rounded once.
[[nodiscard]] float real_sigmoid(float x);
[[nodiscard]] float real_tanh(float x);

/// The straight-through output of x quantised to q with noise factor `noise` (λ):
///   with ste     x + λ(q - x)
///   without      (1 - λ)x + λq, where 1 - λ is a double rounded once
[[nodiscard]] inline float straight_through(float x, float q, double noise, bool ste = true) {
  const auto factor = static_cast<float>(noise);
  if (ste) return flush(x + factor * (q - x));
  return flush(static_cast<float>(1.0 - noise) * x + factor * q);
}

}  // namespace qloom::quantizers
