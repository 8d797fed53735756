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

/// The same for a transposed convolution; output_padding of Keras's classes alone.
struct TransposedGeometry {
  std::vector<int64_t> kernel_size;
  ops::ConvTranspose conv;  ///< groups are left at 1
  int64_t channels = 0;     ///< of the input
};
[[nodiscard]] TransposedGeometry read_transposed_geometry(const LayerBuilder& layer,
                                                          int spatial_axes);

/// A kernel of a transposed convolution, as Keras stores it: taps, outputs, inputs. Quantized as it
/// is stored (an automatic scale is one per input channel), then with its inputs before its
/// outputs.
ValueId transposed_kernel(LayerBuilder& layer, std::string_view part, const Extents& stored,
                          std::string_view axes, std::string_view quantizer_key);

/// conv with everything that follows: layout, bias, activation.
ValueId finish_convolution(LayerBuilder& layer, ValueId kernel, const ops::Conv& conv,
                           int64_t out_channels, std::string_view bias_axes);

}  // namespace qloom::keras
