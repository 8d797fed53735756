// bindings/import/layers/relu.cc: max_value where x >= max_value, x where threshold < x, else
// negative_slope · (x - threshold). Source: Keras 2 keras/layers/activation/relu.py; at the
// threshold itself the result is 0 (checked by execution). ThresholdedReLU has a threshold alone,
// called theta, 1 by default.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"ReLU", "ThresholdedReLU"};
constexpr std::string_view kKeys[] = {"max_value", "negative_slope", "threshold", "theta"};

// Keras takes null for its default.
double real_or_0(const ConfigView& v) { return v.is_none() ? 0.0 : v.as_real(); }

ValueId build(LayerBuilder& layer) {
  ops::Activation relu;
  relu.function = "relu";
  if (layer.class_name() == "ThresholdedReLU") {
    const ConfigView theta = layer.config("theta");
    relu.threshold = theta.real_or(1.0);
    if (relu.threshold < 0) theta.fail_expected("a number that is not negative");
    return layer.graph.activation(layer.input(), relu, layer.name());
  }
  if (const ConfigView max = layer.config("max_value"); !max.is_none()) {
    relu.max_value = max.as_real();
    if (*relu.max_value < 0) max.fail_expected("a number that is not negative");
  }
  relu.negative_slope = real_or_0(layer.config("negative_slope"));
  relu.threshold = real_or_0(layer.config("threshold"));
  return layer.graph.activation(layer.input(), relu, layer.name());
}

}  // namespace

extern constinit const LayerDef relu{.class_names = kClasses,
                                     .doc = "Rectifier with limit, slope and threshold.",
                                     .keys = kKeys,
                                     .mask = MaskUse::passes,
                                     .is_per_position = true,
                                     .build = build};

}  // namespace qloom::keras::layers
