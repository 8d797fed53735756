// bindings/cpp/composite_layers.h: layers that are made of several steps: transposed and separable
// convolutions, folded normalizations, adaptive activations (bindings/cpp/layers.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bindings/cpp/layer_struct.h"

namespace qloom::qkeras {

/// The transpose of a convolution: [N, (H,) W, C] → [N, (H·s,) W·s, filters] with `same` padding.
/// Weights: kernel [(kh,) kw, filters, C], bias.
template <ClassName kName>
struct TransposedConvolution {
  static constexpr ClassName kClass = kName;
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  void fields(auto&& f) const {
    f("filters", filters);
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("activation", activation);
    f("use_bias", use_bias);
  }
};
using Conv1DTranspose = TransposedConvolution<"Conv1DTranspose">;
using Conv2DTranspose = TransposedConvolution<"Conv2DTranspose">;

/// The same with quantized weights; an automatic scale is one per input channel.
struct QConv2DTranspose {
  static constexpr ClassName kClass = "QConv2DTranspose";
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  void fields(auto&& f) const {
    f("filters", filters);
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("activation", activation);
    f("use_bias", use_bias);
    f("kernel_quantizer", kernel_quantizer);
    f("bias_quantizer", bias_quantizer);
  }
};

/// A transposed convolution within each group of channels. Weights: depthwise_kernel [kh, kw, C,
/// group_size], bias [filters], which is not used.
struct QDepthwiseConv2DTranspose {
  static constexpr ClassName kClass = "QDepthwiseConv2DTranspose";
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  int64_t group_size = 1;
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  QuantizerArgument depthwise_activation = {};
  bool use_bias = true;
  QuantizerArgument depthwise_kernel_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  void fields(auto&& f) const {
    f("filters", filters);
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("group_size", group_size);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("depthwise_activation", depthwise_activation);
    f("use_bias", use_bias);
    f("depthwise_kernel_quantizer", depthwise_kernel_quantizer);
    f("bias_quantizer", bias_quantizer);
  }
};

/// A transposed convolution with one filter per channel, then 1 × 1. Weights: depthwise_kernel [kh,
/// kw, 1, C], pointwise_kernel [1, 1, filters, C], bias.
struct QSeparableConv2DTranspose {
  static constexpr ClassName kClass = "QSeparableConv2DTranspose";
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  QuantizerArgument depthwise_activation = {};
  QuantizerArgument pointwise_activation = {};
  bool use_bias = true;
  QuantizerArgument depthwise_kernel_quantizer = {};
  QuantizerArgument pointwise_kernel_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  void fields(auto&& f) const {
    f("filters", filters);
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("depthwise_activation", depthwise_activation);
    f("pointwise_activation", pointwise_activation);
    f("use_bias", use_bias);
    f("depthwise_kernel_quantizer", depthwise_kernel_quantizer);
    f("pointwise_kernel_quantizer", pointwise_kernel_quantizer);
    f("bias_quantizer", bias_quantizer);
  }
};

/// One filter per channel and depth_multiplier, then 1 × 1, with nothing between them. Weights:
/// depthwise_kernel [(kh,) kw, C, multiplier], pointwise_kernel [(1,) 1, C·multiplier, filters],
/// bias.
template <ClassName kName>
struct SeparableConvolution {
  static constexpr ClassName kClass = kName;
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  int64_t depth_multiplier = 1;
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  void fields(auto&& f) const {
    f("filters", filters);
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
using SeparableConv1D = SeparableConvolution<"SeparableConv1D">;
using SeparableConv2D = SeparableConvolution<"SeparableConv2D">;

/// The same with quantized weights.
template <ClassName kName>
struct QSeparableConvolution {
  static constexpr ClassName kClass = kName;
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  int64_t depth_multiplier = 1;
  std::string data_format = "channels_last";
  Sizes dilation_rate = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument depthwise_quantizer = {};
  QuantizerArgument pointwise_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  void fields(auto&& f) const {
    f("filters", filters);
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("depth_multiplier", depth_multiplier);
    f("data_format", data_format);
    f("dilation_rate", dilation_rate);
    f("activation", activation);
    f("use_bias", use_bias);
    f("depthwise_quantizer", depthwise_quantizer);
    f("pointwise_quantizer", pointwise_quantizer);
    f("bias_quantizer", bias_quantizer);
  }
};
using QSeparableConv1D = QSeparableConvolution<"QSeparableConv1D">;
using QSeparableConv2D = QSeparableConvolution<"QSeparableConv2D">;

/// A convolution with a batch normalization folded into its kernel before that is quantized.
/// Weights: kernel, bias, gamma (if scale), beta, iteration, moving_mean, moving_variance.
struct QConv2DBatchnorm {
  static constexpr ClassName kClass = "QConv2DBatchnorm";
  int64_t filters = 0;
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  Sizes dilation_rate = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool scale = true;
  std::optional<int64_t> ema_freeze_delay = {};
  std::string folding_mode = "ema_stats_folding";
  void fields(auto&& f) const {
    f("filters", filters);
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("dilation_rate", dilation_rate);
    f("activation", activation);
    f("use_bias", use_bias);
    f("kernel_quantizer", kernel_quantizer);
    f("bias_quantizer", bias_quantizer);
    f("momentum", momentum);
    f("epsilon", epsilon);
    f("scale", scale);
    f("ema_freeze_delay", ema_freeze_delay);
    f("folding_mode", folding_mode);
  }
};

/// The same with one filter per channel and depth_multiplier. Its kernel is called
/// depthwise_kernel.
struct QDepthwiseConv2DBatchnorm {
  static constexpr ClassName kClass = "QDepthwiseConv2DBatchnorm";
  Sizes kernel_size = {};
  Sizes strides = 1;
  std::string padding = "valid";
  int64_t depth_multiplier = 1;
  Sizes dilation_rate = 1;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument depthwise_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool scale = true;
  std::optional<int64_t> ema_freeze_delay = {};
  std::string folding_mode = "ema_stats_folding";
  void fields(auto&& f) const {
    f("kernel_size", kernel_size);
    f("strides", strides);
    f("padding", padding);
    f("depth_multiplier", depth_multiplier);
    f("dilation_rate", dilation_rate);
    f("activation", activation);
    f("use_bias", use_bias);
    f("depthwise_quantizer", depthwise_quantizer);
    f("bias_quantizer", bias_quantizer);
    f("momentum", momentum);
    f("epsilon", epsilon);
    f("scale", scale);
    f("ema_freeze_delay", ema_freeze_delay);
    f("folding_mode", folding_mode);
  }
};

/// The same with a matrix product.
struct QDenseBatchnorm {
  static constexpr ClassName kClass = "QDenseBatchnorm";
  int64_t units = 0;
  QuantizerArgument activation = {};
  bool use_bias = true;
  QuantizerArgument kernel_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool scale = true;
  std::optional<int64_t> ema_freeze_delay = {};
  std::string folding_mode = "ema_stats_folding";
  void fields(auto&& f) const {
    f("units", units);
    f("activation", activation);
    f("use_bias", use_bias);
    f("kernel_quantizer", kernel_quantizer);
    f("bias_quantizer", bias_quantizer);
    f("momentum", momentum);
    f("epsilon", epsilon);
    f("scale", scale);
    f("ema_freeze_delay", ema_freeze_delay);
    f("folding_mode", folding_mode);
  }
};

/// "quantized_bits" or "quantized_relu" with integer bits that follow moving averages of the range.
/// Weights: step, ema_min, ema_max.
struct QAdaptiveActivation {
  static constexpr ClassName kClass = "QAdaptiveActivation";
  std::string activation = "quantized_relu";
  int64_t total_bits = 8;
  std::optional<int64_t> current_step = {};
  bool symmetric = true;
  int64_t quantization_delay = 0;
  std::optional<int64_t> ema_freeze_delay = {};
  double ema_decay = 0.9999;
  bool per_channel = false;
  bool po2_rounding = false;
  double relu_neg_slope = 0;
  std::optional<double> relu_upper_bound = {};
  void fields(auto&& f) const {
    f("activation", activation);
    f("total_bits", total_bits);
    f("current_step", current_step);
    f("symmetric", symmetric);
    f("quantization_delay", quantization_delay);
    f("ema_freeze_delay", ema_freeze_delay);
    f("ema_decay", ema_decay);
    f("per_channel", per_channel);
    f("po2_rounding", po2_rounding);
    f("relu_neg_slope", relu_neg_slope);
    f("relu_upper_bound", relu_upper_bound);
  }
};

/// x · weight + bias with one number each.
struct QScaleShift {
  static constexpr ClassName kClass = "QScaleShift";
  QuantizerArgument weight_quantizer = {};
  QuantizerArgument bias_quantizer = {};
  bool use_bias = true;
  QuantizerArgument activation = {};
  void fields(auto&& f) const {
    f("weight_quantizer", weight_quantizer);
    f("bias_quantizer", bias_quantizer);
    f("use_bias", use_bias);
    f("activation", activation);
  }
};

}  // namespace qloom::qkeras
