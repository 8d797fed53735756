// bindings/import/layers/masking.cc: time steps whose elements all equal `mask_value` become zeros.
// The mask that Keras sends along is not computed; a layer that would use it refuses (MaskUse).
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Masking"};
constexpr std::string_view kKeys[] = {"mask_value"};

ValueId build(LayerBuilder& layer) {
  return layer.graph.masking(layer.input(), layer.config("mask_value").real_or(0.0), layer.name());
}

}  // namespace

extern constinit const LayerDef masking{.class_names = kClasses,
                                        .doc = "Zeros for masked time steps.",
                                        .keys = kKeys,
                                        .mask = MaskUse::passes,
                                        .build = build};

}  // namespace qloom::keras::layers
