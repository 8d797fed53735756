#include "passes/analysis/qtools/model.h"

namespace qloom::qtools {

const QuantizerOrFunction& ModelLayer::quantizer(size_t index) const {
  static const QuantizerOrFunction kNone;
  return quantizers && index < quantizers->size() ? (*quantizers)[index] : kNone;
}

int64_t QtoolsModel::keras_index(size_t layer) const {
  int64_t index = 0;
  for (size_t k = 0; k < layer; ++k)
    index += is_functional || layers[k].class_name != "InputLayer" ? 1 : 0;
  return index;
}

int64_t elements_per_sample(const Extents& shape) {
  int64_t product = 1;
  for (size_t axis = 1; axis < shape.size(); ++axis)
    product *= shape[axis] == kUnknownExtent ? 1 : shape[axis];
  return product;
}

}  // namespace qloom::qtools
