// bindings/import/build_call.h: one call of a layer → ops. What importing a file and building a
// network by program share.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "bindings/import/keras_description.h"
#include "bindings/import/layer.h"
#include "graph/builder.h"

namespace qloom::keras {

/// A tensor of the model as a value of the graph; what a call of a layer gives.
struct BuiltValue {
  ValueId id;
  std::optional<ValueId> mask = {};  ///< Keras sends this mask of time steps along: bit [N, T]
  std::vector<ValueId> more = {};    ///< further tensors of the call, without masks
};

/// Throws UserError for a key of the layer's configuration that nobody reads, and for a dtype other
/// than float32.
void check_keys(const KerasModel& model, const KerasLayer& layer, const LayerDef& def);

/// How many variables the layer has. Its class must be supported.
[[nodiscard]] size_t expected_weights(const KerasModel& model, const KerasLayer& layer);

/// Adds the ops of call number `call` of the layer, whose class must be supported, and gives its
/// value. `inputs` are those of the call. `fill`, `mode`: see LayerBuilder. Throws UserError that
/// begins with `model.describe(layer)`.
[[nodiscard]] BuiltValue build_call(Builder& builder, const KerasModel& model,
                                    const KerasLayer& layer, size_t call,
                                    std::span<const BuiltValue> inputs, const WeightFill& fill = {},
                                    BuildMode mode = {});

}  // namespace qloom::keras
