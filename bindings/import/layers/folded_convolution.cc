// bindings/import/layers/folded_convolution.cc: a convolution with the batch normalization behind
// it folded into its kernel (bindings/import/folding.h).
#include "bindings/import/convolution.h"
#include "bindings/import/folding.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"QConv2DBatchnorm"};
constexpr std::string_view kOwnKeys[] = {"filters", "kernel_size", "strides",
                                         "padding", "data_format", "dilation_rate",
                                         "groups",  "mask",        "kernel_quantizer"};
constexpr auto kKeys = with_folding_keys(kOwnKeys);

std::vector<std::string_view> weights(const ConfigView& config) {
  return folded_weights("kernel", config);
}

ValueId build(LayerBuilder& layer) {
  if (layer.channels_first())
    layer.config("data_format").fail("a folded layer has its channels last (as in QKeras)");
  if (const ConfigView groups = layer.config("groups"); groups.integer_or(1) != 1)
    groups.fail_expected("1: QKeras's folded layers have one group");
  if (!layer.config("mask").is_none())
    layer.config("mask").fail("a folded layer has no mask (QKeras does not apply it)");
  const ConvGeometry g = read_conv_geometry(layer, 2);
  FoldedProduct product;
  product.channels = layer.config("filters").as_positive();
  product.kernel = {g.kernel_size[0], g.kernel_size[1], g.channels, product.channels};
  product.factor = {product.channels};
  product.multiply = [&](ValueId kernel, std::string_view part) {
    return layer.graph.conv(layer.input(), kernel, g.conv, layer.name(part));
  };
  return build_folded(layer, product, "kernel", "kernel_quantizer");
}

}  // namespace

extern constinit const LayerDef folded_convolution{
    .class_names = kClasses,
    .doc = "Convolution with a batch normalization folded into its kernel.",
    .keys = kKeys,
    .ignored = kFoldingIgnored,
    .training = "both folding modes, ema_freeze_delay, moving averages",
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
