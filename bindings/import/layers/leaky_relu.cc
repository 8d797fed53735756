// bindings/import/layers/leaky_relu.cc: x where x > 0, else slope · x. The key of the slope is
// `alpha` in Keras 2 and `negative_slope` in Keras 3; its default is 0.3 in both.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"LeakyReLU"};
constexpr std::string_view kKeys[] = {"alpha", "negative_slope"};
constexpr double kDefaultSlope = 0.3;

ValueId build(LayerBuilder& layer) {
  const ConfigView alpha = layer.config("alpha");
  const ConfigView slope = alpha.exists() ? alpha : layer.config("negative_slope");
  ops::Activation leaky;
  leaky.function = "leaky_relu";
  leaky.negative_slope = slope.real_or(kDefaultSlope);
  return layer.graph.activation(layer.input(), leaky, layer.name());
}

}  // namespace

extern constinit const LayerDef leaky_relu{.class_names = kClasses,
                                           .doc = "Rectifier with a slope for negative values.",
                                           .keys = kKeys,
                                           .mask = MaskUse::passes,
                                           .is_per_position = true,
                                           .build = build};

}  // namespace qloom::keras::layers
