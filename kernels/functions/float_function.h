// kernels/functions/float_function.h: functions of a float32 that are no float32 operations: exp,
// tanh and their kin, in float64 and rounded once.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "jit/emitter.h"

namespace qloom::kernels {

/// Each is rounded once from a float64 that is right to a few units in its last place: the float32
/// nearest to the value, except where that lies almost in the middle of two. Equal bits on every
/// target, and to the interpreter's own arithmetic (tests/kernels/functions_test.cc).
enum class FloatFunction : uint8_t {
  exponential,  ///< e^x
  elu,          ///< e^x - 1 below 0, else x
  selu,         ///< with Keras's constants
  sigmoid,
  tanh,
  softplus,  ///< ln(1 + e^x)
  gelu,      ///< x·Φ(x)
  mish,      ///< x·tanh(softplus(x))
};
inline constexpr int kFloatFunctions = 8;

/// As ops::activation calls it.
[[nodiscard]] std::string_view name_of(FloatFunction f);

/// f(x) on one number. NaN gives NaN.
[[nodiscard]] float apply(FloatFunction f, float x);
/// f(x) on a vector of f32, the same bits.
[[nodiscard]] jit::Value emit_function(jit::Emitter& e, FloatFunction f, jit::Value x);
/// e^x on a vector of f64 (formulas::exponential).
[[nodiscard]] jit::Value emit_exponential_f64(jit::Emitter& e, jit::Value x);

}  // namespace qloom::kernels
