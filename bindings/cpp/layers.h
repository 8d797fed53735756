// bindings/cpp/layers.h: Keras's and QKeras's layers as structs, with their names, argument names
// and defaults:
//   net.add(QConv2D{.filters = 16, .kernel_size = {3, 3}, .kernel_quantizer = "ternary()"}, x);
// What a layer does is defined once, in bindings/import/layers/; a struct is turned into the
// configuration that Keras would save. A class without a struct is used with `Layer`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings/cpp/composite_layers.h"
#include "bindings/cpp/layer_struct.h"

namespace qloom {

namespace qkeras {

/// Matrix product over the last axis: [N, …, C] → [N, …, units]. Weights: kernel [C, units], bias.
struct Dense {
  static constexpr ClassName kClass = "Dense";
  int64_t units = 0;
  QuantizerArgument activation = {};
  bool use_bias = true;
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("use_bias", use_bias);
  }
};
/// Dense with quantized weights. It does not quantize its input.
struct QDense {
  static constexpr ClassName kClass = "QDense";
  int64_t units = 0;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("use_bias", use_bias);
    f("kernel_quantizer", kernel_quantizer);
    f("bias_quantizer", bias_quantizer);
  }
};

/// Convolution: [N, (H,) W, C] → [N, (H',) W', filters]. `padding`: "valid", "same", in one
/// dimension also "causal". Weights: kernel [(kh,) kw, C / groups, filters], bias [filters].
template <ClassName kName>
struct Convolution {
  static constexpr ClassName kClass = kName;
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  int64_t groups = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  void fields(auto&& f) const {
    f("filters", filters);
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("groups", groups);
    f("activation", activation);
    f("use_bias", use_bias);
  }
};
using Conv1D = Convolution<"Conv1D">;
using Conv2D = Convolution<"Conv2D">;

/// Convolution with quantized weights. `mask` (QConv2D): 0 or 1 for each tap, multiplied with the
/// quantized kernel.
template <ClassName kName>
struct QConvolution {
  static constexpr ClassName kClass = kName;
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  int64_t groups = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  std::vector<std::vector<double>> mask = {};
  void fields(auto&& f) const {
    f("filters", filters);
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("groups", groups);
    f("activation", activation);
    f("use_bias", use_bias);
    f("kernel_quantizer", kernel_quantizer);
    f("bias_quantizer", bias_quantizer);
    f("mask", mask);
  }
};
using QConv1D = QConvolution<"QConv1D">;
using QConv2D = QConvolution<"QConv2D">;

/// One filter per channel and `depth_multiplier`: [N, H, W, C] → [N, H', W', C·multiplier].
/// Weights: depthwise_kernel [kh, kw, C, multiplier], bias.
struct DepthwiseConv2D {
  static constexpr ClassName kClass = "DepthwiseConv2D";
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  int64_t depth_multiplier = 1;
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  void fields(auto&& f) const {
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("depth_multiplier", depth_multiplier);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("activation", activation);
    f("use_bias", use_bias);
  }
};
struct QDepthwiseConv2D {
  static constexpr ClassName kClass = "QDepthwiseConv2D";
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  int64_t depth_multiplier = 1;
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument depthwise_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  void fields(auto&& f) const {
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("depth_multiplier", depth_multiplier);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("activation", activation);
    f("use_bias", use_bias);
    f("depthwise_quantizer", depthwise_quantizer);
    f("bias_quantizer", bias_quantizer);
  }
};

/// A quantizer or a function on each element. In QActivation names are QKeras's (its own
/// hard_sigmoid), in Activation Keras's.
template <ClassName kName>
struct ElementFunction {
  static constexpr ClassName kClass = kName;
  QuantizerArgument activation = {};
  void fields(auto&& f) const { f("activation", activation); }
};
using Activation = ElementFunction<"Activation">;
using QActivation = ElementFunction<"QActivation">;

/// Normalization with stored statistics. Weights, in this order: gamma (if scale), beta (if
/// center), moving_mean, moving_variance, each with one element per channel.
struct BatchNormalization {
  static constexpr ClassName kClass = "BatchNormalization";
  int64_t axis = -1;
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
  void fields(auto&& f) const {
    f("axis", axis);
    f("epsilon", epsilon);
    f("center", center);
    f("scale", scale);
  }
};
/// Normalization with quantized parameters. Where no quantizer is said, QKeras's defaults apply
/// (powers of two); `nullptr` is none.
struct QBatchNormalization {
  static constexpr ClassName kClass = "QBatchNormalization";
  int64_t axis = -1;
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
  QuantizerArgument beta_quantizer = {};
  QuantizerArgument gamma_quantizer = {};
  QuantizerArgument mean_quantizer = {};
  QuantizerArgument variance_quantizer = {};
  QuantizerArgument inverse_quantizer = {};
  void fields(auto&& f) const {
    f("axis", axis);
    f("epsilon", epsilon);
    f("center", center);
    f("scale", scale);
    f("beta_quantizer", beta_quantizer);
    f("gamma_quantizer", gamma_quantizer);
    f("mean_quantizer", mean_quantizer);
    f("variance_quantizer", variance_quantizer);
    f("inverse_quantizer", inverse_quantizer);
  }
};

