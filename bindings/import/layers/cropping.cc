// bindings/import/layers/cropping.cc: spatial axes without their first and last elements.
// `cropping` is a number, one per axis, or a pair (before, after) per axis, as ZeroPadding's.
#include "bindings/import/layer.h"
#include "bindings/import/sides.h"
#include "graph/support/error.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Cropping1D", "Cropping2D"};
constexpr std::string_view kKeys[] = {"cropping", "data_format"};

ValueId build(LayerBuilder& layer) {
  const int spatial_axes = layer.class_name().ends_with("1D") ? 1 : 2;
  layer.require_rank(spatial_axes + 2);
  const std::vector<Sides> cropping =
      read_sides(layer.config("cropping"), static_cast<size_t>(spatial_axes));
  const Shape shape = layer.shape(layer.input());
  ValueId x = layer.input();
  for (size_t k = 0; k < cropping.size(); ++k) {
    const size_t axis = k + (layer.channels_first() ? 2 : 1);
    const auto [before, after] = cropping[k];
    const int64_t left = shape[axis].extent() - before - after;
    if (left < 1)
      layer.config("cropping")
          .fail(join_text("nothing is left of ", shape[axis].extent(), " elements on spatial axis ",
                          k));
    const ops::Slice slice{.axis = static_cast<int64_t>(axis), .begin = before, .count = left};
    x = layer.graph.slice(x, slice, layer.name("cropped", k + 1 == cropping.size()));
  }
  return x;
}

}  // namespace

extern constinit const LayerDef cropping{.class_names = kClasses,
                                         .doc = "Takes elements off both ends of spatial axes.",
                                         .keys = kKeys,
                                         .build = build};

}  // namespace qloom::keras::layers
