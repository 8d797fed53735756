#include "kernels/functions/float_function.h"

#include <bit>

#include "graph/support/error.h"
#include "kernels/functions/formulas.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Compare;
using jit::Element;
using jit::Emitter;
using jit::Value;

/// A vector of f64 in an emitter, as the formulas want their numbers.
struct Reals {
  Emitter* e;
  Value v;
};

Reals constant(const Reals& like, double x) {
  Emitter& e = *like.e;
  const Value bits = e.splat(e.integer(std::bit_cast<int64_t>(x)), like.v.lanes);
  return {&e, e.bitcast(bits, Element::f64)};
}
Reals binary(Binary op, const Reals& a, const Reals& b) { return {a.e, a.e->binary(op, a.v, b.v)}; }
Value bits_of(const Reals& x) { return x.e->bitcast(x.v, Element::i64); }
Value splat(const Reals& like, int64_t v) {
  return like.e->splat(like.e->integer(v), like.v.lanes);
}
Reals of_bits(const Reals& like, Value bits) {
  return {like.e, like.e->bitcast(bits, Element::f64)};
}

Reals operator+(const Reals& a, const Reals& b) { return binary(Binary::add, a, b); }
Reals operator-(const Reals& a, const Reals& b) { return binary(Binary::subtract, a, b); }
Reals operator*(const Reals& a, const Reals& b) { return binary(Binary::multiply, a, b); }
Reals operator/(const Reals& a, const Reals& b) { return binary(Binary::divide, a, b); }
Reals operator+(const Reals& a, double b) { return a + constant(a, b); }
Reals operator-(const Reals& a, double b) { return a - constant(a, b); }
Reals operator*(const Reals& a, double b) { return a * constant(a, b); }
Reals operator+(double a, const Reals& b) { return constant(b, a) + b; }
Reals operator-(double a, const Reals& b) { return constant(b, a) - b; }
Reals operator*(double a, const Reals& b) { return constant(b, a) * b; }
Reals operator/(double a, const Reals& b) { return constant(b, a) / b; }

Reals min_of(double a, const Reals& b) { return binary(Binary::minimum, constant(b, a), b); }
Reals max_of(double a, const Reals& b) { return binary(Binary::maximum, constant(b, a), b); }
Reals max_of(const Reals& a, const Reals& b) { return binary(Binary::maximum, a, b); }
Reals with_sign_of(const Reals& y, const Reals& x) {
  Emitter& e = *y.e;
  const Value magnitude = e.binary(Binary::bit_and, bits_of(y), splat(y, INT64_MAX));
  const Value sign = e.binary(Binary::bit_and, bits_of(x), splat(x, INT64_MIN));
  return of_bits(y, e.binary(Binary::bit_or, magnitude, sign));
}
Reals where_negative(const Reals& x, const Reals& a, const Reals& b) {
  Emitter& e = *x.e;
  const Value mask =
      e.compare(Compare::greater_signed, e.zeros(Element::i64, x.v.lanes), bits_of(x));
  return {&e, e.select(mask, a.v, b.v)};
}
Reals power_of_two(const Reals& shifted) {
  Emitter& e = *shifted.e;
  const Value biased = e.add(bits_of(shifted), splat(shifted, 1023));
  return of_bits(shifted, e.binary(Binary::shift_left, biased, e.integer(52)));
}

/// Keras's constants of selu; their product as the reference forms it.
constexpr double kScale = 1.0507009873554804934193349852946;
constexpr double kAlpha = 1.6732632423543772848170429916717;

/// The float64 function whose rounded value is f, or its part below 0.
template <class R>
R in_f64(FloatFunction f, R x) {
  switch (f) {
    case FloatFunction::exponential:
      return formulas::exponential(x);
    case FloatFunction::elu:
      return formulas::exponential_minus_1(x);
    case FloatFunction::selu:
      return (kScale * kAlpha) * formulas::exponential_minus_1(x);
    case FloatFunction::sigmoid:
      return formulas::sigmoid(x);
    case FloatFunction::tanh:
      return formulas::tanh(x);
    case FloatFunction::softplus:
      return formulas::softplus(x);
    case FloatFunction::gelu:
      return formulas::gelu(x);
    case FloatFunction::mish:
      return formulas::mish(x);
  }
  fail_internal(std::source_location::current(), "unknown float function");
}

/// What x >= 0 is multiplied with, where in_f64 is the part below alone; else 0.
float slope_above(FloatFunction f) {
  return f == FloatFunction::elu ? 1.0F : f == FloatFunction::selu ? static_cast<float>(kScale) : 0;
}

/// f on two registers of f64 after two others: more at a time would need more registers than there
/// are, and neighbours overlap anyway while they run.
template <class Function>
Value by_registers(Emitter& e, Value x, const Function& f) {
  const int lanes = 2 * e.bytes() / bytes_of(Element::f64);
  if (x.lanes <= lanes) return f(x);
  const int half = x.lanes / 2;
  const Value low = by_registers(e, e.slice(x, 0, half), f);
  return e.concat(low, by_registers(e, e.slice(x, half, half), f));
}

}  // namespace

std::string_view name_of(FloatFunction f) {
  constexpr std::array<std::string_view, kFloatFunctions> kNames{
      "exponential", "elu", "selu", "sigmoid", "tanh", "softplus", "gelu", "mish"};
  return kNames.at(static_cast<size_t>(f));
}

float apply(FloatFunction f, float x) {
  const float slope = slope_above(f);
  if (slope != 0 && x >= 0) return slope * x;
  return static_cast<float>(in_f64(f, static_cast<double>(x)));
}

Value emit_function(Emitter& e, FloatFunction f, Value x) {
  const Value y = by_registers(
      e, x, [&](Value part) { return e.to_f32(in_f64(f, Reals{&e, e.to_f64(part)}).v); });
  const float slope = slope_above(f);
  if (slope == 0) return y;
  const Value above = slope == 1 ? x : e.multiply(e.splat(e.real(slope), x.lanes), x);
  return e.select(e.compare(Compare::greater_equal_f32, x, e.zeros(Element::f32, x.lanes)), above,
                  y);
}

Value emit_exponential_f64(Emitter& e, Value x) {
  return by_registers(e, x, [&](Value part) { return formulas::exponential(Reals{&e, part}).v; });
}

}  // namespace qloom::kernels
