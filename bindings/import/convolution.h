// bindings/import/convolution.h: what ordinary and depthwise convolution layers share.
#pragma once

#include "bindings/import/layer.h"

namespace qloom::keras {

/// The geometry in a configuration, checked against the layer's input.
struct ConvGeometry {
  std::vector<int64_t> kernel_size;
  ops::Conv conv;        ///< groups are left at 1
  int64_t channels = 0;  ///< of the input
};

/// Reads kernel_size, strides, dilation_rate, padding and data_format of a convolution over
/// `spatial_axes` axes. Throws UserError naming the key: an input of another rank, stride and
/// dilation together (Keras refuses them), a window larger than a `valid` input.
[[nodiscard]] ConvGeometry read_conv_geometry(const LayerBuilder& layer, int spatial_axes);

/// conv with everything that follows: layout, bias, activation.
ValueId finish_convolution(LayerBuilder& layer, ValueId kernel, const ops::Conv& conv,
                           int64_t out_channels, std::string_view bias_axes);

}  // namespace qloom::keras
