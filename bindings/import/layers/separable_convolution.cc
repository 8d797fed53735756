// bindings/import/layers/separable_convolution.cc: one filter per channel, then 1 × 1, with nothing
// between them: y = act(pointwise(depthwise(x)) + q(bias)). Strides, padding and dilation are those
// of the first. Source: QKeras qkeras/qconvolutional.py, QSeparableConv1D and QSeparableConv2D.
#include "bindings/import/convolution.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"SeparableConv1D", "SeparableConv2D", "QSeparableConv1D",
                                         "QSeparableConv2D"};
constexpr std::string_view kKeys[] = {"filters",
                                      "kernel_size",
                                      "strides",
                                      "padding",
                                      "data_format",
                                      "dilation_rate",
                                      "depth_multiplier",
                                      "groups",
                                      "activation",
                                      "use_bias",
                                      "depthwise_quantizer",
                                      "pointwise_quantizer",
                                      "bias_quantizer"};
// Keras's base class leaves its own kernel arguments in some files.
constexpr std::string_view kIgnored[] = {"kernel_quantizer"};

std::vector<std::string_view> weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"depthwise_kernel", "pointwise_kernel", "bias"};
  return {"depthwise_kernel", "pointwise_kernel"};
}

ValueId build(LayerBuilder& layer) {
  const int spatial_axes = layer.class_name().ends_with("1D") ? 1 : 2;
  const ConvGeometry g = read_conv_geometry(layer, spatial_axes);
  const int64_t filters = layer.config("filters").as_positive();
  const ConfigView multiplier_view = layer.config("depth_multiplier");
  const int64_t multiplier = multiplier_view.exists() ? multiplier_view.as_positive() : 1;
  if (const ConfigView groups = layer.config("groups"); groups.integer_or(1) != 1)
    groups.fail_expected("1: a separable convolution has a group per channel");
  const int64_t between = g.channels * multiplier;

  Extents stored = g.kernel_size, grouped = g.kernel_size;
  stored.insert(stored.end(), {g.channels, multiplier});
  grouped.insert(grouped.end(), {1, between});
  const ValueId depthwise = layer.graph.reshape(
      layer.quantized(
          layer.weight("depthwise_kernel", stored, "kernel_size, input channels, depth_multiplier"),
          layer.weight_quantizer("depthwise_quantizer"), "depthwise_kernel"),
      grouped, layer.name("grouped_kernel"));
  Extents point(static_cast<size_t>(spatial_axes), 1);
  point.insert(point.end(), {between, filters});
  const ValueId pointwise = layer.quantized(
      layer.weight("pointwise_kernel", point, "1, input channels × depth_multiplier, filters"),
      layer.weight_quantizer("pointwise_quantizer"), "pointwise_kernel");

  const bool permute = layer.channels_first();
  ValueId y = permute ? layer.to_channels_last(layer.input()) : layer.input();
  ops::Conv conv = g.conv;
  conv.groups = g.channels;
  y = layer.graph.conv(y, depthwise, conv, layer.name("depthwise"));
  ops::Conv ones;
  ones.strides.assign(static_cast<size_t>(spatial_axes), 1);
  ones.dilations = ones.strides;
  const bool is_last = !permute && !layer.has_bias() && is_identity(layer.activation());
  y = layer.graph.conv(y, pointwise, ones, layer.name("pointwise", is_last));
  return layer.add_bias_and_activate(y, filters, "filters");
}

}  // namespace

extern constinit const LayerDef separable_convolution{
    .class_names = kClasses,
    .doc = "A convolution with a group per channel, then one of 1 × 1.",
    .keys = kKeys,
    .ignored = kIgnored,
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
