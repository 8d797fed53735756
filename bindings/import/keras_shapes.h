// bindings/import/keras_shapes.h: shapes that follow from a description alone, without a graph:
// for the statistics, which know layers that no graph is built of.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "bindings/import/keras_description.h"
#include "graph/tensor.h"

namespace qloom::keras {

/// An extent that is open until the model runs.
inline constexpr int64_t kOpenExtent = -1;

/// The shape of what a layer yields, batch first. `inputs`: of its inputs, in the order of the
/// arguments. Throws UserError for a class that is not known, and for what the class cannot take.
/// Source: Keras 2.15, `compute_output_shape` of each class.
[[nodiscard]] Extents output_shape(const KerasModel& model, const KerasLayer& layer,
                                   std::span<const Extents> inputs);

/// Shapes of kernel and bias of a dense, convolution or folded layer, of all variables of a batch
/// normalisation, in the order of the file; nothing for other layers.
[[nodiscard]] std::vector<Extents> weight_shapes(const KerasModel& model, const KerasLayer& layer,
                                                 std::span<const Extents> inputs);

/// Whether layers of this class have variables.
[[nodiscard]] bool has_variables(std::string_view class_name);

}  // namespace qloom::keras
