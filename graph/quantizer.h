#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graph/attributes.h"
#include "graph/draws.h"
#include "graph/numeric.h"
#include "graph/tensor.h"

namespace qloom {

/// QKeras's process-wide choice of the cheap sigmoid (set_internal_sigmoid); "hard" by default.
enum class InternalSigmoid : uint8_t { hard, smooth, real };
constexpr std::array<std::string_view, 3> names_of(InternalSigmoid) {
  return {"hard", "smooth", "real"};
}
/// How TensorFlow divides by a constant: eagerly it divides, in compiled graphs (`predict`) it
/// multiplies with the rounded reciprocal. See the evaluation presets in graph/interpret.h.
enum class Division : uint8_t { divide, reciprocal };
constexpr std::array<std::string_view, 2> names_of(Division) { return {"divide", "reciprocal"}; }

struct QuantizeOptions {
  InternalSigmoid internal_sigmoid = InternalSigmoid::hard;
  Division division = Division::divide;
  /// Random numbers of the training phase. Null: values are rounded, not drawn, and bernoulli,
  /// which draws at inference too, is refused.
  Draws* draws = nullptr;
};

/// What a quantizer makes of a tensor x. Drawn values may lie between two codes (half steps): then
/// there are no codes.
struct Quantized {
  Tensor y;                 ///< f32, x's extents: QKeras's output, x + (q - x) included
  std::optional<Tensor> q;  ///< f32: value before the straight-through addition (canonical)
  std::optional<Tensor>
      codes;  ///< i64: integers; none where the values lie on no grid (ulaw, wide po2, NaN)
  std::optional<Tensor> step;  ///< f64, broadcasts against x: canonical value = codes × step
  std::optional<Tensor>
      scale;  ///< f32: QKeras's `scale` attribute after the call; none if the class has none
};

/// Where a quantizer's scale comes from.
struct ScaleRule {
  enum class Kind : uint8_t {
    none,
    constant,
    data
  };  ///< data: "auto", "auto_po2": from the tensor itself
  Kind kind = Kind::none;
  bool power_of_two = false;          ///< every scale is a power of two
  std::vector<double> constant = {};  ///< constant only: one element, or one per last-axis channel
};

/// One constructor argument, in QKeras's positional order.
struct ArgumentDef {
  std::string_view name;
  AttributeValue default_value;
};

class Quantizer;

/// A QKeras quantizer class. One constant per file of graph/quantizers/, one line in the list.
/// All functions receive the complete arguments (defaults filled in).
struct QuantizerDef {
  std::string_view name;  ///< QKeras's class name
  std::string_view doc;
  std::string_view source;  ///< QKeras file and class; paper
  std::vector<ArgumentDef> (*arguments)();
  /// Constructor checks and effects (a string alpha makes quantized_bits symmetric): may change the
  /// arguments. Throws UserError naming quantizer, argument and value.
  void (*construct)(Attributes&) = nullptr;
  /// What QKeras layers do to weight quantizers (_set_trainable_parameter); null: nothing.
  void (*set_trainable_parameter)(Attributes&) = nullptr;
  /// Members of the value set (value = member × scale, the scale being QKeras's `scale` attribute
  /// or 1). float32 when the outputs lie on no grid: a noise factor other than 1, ulaw, a bound
  /// between two codes.
  Numeric (*values)(const Attributes&) = nullptr;
  ScaleRule (*scale)(const Attributes&) = nullptr;  ///< null: none
  /// The meaning, in plain loops. x is f32. Throws UserError for what QKeras refuses at the call.
  Quantized (*forward)(const Attributes&, const Tensor& x, const QuantizeOptions&) = nullptr;
  /// True when the code is a non-decreasing function of each element of x on its own (constant
  /// scale). Tails are lowered by bisection only where this holds. Null: false.
  bool (*monotone)(const Attributes&) = nullptr;
  /// True where a logarithm decides the code of x and lies so near a threshold that TensorFlow's
  /// may decide otherwise. Null: false everywhere.
  bool (*uncertain)(const Attributes&, float x) = nullptr;
  /// QKeras's get_config(): the keys that it saves, in its order.
  Attributes (*config)(const Attributes&) = nullptr;
  /// Removes keys that get_config writes although the constructor does not take them; throws
  /// UserError when they ask for something else than the class does. Null: there are none.
  void (*accept_config)(Attributes&) = nullptr;
  std::string (*to_string)(const Attributes&) =
      nullptr;                                 ///< QKeras's str(); throws where it raises
  double (*max)(const Attributes&) = nullptr;  ///< QKeras's max(); throws where it raises
  double (*min)(const Attributes&) = nullptr;  ///< QKeras's min(); throws where it raises
  std::vector<float> (*range)(const Attributes&) = nullptr;  ///< QKeras's range(); null: has none
  /// max, min and range are those of scale 1: QKeras multiplies by the scale of the last call.
  bool bounds_times_scale = false;
  /// True where the training phase draws values instead of rounding. Null: never.
  bool (*draws)(const Attributes&) = nullptr;
  bool by_name = true;  ///< false: QKeras's strings do not reach this class, only configurations
  /// Arguments that often mean something else than meant, one sentence each ("quantized_relu(8,0,1)
  /// is the sigmoid form", "quantized_bits(8,8,1) has step 2"). Null: none.
  std::vector<std::string> (*notes)(const Attributes&) = nullptr;
};

/// A quantizer object: class and complete arguments. A value.
class Quantizer {
 public:
  /// Fills in defaults and runs the constructor's checks. Unknown arguments are errors.
  /// Throws UserError naming class, argument and value.
  Quantizer(const QuantizerDef& def, Attributes arguments);

