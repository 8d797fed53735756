// bindings/import/layers/transposed_separable_convolution.cc: the transpose of a convolution with
// one filter per channel, then 1 × 1. The activations between and behind are not saved by the
// configuration: who builds a network may give them; `activation` is not applied.
// Source: QKeras qkeras/qconvolutional.py, QSeparableConv2DTranspose.
#include "bindings/import/convolution.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"QSeparableConv2DTranspose"};
constexpr std::string_view kKeys[] = {"filters",
                                      "kernel_size",
                                      "strides",
                                      "padding",
                                      "output_padding",
                                      "data_format",
                                      "dilation_rate",
                                      "depthwise_activation",
                                      "pointwise_activation",
                                      "use_bias",
                                      "depthwise_kernel_quantizer",
                                      "pointwise_kernel_quantizer",
                                      "bias_quantizer"};
constexpr std::string_view kIgnored[] = {"depth_multiplier", "groups", "activation"};

std::vector<std::string_view> weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"depthwise_kernel", "pointwise_kernel", "bias"};
  return {"depthwise_kernel", "pointwise_kernel"};
}

ValueId build(LayerBuilder& layer) {
  if (layer.channels_first())
    layer.config("data_format").fail("the groups are channels of the last axis (as in QKeras)");
  const TransposedGeometry g = read_transposed_geometry(layer, 2);
  const int64_t filters = layer.config("filters").as_positive();
  // One input and one output per group: nothing to transpose.
  const ValueId depthwise = layer.quantized(
      layer.weight("depthwise_kernel", {g.kernel_size[0], g.kernel_size[1], 1, g.channels},
                   "kernel_size, 1, input channels"),
      layer.weight_quantizer("depthwise_kernel_quantizer"), "depthwise_kernel");
  const ValueId pointwise =
      transposed_kernel(layer, "pointwise_kernel", {1, 1, filters, g.channels},
                        "1, 1, filters, input channels", "pointwise_kernel_quantizer");
  ops::ConvTranspose conv = g.conv;
  conv.groups = g.channels;
  ValueId y = layer.graph.conv_transpose(layer.input(), depthwise, conv, layer.name("depthwise"));
  const QuantizerOrFunction between = layer.quantizer("depthwise_activation");
  if (!is_identity(between)) y = layer.apply(between, y, layer.name("depthwise_activation"));
  const QuantizerOrFunction act = layer.quantizer("pointwise_activation");
  const bool is_linear = is_identity(act);
  y = layer.graph.conv(y, pointwise, {}, layer.name("pointwise", !layer.has_bias() && is_linear));
  if (layer.has_bias()) {
    const ValueId bias = layer.quantized(layer.weight("bias", {filters}, "filters"),
                                         layer.quantizer("bias_quantizer"), "bias");
    y = layer.graph.add(y, bias, layer.name("bias_add", is_linear));
  }
  return layer.activate(y, act);
}

}  // namespace

extern constinit const LayerDef transposed_separable_convolution{
    .class_names = kClasses,
    .doc = "The transpose of a depthwise convolution, then one of 1 × 1.",
    .keys = kKeys,
    .ignored = kIgnored,
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
