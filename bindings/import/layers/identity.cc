// bindings/import/layers/identity.cc: layers that do something in training only.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {
    "Dropout",         "SpatialDropout1D", "SpatialDropout2D",       "GaussianNoise",
    "GaussianDropout", "AlphaDropout",     "ActivityRegularization", "Identity"};
constexpr std::string_view kIgnored[] = {"rate",        "noise_shape", "seed", "stddev",
                                         "data_format", "l1",          "l2"};

ValueId build(LayerBuilder& layer) {
  const bool is_nothing = layer.class_name() == "Identity" ||
                          layer.class_name() == "ActivityRegularization" ||
                          layer.config("rate").real_or(0) == 0;
  if (layer.is_training() && !is_nothing)
    layer.fail("its random draws in the training phase are not supported");
  if (layer.class_name() == "Identity" && !layer.is_keras3()) layer.set_mask({});
  return layer.input();
}

}  // namespace

extern constinit const LayerDef identity{.class_names = kClasses,
                                         .doc = "Nothing, at inference.",
                                         .keys = {},
                                         .ignored = kIgnored,
                                         .mask = MaskUse::passes,
                                         .is_per_position = true,
                                         .training = "random draws are refused",
                                         .build = build};

}  // namespace qloom::keras::layers