/// Each sample normalized along its own axis. Weights: gamma (if scale), beta (if center).
struct LayerNormalization {
  static constexpr ClassName kClass = "LayerNormalization";
  int64_t axis = -1;
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
  void fields(auto&& f) const {
    f("axis", axis);
    f("epsilon", epsilon);
    f("center", center);
    f("scale", scale);
  }
};

/// Maximum or mean over windows; strides not said are the window.
template <ClassName kName>
struct Pooling {
  static constexpr ClassName kClass = kName;
  Sizes pool_size = 2;
  Sizes strides = {};
  std::string padding = "valid";
  std::string data_format = "channels_last";
  void fields(auto&& f) const {
    f("pool_size", pool_size);
    f("strides", strides);
    f("padding", padding);
    f("data_format", data_format);
  }
};
using MaxPooling1D = Pooling<"MaxPooling1D">;
using MaxPooling2D = Pooling<"MaxPooling2D">;
using AveragePooling1D = Pooling<"AveragePooling1D">;
using AveragePooling2D = Pooling<"AveragePooling2D">;
/// The sum times the quantized 1 / area.
struct QAveragePooling2D {
  static constexpr ClassName kClass = "QAveragePooling2D";
  Sizes pool_size = 2;
  Sizes strides = {};
  std::string padding = "valid";
  std::string data_format = "channels_last";
  QuantizerArgument average_quantizer = {};
  QuantizerArgument activation = {};
  void fields(auto&& f) const {
    f("pool_size", pool_size);
    f("strides", strides);
    f("padding", padding);
    f("data_format", data_format);
    f("average_quantizer", average_quantizer);
    f("activation", activation);
  }
};

/// Maximum or mean over all positions: [N, H, W, C] → [N, C].
template <ClassName kName>
struct GlobalPooling {
  static constexpr ClassName kClass = kName;
  std::string data_format = "channels_last";
  bool keepdims = false;
  void fields(auto&& f) const {
    f("data_format", data_format);
    f("keepdims", keepdims);
  }
};
using GlobalAveragePooling1D = GlobalPooling<"GlobalAveragePooling1D">;
using GlobalAveragePooling2D = GlobalPooling<"GlobalAveragePooling2D">;
using GlobalMaxPooling1D = GlobalPooling<"GlobalMaxPooling1D">;
using GlobalMaxPooling2D = GlobalPooling<"GlobalMaxPooling2D">;
struct QGlobalAveragePooling2D {
  static constexpr ClassName kClass = "QGlobalAveragePooling2D";
  std::string data_format = "channels_last";
  bool keepdims = false;
  QuantizerArgument average_quantizer = {};
  QuantizerArgument activation = {};
  void fields(auto&& f) const {
    f("data_format", data_format);
    f("keepdims", keepdims);
    f("average_quantizer", average_quantizer);
    f("activation", activation);
  }
};

/// Inputs combined element by element, from left to right; shapes broadcast.
template <ClassName kName>
struct Merge {
  static constexpr ClassName kClass = kName;
  void fields(auto&&) const {}
};
using Add = Merge<"Add">;
using Subtract = Merge<"Subtract">;
using Multiply = Merge<"Multiply">;
using Maximum = Merge<"Maximum">;
using Minimum = Merge<"Minimum">;
using Average = Merge<"Average">;

/// Inputs one after the other along an axis.
struct Concatenate {
  static constexpr ClassName kClass = "Concatenate";
  int64_t axis = -1;
  void fields(auto&& f) const { f("axis", axis); }
};

