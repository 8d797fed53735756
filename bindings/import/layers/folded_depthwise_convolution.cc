// bindings/import/layers/folded_depthwise_convolution.cc: a depthwise convolution with the batch
// normalization behind it folded into its kernel (bindings/import/folding.h).
#include "bindings/import/convolution.h"
#include "bindings/import/folding.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"QDepthwiseConv2DBatchnorm"};
constexpr std::string_view kOwnKeys[] = {
    "kernel_size",   "strides", "padding",          "data_format",
    "dilation_rate", "groups",  "depth_multiplier", "depthwise_quantizer"};
constexpr auto kKeys = with_folding_keys(kOwnKeys);

std::vector<std::string_view> weights(const ConfigView& config) {
  return folded_weights("depthwise_kernel", config);
}

ValueId build(LayerBuilder& layer) {
  if (layer.channels_first())
    layer.config("data_format").fail("a folded layer has its channels last (as in QKeras)");
  if (const ConfigView groups = layer.config("groups"); groups.integer_or(1) != 1)
    groups.fail_expected("1: a depthwise convolution has a group per channel");
  const ConvGeometry g = read_conv_geometry(layer, 2);
  const ConfigView multiplier_view = layer.config("depth_multiplier");
  const int64_t multiplier = multiplier_view.exists() ? multiplier_view.as_positive() : 1;
  FoldedProduct product;
  product.channels = g.channels * multiplier;
  product.kernel = {g.kernel_size[0], g.kernel_size[1], g.channels, multiplier};
  product.factor = {g.channels, multiplier};
  ops::Conv conv = g.conv;
  conv.groups = g.channels;
  product.multiply = [&](ValueId kernel, std::string_view part) {
    const ValueId grouped =
        layer.graph.reshape(kernel, {g.kernel_size[0], g.kernel_size[1], 1, product.channels},
                            layer.name(std::string(part) + "_kernel"));
    return layer.graph.conv(layer.input(), grouped, conv, layer.name(part));
  };
  return build_folded(layer, product, "depthwise_kernel", "depthwise_quantizer");
}

}  // namespace

extern constinit const LayerDef folded_depthwise_convolution{
    .class_names = kClasses,
    .doc = "Depthwise convolution with a batch normalization folded into its kernel.",
    .keys = kKeys,
    .ignored = kFoldingIgnored,
    .training = "both folding modes, ema_freeze_delay, moving averages",
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
