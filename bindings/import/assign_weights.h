#pragma once

#include <functional>

#include "bindings/import/keras_description.h"

namespace qloom::keras {

/// Moves the weights of `model.weight_groups` into its layers. `needs_weights` says which layers
/// have variables. If the file holds weights under the name of every such layer, they are matched
/// by name and the rest is reported in `model.notes`. Else, with equally many on both sides, by
/// position, as Keras does (names differ after `clone_model`); who builds the layers checks the
/// shapes. Throws UserError listing the layers without weights and the weights without a layer.
void assign_weights(KerasModel& model, const std::function<bool(const KerasLayer&)>& needs_weights);

/// The older layout keeps all weights of a nested model under the model's name: gives each layer
/// its own, by the layer's name in the weight's ("dense/kernel:0"). Throws UserError where two
/// layers inside share a name.
void split_nested_weights(KerasModel& model);

/// Multiplies the weights of pruned layers by their masks, as the wrapper does when called, and
/// drops the wrapper's own variables.
/// Source: TensorFlow Model Optimization, pruning_wrapper.py, `call`.
void apply_pruning_masks(KerasModel& model);

/// Puts the step counter of folded layers where QKeras on Keras 2 lists it: in front of the moving
/// statistics (Keras 3 lists it before gamma).
void order_folded_weights(KerasModel& model);

/// Throws UserError naming layer, weight and index of the first value that is NaN or infinite.
void check_finite(const KerasModel& model);

}  // namespace qloom::keras
