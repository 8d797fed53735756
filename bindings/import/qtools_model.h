// bindings/import/qtools_model.h: what QTools's analysis needs of a Keras model, out of its
// description. Works for every layer class whose shapes are known, whether or not a graph can be
// built of it.
#pragma once

#include "bindings/import/keras_description.h"
#include "passes/analysis/qtools/model.h"

namespace qloom {

/// Classes, wiring, shapes, quantizers as the layers hold them (an unsaid alpha of a kernel is
/// auto_po2), and weights where the description has them. Throws UserError naming layer and key.
[[nodiscard]] qtools::QtoolsModel qtools_model_of(const KerasModel& model);

}  // namespace qloom
