// bindings/import/layers/dense.cc: y = act(x · q(kernel) + q(bias)), contraction over the last
// axis. The layer does not quantize its input. Source: QKeras qkeras/qlayers.py, QDense.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Dense", "QDense"};
constexpr std::string_view kKeys[] = {"units", "activation", "use_bias", "kernel_quantizer",
                                      "bias_quantizer"};
constexpr std::string_view kIgnored[] = {"kernel_range", "bias_range"};

std::vector<std::string_view> weights(const ConfigView& config) {
  if (config["use_bias"].bool_or(true)) return {"kernel", "bias"};
  return {"kernel"};
}

ValueId build(LayerBuilder& layer) {
  const int64_t units = layer.config("units").as_positive();
  const ValueId x = layer.input();
  if (layer.rank(x) < 2) layer.fail("its input has no axis but the batch");
  const int64_t channels = layer.shape(x).back().extent();
  const ValueId kernel =
      layer.quantized(layer.weight("kernel", {channels, units}, "input channels, units"),
                      layer.weight_quantizer("kernel_quantizer"), "kernel");
  const bool is_last = !layer.has_bias() && is_identity(layer.activation());
  const ValueId y = layer.graph.dense(x, kernel, layer.name("dense", is_last));
  return layer.add_bias_and_activate(y, units, "units");
}

}  // namespace

extern constinit const LayerDef dense{
    .class_names = kClasses,
    .doc = "Matrix product with a kernel [C, units] over the last axis.",
    .keys = kKeys,
    .ignored = kIgnored,
    .mask = MaskUse::passes,
    .is_per_position = true,
    .weights = weights,
    .build = build};

}  // namespace qloom::keras::layers
