#pragma once

#include <string>

#include "bindings/import/keras_description.h"

namespace qloom::keras {

/// The layers and wiring of a model configuration (`{"class_name": …, "config": …}`, as `to_json`,
/// `model_config` and `config.json` have it), in every form that Keras 2 and 3 write. Weights are
/// not touched. Throws UserError naming file, layer and key: malformed entries, names that are not
/// unique, references to nothing, cycles, no outputs, a Sequential model without an input shape.
[[nodiscard]] KerasModel read_architecture(ConfigValue json, const std::string& file);

}  // namespace qloom::keras
