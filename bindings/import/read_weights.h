#pragma once

#include <string>
#include <vector>

#include "bindings/import/hdf5.h"
#include "bindings/import/keras_description.h"

namespace qloom::keras {

/// The weights below a group in the layout of Keras's `save_weights("*.h5")` (`layer_names`, a
/// group per layer with `weight_names`), in that order; layers without weights included, the
/// model's own `top_level_model_weights` not. Values become float32. Throws UserError naming layer
/// and weight.
[[nodiscard]] std::vector<KerasWeightGroup> read_weight_groups(Hdf5File& file,
                                                               const Hdf5Object& group);

/// The group of a file that holds weights: `model_weights` of a full model, or the root of a
/// weights file. Throws UserError that says what the file is when it is neither.
[[nodiscard]] Hdf5Object find_weights(Hdf5File& file);

/// Throws UserError for files of Keras 1, whose kernels have another orientation.
void check_keras_version(const std::string& version, const std::string& file);

}  // namespace qloom::keras
