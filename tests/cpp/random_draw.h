// tests/cpp/random_draw.h: what makers of random layer configurations work with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/import/config_value.h"
#include "graph/tensor.h"
#include "tests/support/random_graph.h"

namespace qloom::test {

inline constexpr const char* kWeights[] = {"quantized_bits(4,0,1,alpha=1.0)",
                                           "quantized_bits(8,1,1,alpha=1.0)",
                                           "quantized_bits(2,0,1,alpha=1.0)",
                                           "quantized_bits(4,0,1)",
                                           "quantized_bits(5,0,1,alpha='auto')",
                                           "quantized_bits(4,0,1,alpha='auto_po2')",
                                           "quantized_linear(4,1,alpha=1.0)",
                                           "binary(alpha=1.0)",
                                           "binary()",
                                           "ternary(alpha=1.0)",
                                           "ternary(alpha=2.0,threshold=0.4)",
                                           "quantized_po2(4,1)",
                                           "quantized_po2(3)"};
inline constexpr const char* kBiases[] = {"quantized_bits(6,2,1)", "quantized_bits(4,1,1)",
                                          "quantized_po2(4)"};
inline constexpr const char* kActivations[] = {
    "quantized_relu(4,2)",   "quantized_relu(2,1)", "quantized_relu(8,3)",
    "quantized_bits(4,1,1)", "quantized_bits(8,3)", "quantized_bits(6,2,0)",
    "binary(alpha=1.0)",     "ternary(alpha=1.0)",  "quantized_relu(6,3,negative_slope=0.25)",
    "quantized_tanh(4)",     "quantized_po2(4,4)",  "quantized_linear(5,2)"};
inline constexpr const char* kFunctions[] = {"relu", "relu6", "hard_sigmoid"};

/// A configuration in the making: its keys, and what goes into the layer.
struct Draw {
  using Object = ConfigValue::Object;
  testing::Random random;
  std::vector<Extents> inputs;  ///< of one sample
  Object config;
  /// Rows of the table that the first input's numbers choose from; 0: it holds any values.
  int64_t rows = 0;
  bool masks = false;       ///< some time steps of the first input are left out (Masking)
  bool stateful = false;    ///< keeps its states from call to call
  bool time_major = false;  ///< time steps before samples
  /// Class and configuration of a layer behind it, which reads its mask; "": none.
  std::pair<std::string, Object> reader = {};
  size_t more_outputs = 0;  ///< that the layer gives behind its first

  explicit Draw(uint64_t seed) : random(seed) {}
  /// Made in place: GCC 12 sees a moved variant as uninitialized.
  template <class T>
  void set(std::string key, T value) {
    config.emplace_back(std::move(key), std::move(value));
  }
  void none(std::string key) { config.emplace_back(std::move(key), std::monostate()); }
  void text(std::string key, const char* value) { set(std::move(key), std::string(value)); }
  void number(std::string key, int64_t value) { set(std::move(key), value); }
  void list(std::string key, const std::vector<int64_t>& values) {
    ConfigValue::Array array;
    for (const int64_t v : values) array.emplace_back(v);
    set(std::move(key), std::move(array));
  }
  template <class List>
  void maybe(std::string key, const List& list, int percent) {
    if (random.chance(percent))
      text(std::move(key), random.pick(list));
    else
      none(std::move(key));
  }
  void flag(std::string key, int percent) { set(std::move(key), random.chance(percent)); }
  /// Now and then the channels of the first input go first.
  void data_format() {
    const bool first = random.chance(20);
    text("data_format", first ? "channels_first" : "channels_last");
    if (first) std::rotate(inputs[0].begin(), inputs[0].end() - 1, inputs[0].end());
  }
  /// An image [H, W, C] or a sequence [T, C].
  Extents image(int spatial_axes) {
    Extents e;
    for (int i = 0; i < spatial_axes; ++i) e.push_back(random.integer(3, 9));
    e.push_back(random.integer(1, 6));
    return e;
  }
  Extents any_shape() {
    const int64_t rank = random.integer(1, 3);
    Extents e;
    for (int64_t i = 0; i < rank; ++i) e.push_back(random.integer(2, 6));
    return e;
  }
};

inline bool is_quantized(std::string_view name) { return name.starts_with('Q'); }

/// Fills in a configuration of the class, and what goes into it.
struct Maker {
  std::string_view class_name;
  void (*make)(Draw&, std::string_view);
};
/// Layers over time steps, masks and token numbers (random_sequences.cc).
[[nodiscard]] std::span<const Maker> sequence_makers();

}  // namespace qloom::test
