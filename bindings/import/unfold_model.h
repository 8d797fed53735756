// bindings/import/unfold_model.h: layers that batch normalisation is folded into, taken apart.
#pragma once

#include "bindings/import/keras_description.h"

namespace qloom {

/// Each QConv2DBatchnorm and QDepthwiseConv2DBatchnorm becomes a QConv2D or QDepthwiseConv2D with a
/// bias and the same quantizers, and weights that have the moving statistics in them:
///   inv = gamma / sqrt(variance + epsilon),  kernel · inv,  inv · (bias - mean) + beta.
/// Other layers stay. The weights must have been assigned to layers. Throws UserError naming a
/// layer whose variables do not fit.
/// Source: QKeras qkeras/bn_folding_utils.py, unfold_model.
[[nodiscard]] KerasModel unfold_model(KerasModel model);

}  // namespace qloom
