// bindings/import/layers/zero_padding.cc: zeros around the spatial axes. `padding` is a number, one
// per axis, or a pair (before, after) per axis.
#include "bindings/import/layer.h"
#include "bindings/import/sides.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"ZeroPadding1D", "ZeroPadding2D"};
constexpr std::string_view kKeys[] = {"padding", "data_format"};

ValueId build(LayerBuilder& layer) {
  const int spatial_axes = layer.class_name().ends_with("1D") ? 1 : 2;
  layer.require_rank(spatial_axes + 2);
  const std::vector<Sides> padding =
      read_sides(layer.config("padding"), static_cast<size_t>(spatial_axes));
  std::vector<int64_t> before(static_cast<size_t>(spatial_axes) + 2, 0);
  std::vector<int64_t> after = before;
  for (size_t k = 0; k < padding.size(); ++k) {
    const size_t axis = k + (layer.channels_first() ? 2 : 1);
    before[axis] = padding[k].before;
    after[axis] = padding[k].after;
  }
  return layer.graph.pad(layer.input(), before, after, layer.name());
}

}  // namespace

extern constinit const LayerDef zero_padding{.class_names = kClasses,
                                             .doc = "Zeros around the spatial axes.",
                                             .keys = kKeys,
                                             .build = build};

}  // namespace qloom::keras::layers
