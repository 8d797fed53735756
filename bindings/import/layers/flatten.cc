// bindings/import/layers/flatten.cc: all axes but the batch become one, in row-major order.
// channels_first is transposed to channels_last first, as Keras does.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Flatten"};
constexpr std::string_view kKeys[] = {"data_format"};

ValueId build(LayerBuilder& layer) {
  ValueId x = layer.input();
  if (layer.channels_first() && layer.rank(x) > 2) x = layer.to_channels_last(x);
  return layer.graph.reshape(x, {elements_per_sample(layer.shape(x))}, layer.name());
}

}  // namespace

extern constinit const LayerDef flatten{
    .class_names = kClasses, .doc = "[N, …] → [N, product].", .keys = kKeys, .build = build};

}  // namespace qloom::keras::layers
