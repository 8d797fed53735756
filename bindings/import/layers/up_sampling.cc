// bindings/import/layers/up_sampling.cc: spatial axes `size` times as long.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"UpSampling1D", "UpSampling2D"};
constexpr std::string_view kKeys[] = {"size", "data_format", "interpolation"};

ValueId build(LayerBuilder& layer) {
  const int spatial_axes = layer.class_name().ends_with("1D") ? 1 : 2;
  layer.require_rank(spatial_axes + 2);
  const auto count = static_cast<size_t>(spatial_axes);
  const ConfigView size = layer.config("size");
  ops::Resize resize;
  resize.scales = size.exists() ? size.as_positives(count) : std::vector<int64_t>(count, 2);
  if (const ConfigView how = layer.config("interpolation"); !how.is_none())
    resize.interpolation = how.as_choice({"nearest", "bilinear"}) == "bilinear"
                               ? ops::Interpolation::bilinear
                               : ops::Interpolation::nearest;
  if (!layer.channels_first()) return layer.graph.resize(layer.input(), resize, layer.name());
  const ValueId x = layer.to_channels_last(layer.input());
  return layer.to_channels_first(layer.graph.resize(x, resize, layer.name("resized")),
                                 layer.name());
}

}  // namespace

extern constinit const LayerDef up_sampling{.class_names = kClasses,
                                            .doc = "Repeats or interpolates along spatial axes.",
                                            .keys = kKeys,
                                            .build = build};

}  // namespace qloom::keras::layers
