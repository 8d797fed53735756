// bindings/import/qtools_model.h: what QTools's analysis needs of a Keras model, out of its
// description. Works for every layer class whose shapes are known, whether or not a graph can be
// built of it.
#pragma once

#include "bindings/import/keras_description.h"
#include "passes/analysis/qtools/model.h"

namespace qloom {

/// Classes, wiring, shapes, quantizers as the layers hold them (an unsaid alpha of a kernel is
/// auto_po2), and weights where the description has them. Throws UserError naming layer and key.
[[nodiscard]] qtools::QtoolsModel qtools_model_of(KerasModel model);

/// The description with its weights given to the layers, also to those that no graph is built of;
/// what is left over is noted in `notes`. Nothing changes when it is done already.
[[nodiscard]] KerasModel with_assigned_weights(KerasModel model);

}  // namespace qloom
