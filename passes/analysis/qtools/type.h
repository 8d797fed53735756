// passes/analysis/qtools/type.h: the number types of QTools, and how QKeras's quantizers become
// such types. They are QTools's own: what it believes a quantizer to be, not what the quantizer
// is (that is `Numeric`).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/quantizer.h"

namespace qloom::qtools {

/// What kind of numbers a type holds. The order is QTools's `mode`: operator tables are indexed
/// by it.
enum class Mode : uint8_t { fixed, po2, ternary, binary, bit, floating };
inline constexpr size_t kModes = 6;

/// A number type as QTools describes it. A plain value.
/// Source: qkeras/qtools/quantized_operators/quantizer_impl.py, IQuantizer.
struct QtoolsType {
  std::string_view name;  ///< "quantized_bits", "ternary", …; a constant of this library
  Mode mode = Mode::fixed;
  int64_t bits = -1;      ///< the sign included
  int64_t int_bits = -1;  ///< fixed: without the sign; ternary and binary: with it
  bool is_signed = false;
  double max_value = -1;     ///< po2 only: largest magnitude; -1: no limit
  int64_t value_count = -1;  ///< po2 only: how many values the weights have; -1: not counted
  bool zero_one = false;     ///< `use_01` of a binary

  /// bits - sign - int_bits, also where that has no meaning (-1 for ternary and ±1).
  [[nodiscard]] int64_t fraction() const { return bits - (is_signed ? 1 : 0) - int_bits; }
  [[nodiscard]] bool is_float() const { return mode == Mode::floating; }
  [[nodiscard]] bool is_po2() const { return mode == Mode::po2; }
  /// int_bits as QTools exports it: the sign included for every mode.
  [[nodiscard]] int64_t exported_int_bits() const;
  /// Bits as exported: a ternary that a product made is exported as 2 bits whatever it has inside.
  [[nodiscard]] int64_t exported_bits() const { return mode == Mode::ternary ? 2 : bits; }
  /// "quantized_bits 8 bits, 1 integer, signed": for tables and messages.
  [[nodiscard]] std::string to_string() const;
  bool operator==(const QtoolsType&) const = default;

  [[nodiscard]] static QtoolsType fixed(int64_t bits, int64_t int_bits, bool is_signed,
                                        std::string_view name = "quantized_bits");
  /// Named after its sign: quantized_po2 or quantized_relu_po2. `int_bits`: -1 for `bits`.
  [[nodiscard]] static QtoolsType po2(int64_t bits, bool is_signed, double max_value = -1,
                                      int64_t int_bits = -1);
  [[nodiscard]] static QtoolsType ternary(std::string_view name = "ternary");
  [[nodiscard]] static QtoolsType binary(bool zero_one, std::string_view name = "binary");
  [[nodiscard]] static QtoolsType floating(int64_t bits);
};

/// The type that the public configuration gives to everything without a quantizer.
[[nodiscard]] QtoolsType int8_type();

/// QTools raises an exception here. We say why, and go on with a rule that makes sense.
struct Refusal {
  std::string layer;      ///< "" where it concerns no layer
  std::string exception;  ///< the class of QTools's exception: "TagMissingError"
  std::string why;
};

/// Where an operation stands: collects what QTools would refuse.
struct Context {
  std::vector<Refusal>& refusals;
  std::string_view layer = {};
  void refuse(std::string_view exception, std::string why) const;
};

/// True for nothing and for QKeras's quantizers that QTools lists (and their subclass
/// quantized_hswish). Source: quantizer_factory.py, is_quantizer_supported.
[[nodiscard]] bool is_supported(const QuantizerOrFunction& what);
/// Whether QKeras can print it. Where it cannot, an error that names the quantizer is another
/// error.
[[nodiscard]] bool has_qkeras_text(const QuantizerOrFunction& what);
/// The type of a quantizer. Nothing, functions, and quantizers that QTools does not list give
/// `fallback`. Source: quantizer_factory.py, make_quantizer.
[[nodiscard]] QtoolsType convert(const QuantizerOrFunction& what, const QtoolsType& fallback,
                                 const Context& context);
/// The same for a text: one of the short names, a quantizer with brackets, or anything else, which
/// gives `fallback`. Throws UserError for a text with brackets that is no quantizer.
[[nodiscard]] QtoolsType convert_text(std::string_view text, const QtoolsType& fallback,
                                      const Context& context);
/// What quantizers are that QTools does not list: quantized_sigmoid, quantized_linear. None for
/// others.
[[nodiscard]] std::optional<QtoolsType> unlisted_type(const QuantizerOrFunction& what);
/// Converting what is already a type: four classes become a ternary, since QTools lists a wrong
/// class for them (stochastic_binary, bernoulli, quantized_tanh, quantized_ulaw).
[[nodiscard]] QtoolsType convert_again(const QtoolsType& type);
/// "fp32", "fp16", "int8", "int16", "int32"; none for another name.
[[nodiscard]] std::optional<QtoolsType> short_name_type(std::string_view name);
/// A type that settings name: a short name or a quantizer's text. None for a quantizer that QTools
/// does not list, which it accepts without giving a type. Throws UserError for anything else.
/// Source: quantizer_factory.py, make_default_quantizer.
[[nodiscard]] std::optional<QtoolsType> named_type(std::string_view name);

/// The QKeras quantizer that a type stands for, with the arguments that QTools copies.
struct BackConversion {
  std::string_view class_name;
  Attributes arguments;
};
/// Source: quantizer_impl.py, convert_to_qkeras_quantizer. None for floats.
[[nodiscard]] std::optional<BackConversion> to_quantizer(const QtoolsType& type);

/// Magnitudes of the smallest and the largest exponent of a po2 type.
struct ExponentRange {
  double min = 0, max = 0;
};
/// Source: quantizer_impl.py, PowerOfTwo.get_min_max_exp.
[[nodiscard]] ExponentRange exponent_range(const QtoolsType& po2);
/// A fixed point type for the values of a po2 type; other types as they are.
/// Source: accumulator_impl.py, po2_to_qbits.
[[nodiscard]] QtoolsType to_fixed(const QtoolsType& type);
/// A po2 type made just wide enough for one value; `reset`: even if that makes it wider. Throws
/// UserError when the value is no power of two. Source: PowerOfTwo.update_quantizer.
[[nodiscard]] QtoolsType narrow_to(const QtoolsType& po2, double value, bool reset);

}  // namespace qloom::qtools
