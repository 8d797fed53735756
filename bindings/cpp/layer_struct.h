// bindings/cpp/layer_struct.h: what all layer structs are made of (bindings/cpp/layers.h).
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "bindings/cpp/argument.h"

namespace qloom {

/// A layer as Keras describes it: a class that bindings/import knows, and its configuration.
///   Layer{"ThresholdedReLU", {{"theta", 0.5}}}
struct Layer {
  std::string class_name;
  ConfigValue::Object config = {};
};

/// A struct that stands for one layer class.
template <class T>
concept LayerStruct = requires {
  { T::kClass } -> std::convertible_to<std::string_view>;
};

template <LayerStruct T>
[[nodiscard]] Layer to_layer(const T& layer) {
  return {std::string(std::string_view(T::kClass)),
          std::get<ConfigValue::Object>(to_config(layer).value)};
}

/// A layer or cell as the argument of another: a struct, a `Layer`, or none.
class LayerArgument {
 public:
  LayerArgument() = default;  ///< not said
  LayerArgument(const Layer& layer)
      : config_(ConfigValue::Object{{"class_name", layer.class_name}, {"config", layer.config}}) {}
  template <LayerStruct L>
  LayerArgument(const L& layer) : LayerArgument(to_layer(layer)) {}
  /// What a Keras configuration says; none where nothing is said.
  [[nodiscard]] const std::optional<ConfigValue>& config() const { return config_; }

 private:
  std::optional<ConfigValue> config_;
};

/// A class name as a template argument.
template <size_t n>
struct ClassName {
  constexpr ClassName(const char (&text)[n]) { std::copy_n(text, n, characters.begin()); }
  constexpr operator std::string_view() const { return {characters.data(), n - 1}; }
  std::array<char, n> characters{};
};

}  // namespace qloom
