#pragma once

#include <string>
#include <string_view>

#include "bindings/import/keras_description.h"

namespace qloom {

struct ReadOptions {
  std::string weights = {};        ///< a second file with the weights; "" = in the model's own file
  bool architecture_only = false;  ///< no weights, wherever they are
  bool weights_optional = false;   ///< take a JSON architecture without weights
};

/// Reads a Keras model file, nothing interpreted. The kind of a file is told by its content, never
/// by its name: full-model HDF5 (`model.save("x.h5")`), a `.keras` archive of Keras 2.12 or later,
/// or architecture JSON (`model.to_json()`) with the weights in a second file
/// (`save_weights("x.h5")` or `save_weights("x.weights.h5")`, or a full model whose architecture is
/// then ignored). Given with a full model, `weights` replaces the model's own.
/// A SavedModel folder is refused with advice.
/// Throws UserError naming file, layer, key, expected and found.
[[nodiscard]] KerasModel read_keras_model(const std::string& path, const ReadOptions& options = {});

/// Reads the weights of a file (any of those above that holds some) into `model.weight_groups`,
/// replacing what is there; `keras::assign_weights` gives them to the layers. Throws as above.
void read_weights(const std::string& path, KerasModel& model);

/// The architecture in a text (`model.to_json()`), without weights. `source` begins every message.
/// Throws as above.
[[nodiscard]] KerasModel parse_keras_architecture(std::string_view json, const std::string& source);

}  // namespace qloom
