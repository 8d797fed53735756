// bindings/import/layers/transposed_depthwise_convolution.cc: groups of `group_size` channels, each
// with a transposed convolution of its own to as many channels. The bias is stored and not used;
// `filters` says nothing else; `activation` is not applied but `depthwise_activation`, which the
// configuration does not save: who builds a network may give it.
// Source: QKeras qkeras/qconvolutional.py, QDepthwiseConv2DTranspose.
#include "bindings/import/convolution.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"QDepthwiseConv2DTranspose"};
constexpr std::string_view kKeys[] = {"filters",
                                      "kernel_size",
                                      "strides",
                                      "padding",
                                      "output_padding",
                                      "data_format",
                                      "dilation_rate",
                                      "group_size",
                                      "depthwise_activation",
                                      "use_bias",
                                      "depthwise_kernel_quantizer"};
constexpr std::string_view kIgnored[] = {"depth_multiplier", "groups", "activation",
                                         "bias_quantizer"};

std::vector<std::string_view> weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"depthwise_kernel", "bias"};
  return {"depthwise_kernel"};
}

ValueId build(LayerBuilder& layer) {
  if (layer.channels_first())
    layer.config("data_format").fail("the groups are channels of the last axis (as in QKeras)");
  const TransposedGeometry g = read_transposed_geometry(layer, 2);
  const ConfigView size_view = layer.config("group_size");
  const int64_t size = size_view.exists() ? size_view.as_positive() : 1;
  if (g.channels % size != 0)
    size_view.fail(join_text(size, " does not divide the ", g.channels, " input channels"));
  const ValueId kernel = transposed_kernel(
      layer, "depthwise_kernel", {g.kernel_size[0], g.kernel_size[1], g.channels, size},
      "kernel_size, input channels, group_size", "depthwise_kernel_quantizer");
  if (layer.has_bias())
    static_cast<void>(layer.weight("bias", {layer.config("filters").as_positive()}, "filters"));
  ops::ConvTranspose conv = g.conv;
  conv.groups = g.channels / size;
  const QuantizerOrFunction act = layer.quantizer("depthwise_activation");
  const ValueId y =
      layer.graph.conv_transpose(layer.input(), kernel, conv, layer.name("conv", is_identity(act)));
  return layer.activate(y, act);
}

}  // namespace

extern constinit const LayerDef transposed_depthwise_convolution{
    .class_names = kClasses,
    .doc = "The transpose of a convolution within groups of channels.",
    .keys = kKeys,
    .ignored = kIgnored,
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
