// bindings/import/layers/depthwise_convolution.cc: one filter per input channel, `depth_multiplier`
// of them. A convolution with groups = C: output channel c·multiplier + j sees kernel[:, :, c, j],
// which is the row-major order of [kh, kw, C, multiplier] read as [kh, kw, 1, C·multiplier].
// The kernel is quantized in its stored shape: an automatic scale is one per multiplier, not per
// channel. Source: QKeras qkeras/qconvolutional.py, QDepthwiseConv2D.
#include "bindings/import/convolution.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"DepthwiseConv2D", "QDepthwiseConv2D"};
constexpr std::string_view kKeys[] = {
    "kernel_size",      "strides", "padding",    "data_format", "dilation_rate",
    "depth_multiplier", "groups",  "activation", "use_bias",    "depthwise_quantizer",
    "bias_quantizer"};
// Keras's base class leaves its own kernel arguments in some files.
constexpr std::string_view kIgnored[] = {"depthwise_range", "bias_range"};

std::vector<std::string_view> weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"depthwise_kernel", "bias"};
  return {"depthwise_kernel"};
}

ValueId build(LayerBuilder& layer) {
  const ConvGeometry g = read_conv_geometry(layer, 2);
  const ConfigView multiplier_view = layer.config("depth_multiplier");
  const int64_t multiplier = multiplier_view.exists() ? multiplier_view.as_positive() : 1;
  if (const ConfigView groups = layer.config("groups"); groups.integer_or(1) != 1) {
    groups.fail_expected("1: a depthwise convolution has a group per channel");
  }
  Extents shape = g.kernel_size;
  shape.push_back(g.channels);
  shape.push_back(multiplier);
  const ValueId stored = layer.quantized(
      layer.weight("depthwise_kernel", shape, "kernel_size, input channels, depth_multiplier"),
      layer.weight_quantizer("depthwise_quantizer"), "depthwise_kernel");
  const int64_t out_channels = g.channels * multiplier;
  const ValueId kernel = layer.graph.reshape(
      stored, {g.kernel_size[0], g.kernel_size[1], 1, out_channels}, layer.name("grouped_kernel"));
  ops::Conv conv = g.conv;
  conv.groups = g.channels;
  return finish_convolution(layer, kernel, conv, out_channels, "input channels × depth_multiplier");
}

}  // namespace

extern constinit const LayerDef depthwise_convolution{
    .class_names = kClasses,
    .doc = "Convolution with a group per input channel.",
    .keys = kKeys,
    .ignored = kIgnored,
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
