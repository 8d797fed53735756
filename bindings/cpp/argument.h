// bindings/cpp/argument.h: what the fields of layers may be, and how a struct of fields becomes a
// Keras configuration.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "bindings/import/config_value.h"
#include "graph/attributes.h"
#include "graph/quantizer.h"

namespace qloom {

/// A struct with the name and the arguments of a QKeras quantizer (bindings/cpp/quantizers.h).
template <class T>
concept QuantizerStruct = requires(const T& t) {
  { T::kQuantizer } -> std::convertible_to<std::string_view>;
  { t.arguments() } -> std::same_as<Attributes>;
};

/// A quantizer or an activation function as the argument of a layer: not said (the layer's default
/// applies), none (`nullptr`), text in QKeras's grammar ("quantized_bits(4,0,1)", "relu"), or a
/// quantizer object. It is read when the layer is added, so errors name layer and argument.
class QuantizerArgument {
 public:
  QuantizerArgument() = default;
  QuantizerArgument(std::nullptr_t) : config_(ConfigValue()) {}
  QuantizerArgument(const char* text) : config_(ConfigValue(std::string(text))) {}
  QuantizerArgument(std::string text) : config_(ConfigValue(std::move(text))) {}
  QuantizerArgument(const Quantizer& quantizer)
      : QuantizerArgument(quantizer.name(), quantizer.arguments()) {}
  template <QuantizerStruct Q>
  QuantizerArgument(const Q& quantizer) : QuantizerArgument(Q::kQuantizer, quantizer.arguments()) {}

  /// What a Keras configuration says; none where nothing is said.
  [[nodiscard]] const std::optional<ConfigValue>& config() const { return config_; }

 private:
  QuantizerArgument(std::string_view class_name, const Attributes& arguments);
  std::optional<ConfigValue> config_;
};

/// One number for every axis, or one for each: `.strides = 2`, `.kernel_size = {3, 5}`.
class Sizes {
 public:
  Sizes() = default;  ///< not said
  Sizes(int64_t all) : values_{all} {}
  Sizes(std::initializer_list<int64_t> each) : values_(each) {}
  [[nodiscard]] const std::vector<int64_t>& values() const { return values_; }

 private:
  std::vector<int64_t> values_;
};

/// Cells of padding: one number for all sides, one per axis, or a pair (before, after) per axis:
/// `1`, `{1, 2}`, `{{0, 1}, {0, 1}}`.
class PaddingCells {
 public:
  PaddingCells(int64_t all) : config_(all) {}
  PaddingCells(std::initializer_list<int64_t> each);
  PaddingCells(std::initializer_list<std::initializer_list<int64_t>> pairs);
  [[nodiscard]] const ConfigValue& config() const { return config_; }

 private:
  ConfigValue config_;
};

namespace argument_detail {

template <class T>
std::optional<ConfigValue> config_of(const T& v) {
  if constexpr (requires { v.config().has_value(); }) {  // a quantizer, a layer
    return v.config();
  } else if constexpr (std::is_same_v<T, PaddingCells>) {
    return v.config();
  } else if constexpr (std::is_same_v<T, Sizes>) {
    if (v.values().size() == 1) return std::optional<ConfigValue>(std::in_place, v.values()[0]);
    return config_of(v.values());
  } else if constexpr (requires { v.has_value(); }) {
    return v ? config_of(*v) : std::nullopt;
  } else if constexpr (requires { typename T::value_type; } && !std::is_same_v<T, std::string>) {
    if (v.empty()) return std::nullopt;
    ConfigValue::Array elements;
    for (const auto& element : v)
      elements.push_back(config_of(typename T::value_type(element)).value());
    return ConfigValue(std::move(elements));
  } else {
    // Made in place: GCC 12 sees a moved variant as uninitialized under sanitizers.
    return std::optional<ConfigValue>(std::in_place, v);
  }
}

}  // namespace argument_detail

/// The configuration of a struct with `fields`: one key for each field that says something.
template <class T>
[[nodiscard]] ConfigValue to_config(const T& fields) {
  ConfigValue config{ConfigValue::Object()};
  fields.fields([&](std::string_view key, const auto& value) {
    if (std::optional<ConfigValue> v = argument_detail::config_of(value))
      config.set(key, std::move(*v));
  });
  return config;
}

}  // namespace qloom
