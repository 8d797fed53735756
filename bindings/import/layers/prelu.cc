// bindings/import/layers/prelu.cc: relu(x) - alpha·relu(-x), with a learned slope per element,
// shared along `shared_axes`. Source: Keras 2 keras/layers/activation/prelu.py.
#include <algorithm>

#include "bindings/import/expression.h"

namespace qloom::keras::layers {
namespace {

constexpr std::string_view kClasses[] = {"PReLU"};
constexpr std::string_view kKeys[] = {"shared_axes"};

std::vector<std::string_view> weights(const ConfigView&) { return {"alpha"}; }

ValueId build(LayerBuilder& layer) {
  const Shape& shape = layer.shape(layer.input());
  Extents extents;
  for (size_t k = 1; k < shape.size(); ++k) extents.push_back(shape[k].extent());
  if (const ConfigView shared = layer.config("shared_axes"); !shared.is_none())
    for (size_t k = 0; k < shared.size(); ++k) {
      const int64_t axis = shared[k].as_integer();
      if (axis < 1 || axis > std::ssize(extents)) shared[k].fail_expected("an axis, from 1");
      extents[static_cast<size_t>(axis) - 1] = 1;
    }
  Expressions e(layer, "slope");
  const Term alpha = e(layer.weight("alpha", extents, "the input's axes, 1 where shared"));
  const Term x = e(layer.input());
  const Term below = (0.0 - alpha) * e.apply("relu", 0.0 - x);
  return layer.graph.add(e.apply("relu", x).id, below.id, layer.name());
}

}  // namespace

extern constinit const LayerDef prelu{.class_names = kClasses,
                                      .doc = "Rectifier with learned slopes for negative values.",
                                      .keys = kKeys,
                                      .mask = MaskUse::passes,
                                      .weights = weights,
                                      .build = build};

}  // namespace qloom::keras::layers
