// bindings/import/layers/masking.cc: time steps whose elements all equal `mask_value` become zeros,
// and a mask says which these are.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Masking"};
constexpr std::string_view kKeys[] = {"mask_value"};

ValueId build(LayerBuilder& layer) {
  const double value = layer.config("mask_value").real_or(0.0);
  layer.set_mask(layer.graph.step_mask(layer.input(), value, layer.name("mask")));
  return layer.graph.masking(layer.input(), value, layer.name());
}

}  // namespace

extern constinit const LayerDef masking{.class_names = kClasses,
                                        .doc = "Zeros for masked time steps.",
                                        .keys = kKeys,
                                        .mask = MaskUse::builds,
                                        .build = build};

}  // namespace qloom::keras::layers
