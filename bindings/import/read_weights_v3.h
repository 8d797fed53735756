#pragma once

#include <vector>

#include "bindings/import/hdf5.h"
#include "bindings/import/keras_description.h"

namespace qloom::keras {

/// True for a weights file in the layout of Keras 3 (`.weights.h5`, and inside `.keras`).
[[nodiscard]] bool is_v3_layout(Hdf5File& file);

/// The weights of each layer of the model, in the order of the older layout. Groups are found by
/// the layer's name where the file has names (Keras 3.6 and later), else by class and position.
/// Groups that belong to no layer are added under their paths. Throws UserError naming group and
/// dataset.
/// Source: Keras 3 keras/src/saving/saving_lib.py, `_save_state`; TensorFlow 2.12 to 2.15 the same
/// file under keras/src/saving.
[[nodiscard]] std::vector<KerasWeightGroup> read_v3_weights(Hdf5File& file, KerasModel& model);

}  // namespace qloom::keras
