// graph/quantizers/support/settings.h: a quantizer's arguments, read with messages that name it;
// what QKeras prints for them; results put together.
#pragma once

#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "graph/quantizer.h"

namespace qloom::quantizers {

/// The arguments of one quantizer. Each reader throws UserError naming quantizer and argument when
/// the value is of the wrong kind.
class Settings {
 public:
  Settings(std::string_view quantizer, const Attributes& arguments)
      : quantizer_(quantizer), arguments_(&arguments) {}

  [[nodiscard]] std::string_view quantizer() const { return quantizer_; }
  [[nodiscard]] const AttributeValue& operator[](std::string_view name) const {
    return (*arguments_)[name];
  }
  [[nodiscard]] int64_t integer(std::string_view name) const;
  [[nodiscard]] double real(std::string_view name) const;
  [[nodiscard]] bool flag(std::string_view name) const { return (*this)[name].truthy(); }
  [[nodiscard]] bool is_none(std::string_view name) const { return (*this)[name].is_none(); }
  [[nodiscard]] bool is_text(std::string_view name) const { return (*this)[name].is_string(); }
  /// The text; "" when the argument is none, a number or a list.
  [[nodiscard]] std::string text(std::string_view name) const;
  /// An argument that may be a number, a list or an array, as a tensor.
  [[nodiscard]] Tensor array(std::string_view name) const;
  /// Throws UserError starting with the quantizer's name unless the condition holds.
  template <class... Parts>
  void check(bool condition, const Parts&... parts) const {
    if (!condition) fail(join(parts...));
  }

 private:
  template <class... Parts>
  static std::string join(const Parts&... parts);
  [[noreturn]] void fail(const std::string& text) const;
  std::string_view quantizer_;
  const Attributes* arguments_;
};

/// Where use_stochastic_rounding asks for draws and the phase has them; else null.
[[nodiscard]] inline Draws* rounding_draws(const Settings& s, const QuantizeOptions& options) {
  return s.flag("use_stochastic_rounding") ? options.draws : nullptr;
}

/// QuantizerDef::draws of the classes with the argument use_stochastic_rounding.
[[nodiscard]] inline bool rounds_stochastically(const Attributes& a) {
  return a["use_stochastic_rounding"].truthy();
}

/// True for a scale taken from the data: alpha "auto" or "auto_po2". Throws UserError for another
/// text.
[[nodiscard]] bool is_auto(const Settings& s);

/// Throws UserError unless alpha is None, "auto", "auto_po2", a number or an array.
void check_alpha(const Settings& s);

/// What alpha says about the scale: none for None, constant for numbers, data for a text.
[[nodiscard]] ScaleRule alpha_rule(const Settings& s);
[[nodiscard]] ScaleRule constant_rule(const Tensor& scale);

/// Integers lo..hi × 2^-fraction in the sharpest kind: {-1, 0, 1} is ternary, {0, 1} a bit.
[[nodiscard]] Numeric integer_set(int64_t lo, int64_t hi, int64_t fraction);

/// The result of quantising: float values and the number of grid steps that each canonical value
/// is. Codes are left out when one is not a number or too large.
struct Outcome {
  std::vector<float> y;
  std::vector<float> q;
  std::vector<float> codes;  ///< integral floats; empty: no codes
};
/// Takes the codes away where one is no whole number (a drawn half step, NaN).
void keep_whole_codes(Outcome& outcome);
[[nodiscard]] Quantized assemble(const Tensor& x, Outcome outcome, std::optional<Tensor> step,
                                 std::optional<Tensor> scale);
/// values × factor, as f64: the step of a scale.
[[nodiscard]] Tensor scaled(const Tensor& values, double factor);

/// Python's str() of a value: 4, 4.0, 1e-05, True, auto; lists as [1, 2].
[[nodiscard]] std::string python_text(const AttributeValue& value);
/// Python's str(int(value)) for a flag. Throws UserError for what int() refuses.
[[nodiscard]] std::string python_integer(const Settings& s, std::string_view name);
/// `name=value` as QKeras prints alpha: text in quotes, lists as ListWrapper([1, 2]).
[[nodiscard]] std::string alpha_text(const Settings& s);

/// The named arguments, in this order: most classes' get_config.
[[nodiscard]] Attributes pick(const Attributes& arguments,
                              std::initializer_list<std::string_view> names);

/// max(1.0, alpha) as QKeras's bounds have it: 1 for None and texts. Throws UserError for an array,
/// which QKeras cannot compare.
[[nodiscard]] double alpha_bound(const Settings& s);

template <class... Parts>
std::string Settings::join(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

}  // namespace qloom::quantizers
