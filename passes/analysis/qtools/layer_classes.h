// passes/analysis/qtools/layer_classes.h: QTools tells layers apart by the names of their classes,
// and by parts of these names.
#pragma once

#include <string_view>

namespace qloom::qtools {

[[nodiscard]] constexpr bool contains(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

/// They pass their input's type on: pooling by maximum, reshaping.
[[nodiscard]] constexpr bool is_shape_layer(std::string_view layer_class) {
  return contains(layer_class, "MaxPool") || contains(layer_class, "Reshape") ||
         contains(layer_class, "Flatten");
}

[[nodiscard]] constexpr bool is_batch_norm(std::string_view layer_class) {
  return layer_class == "QBatchNormalization" || layer_class == "BatchNormalization";
}

[[nodiscard]] constexpr bool is_depthwise(std::string_view layer_class) {
  return contains(layer_class, "Depthwise");
}

}  // namespace qloom::qtools
