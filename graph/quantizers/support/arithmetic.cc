#include "graph/quantizers/support/arithmetic.h"

#include <bit>
#include <limits>

#include "graph/support/error.h"

namespace qloom::quantizers {

float ln(float v) {
  const double approximate = std::log(static_cast<double>(v));
  // Rounding a double that is off by an ulp or so is right unless it lies next to the middle of two
  // floats: the 29 bits that a float drops then read 0x0FFFFFFx or 0x1000000x. There a wider
  // logarithm decides.
  const auto dropped =
      static_cast<int64_t>(std::bit_cast<uint64_t>(approximate) & ((uint64_t{1} << 29) - 1));
  constexpr int64_t kHalf = int64_t{1} << 28;
  if (std::isfinite(approximate) && std::abs(dropped - kHalf) <= 8)
    return static_cast<float>(std::log(static_cast<long double>(v)));
  return static_cast<float>(approximate);
}

float log2_by_ln(float v, Division how) { return divide(ln(v), kLn2, how); }

float nearest_power_of_two(float v, Division how) { return pow2(std::rint(log2_by_ln(v, how))); }

float pow2(float k) { return flush(static_cast<float>(std::exp2(static_cast<double>(k)))); }

float int32_pow2(int64_t n, std::string_view quantizer, std::string_view argument) {
  qloom_check(n >= 0, quantizer, ": ", argument, " makes the exponent ", n,
              ", and QKeras raises 2 to it as an integer, which needs 0 or more");
  if (n < 31) return static_cast<float>(int64_t{1} << n);
  return n == 31 ? -0x1p31f : 0.0f;
}

float internal_sigmoid(float x, InternalSigmoid mode) {
  switch (mode) {
    case InternalSigmoid::hard:
      return clip(0.5f * x + 0.5f, 0, 1);
    case InternalSigmoid::smooth:
      return clip(0.1875f * x + 0.5f, 0, 1);
    case InternalSigmoid::real:
      return real_sigmoid(x);
  }
  throw InternalError("unknown internal sigmoid");
}

float real_sigmoid(float x) {
  return static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(x))));
}

float real_tanh(float x) { return static_cast<float>(std::tanh(static_cast<double>(x))); }

}  // namespace qloom::quantizers
