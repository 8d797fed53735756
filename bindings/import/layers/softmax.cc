// bindings/import/layers/softmax.cc: exp(x - max) / sum along one axis.
#include "bindings/import/layer.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"Softmax"};
constexpr std::string_view kKeys[] = {"axis"};

ValueId build(LayerBuilder& layer) {
  const ConfigView axis_view = layer.config("axis");
  const int64_t axis = axis_view.integer_or(-1);
  const int rank = layer.rank(layer.input());
  const int64_t place = axis < 0 ? axis + rank : axis;
  if (place < 1 || place >= rank) axis_view.fail_expected("an axis of the input, not the batch");
  return layer.graph.softmax(layer.input(), place, layer.name());
}

}  // namespace

extern constinit const LayerDef softmax{
    .class_names = kClasses,
    .doc = "Softmax along one axis.",
    .keys = kKeys,
    .mask = MaskUse::refuses,  // masked entries would count as -1e9
    .build = build};

}  // namespace qloom::keras::layers
