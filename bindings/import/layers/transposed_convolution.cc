// bindings/import/layers/transposed_convolution.cc: y = act(conv_transpose(x, q(kernel)) +
// q(bias)). QKeras's layer has an output_padding and ignores it. Source: QKeras
// qkeras/qconvolutional.py, QConv2DTranspose.
#include "bindings/import/convolution.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Conv1DTranspose", "Conv2DTranspose", "QConv2DTranspose"};
constexpr std::string_view kKeys[] = {
    "filters",       "kernel_size", "strides",    "padding",  "output_padding",   "data_format",
    "dilation_rate", "groups",      "activation", "use_bias", "kernel_quantizer", "bias_quantizer"};

std::vector<std::string_view> weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"kernel", "bias"};
  return {"kernel"};
}

ValueId build(LayerBuilder& layer) {
  if (const ConfigView groups = layer.config("groups"); groups.integer_or(1) != 1)
    groups.fail_expected("1: a transposed convolution has one group (Keras refuses others too)");
  const TransposedGeometry g =
      read_transposed_geometry(layer, layer.class_name() == "Conv1DTranspose" ? 1 : 2);
  const int64_t filters = layer.config("filters").as_positive();
  Extents stored = g.kernel_size;
  stored.insert(stored.end(), {filters, g.channels});
  const ValueId kernel = transposed_kernel(
      layer, "kernel", stored, "kernel_size, filters, input channels", "kernel_quantizer");
  const bool permute = layer.channels_first();
  const ValueId x = permute ? layer.to_channels_last(layer.input()) : layer.input();
  const bool is_last = !permute && !layer.has_bias() && is_identity(layer.activation());
  const ValueId y = layer.graph.conv_transpose(x, kernel, g.conv, layer.name("conv", is_last));
  return layer.add_bias_and_activate(y, filters, "filters");
}

}  // namespace

extern constinit const LayerDef transposed_convolution{.class_names = kClasses,
                                                       .doc = "The transpose of a convolution.",
                                                       .keys = kKeys,
                                                       .weights = weights,
                                                       .build = build};

}  // namespace qloom::keras::layers