/// [N, …] → [N, product].
struct Flatten {
  static constexpr ClassName kClass = "Flatten";
  std::string data_format = "channels_last";
  void fields(auto&& f) const { f("data_format", data_format); }
};
/// [N, …] → [N, target_shape…]; one extent may be -1.
struct Reshape {
  static constexpr ClassName kClass = "Reshape";
  std::vector<int64_t> target_shape = {};
  void fields(auto&& f) const { f("target_shape", target_shape); }
};
/// Axes in another order, counted from 1 behind the batch axis.
struct Permute {
  static constexpr ClassName kClass = "Permute";
  std::vector<int64_t> dims = {};
  void fields(auto&& f) const { f("dims", dims); }
};
/// [N, C] → [N, n, C].
struct RepeatVector {
  static constexpr ClassName kClass = "RepeatVector";
  int64_t n = 1;
  void fields(auto&& f) const { f("n", n); }
};
/// [N, …] token numbers → [N, …, output_dim]. Weights: embeddings [input_dim, output_dim].
struct Embedding {
  static constexpr ClassName kClass = "Embedding";
  int64_t input_dim = 1;
  int64_t output_dim = 1;
  void fields(auto&& f) const {
    f("input_dim", input_dim);
    f("output_dim", output_dim);
  }
};
/// Products of two inputs, summed along an axis of each; `normalize`: of unit length there.
struct Dot {
  static constexpr ClassName kClass = "Dot";
  std::vector<int64_t> axes = {-1, -1};
  bool normalize = false;
  void fields(auto&& f) const {
    f("axes", axes);
    f("normalize", normalize);
  }
};
/// Elements off both ends of the spatial axes.
template <ClassName kName>
struct Cropping {
  static constexpr ClassName kClass = kName;
  PaddingCells cropping = 1;
  std::string data_format = "channels_last";
  void fields(auto&& f) const {
    f("cropping", cropping);
    f("data_format", data_format);
  }
};
using Cropping1D = Cropping<"Cropping1D">;
using Cropping2D = Cropping<"Cropping2D">;
/// Spatial axes `size` times as long, repeated.
struct UpSampling1D {
  static constexpr ClassName kClass = "UpSampling1D";
  int64_t size = 2;
  void fields(auto&& f) const { f("size", size); }
};
/// Spatial axes `size` times as long: interpolation "nearest" or "bilinear".
struct UpSampling2D {
  static constexpr ClassName kClass = "UpSampling2D";
  Sizes size = 2;
  std::string data_format = "channels_last";
  std::string interpolation = "nearest";
  void fields(auto&& f) const {
    f("size", size);
    f("data_format", data_format);
    f("interpolation", interpolation);
  }
};
/// Zeros around the spatial axes.
template <ClassName kName>
struct ZeroPadding {
  static constexpr ClassName kClass = kName;
  PaddingCells padding = 1;
  std::string data_format = "channels_last";
  void fields(auto&& f) const {
    f("padding", padding);
    f("data_format", data_format);
  }
};
using ZeroPadding1D = ZeroPadding<"ZeroPadding1D">;
using ZeroPadding2D = ZeroPadding<"ZeroPadding2D">;

/// max_value where x ≥ max_value, x above the threshold, else negative_slope · (x − threshold).
struct ReLU {
  static constexpr ClassName kClass = "ReLU";
  std::optional<double> max_value = {};
  double negative_slope = 0;
  double threshold = 0;
  void fields(auto&& f) const {
    f("max_value", max_value);
    f("negative_slope", negative_slope);
    f("threshold", threshold);
  }
};
/// x where x > 0, else alpha · x.
struct LeakyReLU {
  static constexpr ClassName kClass = "LeakyReLU";
  double alpha = 0.3;
  void fields(auto&& f) const { f("alpha", alpha); }
};
/// x where x > 0, else alpha · (e^x − 1).
struct ELU {
  static constexpr ClassName kClass = "ELU";
  double alpha = 1;
  void fields(auto&& f) const { f("alpha", alpha); }
};
/// x where x > theta, else 0.
struct ThresholdedReLU {
  static constexpr ClassName kClass = "ThresholdedReLU";
  double theta = 1;
  void fields(auto&& f) const { f("theta", theta); }
};
/// x where x > 0, else alpha · x, with learned slopes: one per element, or one along each of
/// `shared_axes` (counted from 1). Weights: alpha.
struct PReLU {
  static constexpr ClassName kClass = "PReLU";
  std::optional<std::vector<int64_t>> shared_axes = {};
  void fields(auto&& f) const { f("shared_axes", shared_axes); }
};
/// exp(x) / sum of exp along an axis.
struct Softmax {
  static constexpr ClassName kClass = "Softmax";
  int64_t axis = -1;
  void fields(auto&& f) const { f("axis", axis); }
};
/// x · scale + offset.
struct Rescaling {
  static constexpr ClassName kClass = "Rescaling";
  double scale = 1;
  double offset = 0;
  void fields(auto&& f) const {
    f("scale", scale);
    f("offset", offset);
  }
};
/// Zeros for time steps that equal mask_value, and a mask of them for recurrent layers; others that
/// would use it refuse it.
struct Masking {
  static constexpr ClassName kClass = "Masking";
  double mask_value = 0;
  void fields(auto&& f) const { f("mask_value", mask_value); }
};

/// Layers that act in training only.
template <ClassName kName>
struct TrainingOnly {
  static constexpr ClassName kClass = kName;
  double rate = 0.5;
  void fields(auto&& f) const { f("rate", rate); }
};
using Dropout = TrainingOnly<"Dropout">;
using SpatialDropout1D = TrainingOnly<"SpatialDropout1D">;
using SpatialDropout2D = TrainingOnly<"SpatialDropout2D">;
using GaussianDropout = TrainingOnly<"GaussianDropout">;
using AlphaDropout = TrainingOnly<"AlphaDropout">;
struct GaussianNoise {
  static constexpr ClassName kClass = "GaussianNoise";
  double stddev = 1;
  void fields(auto&& f) const { f("stddev", stddev); }
};
struct ActivityRegularization {
  static constexpr ClassName kClass = "ActivityRegularization";
  double l1 = 0;
  double l2 = 0;
  void fields(auto&& f) const {
    f("l1", l1);
    f("l2", l2);
  }
};
struct Identity {
  static constexpr ClassName kClass = "Identity";
  void fields(auto&&) const {}
};

}  // namespace qkeras
}  // namespace qloom
