// bindings/import/places.h: how Keras names what belongs to a layer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bindings/import/keras_description.h"

namespace qloom::keras {

/// "QConv2D" → "q_conv2d": how Keras names groups of weights, and layers without a name.
/// Source: Keras keras/src/saving/saving_lib.py and keras/src/utils/naming.py, to_snake_case.
[[nodiscard]] std::string snake_case(std::string_view name);

/// Fills in where a `.weights.h5` keeps each layer of one model: groups are counted by class.
/// `class_names` are the file's, wrappers included. Operations (Keras 3) are no layers; a
/// Sequential model does not count its input.
void place_layers(KerasModel& model, const std::vector<std::string>& class_names);

}  // namespace qloom::keras
