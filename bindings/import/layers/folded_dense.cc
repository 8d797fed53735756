// bindings/import/layers/folded_dense.cc: a dense layer with the batch normalization behind it
// folded into its kernel (bindings/import/folding.h). Only qkeras-v3 has it.
#include "bindings/import/folding.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"QDenseBatchnorm"};
constexpr std::string_view kOwnKeys[] = {"units", "kernel_quantizer"};
constexpr auto kKeys = with_folding_keys(kOwnKeys);

std::vector<std::string_view> weights(const ConfigView& config) {
  return folded_weights("kernel", config);
}

ValueId build(LayerBuilder& layer) {
  if (layer.rank(layer.input()) < 2) layer.fail("its input has no axis but the batch");
  FoldedProduct product;
  product.channels = layer.config("units").as_positive();
  product.kernel = {layer.shape(layer.input()).back().extent(), product.channels};
  product.factor = {product.channels};
  product.multiply = [&](ValueId kernel, std::string_view part) {
    return layer.graph.dense(layer.input(), kernel, layer.name(part));
  };
  return build_folded(layer, product, "kernel", "kernel_quantizer");
}

}  // namespace

extern constinit const LayerDef folded_dense{
    .class_names = kClasses,
    .doc = "Dense layer with a batch normalization folded into its kernel.",
    .keys = kKeys,
    .ignored = kFoldingIgnored,
    .mask = MaskUse::passes,
    .training = "both folding modes, ema_freeze_delay, moving averages",
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
