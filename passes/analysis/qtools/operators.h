// passes/analysis/qtools/operators.h: what QTools says an operation on two types gives, what
// hardware does it, and how much of that hardware. Rules are chosen by the modes of the operands
// in tables; operands are ordered, and several results depend on the order.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "passes/analysis/qtools/type.h"

namespace qloom::qtools {

enum class Implementation : uint8_t { mul, shifter, mux, xor_gate, and_gate, add };
/// As exported: "mul", "shifter", "mux", "xor", "and", "add".
[[nodiscard]] std::string_view to_string(Implementation implementation);

/// Size of the hardware for one operation, for energy: `factor` × energy(`bits`).
struct Gates {
  double factor = 1;
  double bits = 0;
};

/// An operation: its hardware and the type of its result.
struct Operation {
  Implementation implementation = Implementation::add;
  QtoolsType out = {};
  std::optional<Gates> gates = {};  ///< none for accumulators
};

/// weight × input. Source: multiplier_factory.py, multiplier_impl.py.
[[nodiscard]] Operation multiply(const QtoolsType& weight, const QtoolsType& input);
/// a + b: bias and batch normalisation. Source: adder_factory.py, adder_impl.py.
[[nodiscard]] Operation add(const QtoolsType& a, const QtoolsType& b);
/// numerator ÷ denominator. QTools refuses ternary and binary denominators; then the result is
/// that of a floating point denominator. Source: divider_factory.py, divider_impl.py.
[[nodiscard]] Operation divide(const QtoolsType& numerator, const QtoolsType& denominator,
                               const Context& context);
/// The sum of one product for each element of a kernel's shape but its last axis, and of one more
/// term with `extra_term`. Source: accumulator_factory.py, accumulator_impl.py.
[[nodiscard]] Operation accumulate(std::span<const int64_t> kernel_shape, const QtoolsType& product,
                                   bool extra_term);
/// A merge layer (Add, Multiply, Maximum, …) of inputs in QTools's order; at least one. QTools
/// refuses Subtract, Dot, and Multiply of one input: Subtract is then an Add with a sign, Dot a
/// product whose sum over `dot_terms` is taken, Multiply a square. Source: merge_factory.py.
[[nodiscard]] Operation merge(std::string_view layer_class, std::span<const QtoolsType> inputs,
                              const Context& context, int64_t dot_terms = 1);

/// The last scale of an auto_po2 quantizer, as QTools finds it.
struct LearnedScale {
  bool known = false;        ///< an array; everything else counts as never called
  bool has_no_axes = false;  ///< a tensor without dimensions, which QTools refuses
  double smallest = 1, largest = 1;
};
/// A product whose weights have scales of their own: bits for the smallest and the largest.
/// Source: qtools_util.py, adjust_multiplier_for_auto_po2.
[[nodiscard]] Operation adjust_for_scale(Operation product, const LearnedScale& scale,
                                         const Context& context);

}  // namespace qloom::qtools
