// tests/examples/contributing/thresholded_relu.cc: x where x > theta, else 0.
// Source: Keras 2 keras/layers/activation/thresholded_relu.py.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"ThresholdedReLU"};
constexpr std::string_view kKeys[] = {"theta"};

ValueId build(LayerBuilder& layer) {
  const ConfigView theta = layer.config("theta");
  ops::Activation relu{.function = "relu"};
  relu.threshold = theta.exists() ? theta.as_real() : 1.0;
  if (relu.threshold < 0) theta.fail_expected("a number that is not negative");
  return layer.graph.activation(layer.input(), relu, layer.name());
}

}  // namespace

extern constinit const LayerDef thresholded_relu{.class_names = kClasses,
                                                 .doc = "x above a threshold, else 0.",
                                                 .keys = kKeys,
                                                 .mask = MaskUse::passes,
                                                 .build = build};

}  // namespace qloom::keras::layers
