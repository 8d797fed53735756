// bindings/import/layers/elu.cc: x where x > 0, else alpha·(e^x - 1).
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"ELU"};
constexpr std::string_view kKeys[] = {"alpha"};

ValueId build(LayerBuilder& layer) {
  ops::Activation elu{.function = "elu"};
  elu.alpha = layer.config("alpha").real_or(1.0);
  return layer.graph.activation(layer.input(), elu, layer.name());
}

}  // namespace

extern constinit const LayerDef elu{.class_names = kClasses,
                                    .doc = "Exponential linear unit.",
                                    .keys = kKeys,
                                    .mask = MaskUse::passes,
                                    .is_per_position = true,
                                    .build = build};

}  // namespace qloom::keras::layers
