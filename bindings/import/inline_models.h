#pragma once

#include <functional>

#include "bindings/import/keras_description.h"

namespace qloom::keras {

/// Replaces each nested model among the layers by its own layers, called "model/layer", once for
/// all calls of the model: a layer inside has one call for each pair of calls. `read` reads the
/// nested model (itself without nested ones). References must be checked before.
/// Throws UserError naming the model's layer.
void inline_models(KerasModel& model, const std::function<KerasModel(const KerasLayer&)>& read);

}  // namespace qloom::keras