  [[nodiscard]] const QuantizerDef& def() const { return *def_; }
  [[nodiscard]] std::string_view name() const { return def_->name; }
  [[nodiscard]] const Attributes& arguments() const { return arguments_; }
  [[nodiscard]] Numeric values() const { return def_->values(arguments_); }
  [[nodiscard]] ScaleRule scale() const;
  [[nodiscard]] Quantized forward(const Tensor& x, const QuantizeOptions& o = {}) const;
  [[nodiscard]] bool is_monotone() const;
  /// True where the training phase draws values instead of rounding.
  [[nodiscard]] bool draws() const { return def_->draws != nullptr && def_->draws(arguments_); }
  /// Whether some x is uncertain().
  [[nodiscard]] bool has_uncertain_inputs() const { return def_->uncertain != nullptr; }
  /// True where TensorFlow's logarithm may give x another code than the correctly rounded one.
  [[nodiscard]] bool is_uncertain(float x) const;
  void set_trainable_parameter();
  /// Changes an argument as assigning the attribute does in QKeras: without the constructor's
  /// checks and effects. Throws UserError for an unknown name.
  void set(std::string_view name, AttributeValue value);
  /// Arguments by name, those that differ from the default; reads back through parse:
  /// "quantized_bits(bits=4, integer=0, symmetric=1, alpha=1.0)".
  [[nodiscard]] std::string to_string() const;
  /// get_config(): the keys that QKeras saves, in its order.
  [[nodiscard]] Attributes config() const;
  [[nodiscard]] std::vector<std::string> notes() const;
  bool operator==(const Quantizer& o) const { return def_ == o.def_ && arguments_ == o.arguments_; }

  /// from_config(class name, config): unknown keys are errors, missing keys take defaults.
  [[nodiscard]] static Quantizer from_config(std::string_view class_name, const Attributes& config);

 private:
  const QuantizerDef* def_;
  Attributes arguments_;
};

/// A plain activation function by name: QKeras's hard_sigmoid … binary_tanh, or a Keras name
/// (relu, tanh, sigmoid, linear, softmax, …).
struct ActivationFunction {
  std::string name;
  bool operator==(const ActivationFunction&) const = default;
};

/// What a string or a configuration names: nothing ("None"), a quantizer, or a plain function.
using QuantizerOrFunction = std::variant<std::monostate, Quantizer, ActivationFunction>;

/// QKeras's get_quantizer for strings: the grammar of QKeras's safe_eval, except that what it
/// silently misreads (nested parentheses, unquoted words, trailing text) is refused with a reason.
/// Implemented without evaluating anything. Throws UserError naming the text and the position.
[[nodiscard]] QuantizerOrFunction parse_quantizer(std::string_view text);

/// Looks a class up; null when unknown.
[[nodiscard]] const QuantizerDef* find_quantizer(std::string_view class_name);

/// Makes a quantizer from outside the library known by its name: in texts, configurations, files
/// and layers. The definition must live as long as the program. Throws UserError when the name is
/// taken or is no identifier, or a function that every quantizer needs is missing: arguments,
/// values, forward, config, to_string, max, min.
void register_quantizer(const QuantizerDef& def);

}  // namespace qloom
