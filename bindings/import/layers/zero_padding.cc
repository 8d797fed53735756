// bindings/import/layers/zero_padding.cc: zeros around the spatial axes. `padding` is a number, one
// per axis, or a pair (before, after) per axis.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"ZeroPadding1D", "ZeroPadding2D"};
constexpr std::string_view kKeys[] = {"padding", "data_format"};
constexpr int64_t kMaxPadding = int64_t{1} << 31;

int64_t cells(const ConfigView& v) {
  const int64_t n = v.as_integer();
  if (n < 0 || n > kMaxPadding) v.fail_expected("a number of cells, from 0");
  return n;
}

ValueId build(LayerBuilder& layer) {
  const int spatial_axes = layer.class_name().ends_with("1D") ? 1 : 2;
  layer.require_rank(spatial_axes + 2);
  const ConfigView padding = layer.config("padding");
  std::vector<int64_t> before(static_cast<size_t>(spatial_axes) + 2, 0);
  std::vector<int64_t> after = before;
  const auto count = static_cast<size_t>(spatial_axes);
  for (size_t k = 0; k < count; ++k) {
    const size_t axis = k + (layer.channels_first() ? 2 : 1);
    ConfigView v = padding;
    // In one dimension the list is the pair itself; in two it has an entry per axis.
    if (padding.value().array() != nullptr && count == 2) {
      if (padding.size() != count) padding.fail_expected("an entry for each of 2 axes");
      v = padding[k];
    }
    if (v.value().array() != nullptr) {
      if (v.size() != 2) v.fail_expected("a pair (before, after)");
      before[axis] = cells(v[size_t{0}]);
      after[axis] = cells(v[size_t{1}]);
    } else {
      before[axis] = after[axis] = cells(v);
    }
  }
  return layer.graph.pad(layer.input(), before, after, layer.name());
}

}  // namespace

extern constinit const LayerDef zero_padding{.class_names = kClasses,
                                             .doc = "Zeros around the spatial axes.",
                                             .keys = kKeys,
                                             .build = build};

}  // namespace qloom::keras::layers
