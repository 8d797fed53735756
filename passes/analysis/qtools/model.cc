#include "passes/analysis/qtools/model.h"

#include "graph/support/error.h"

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

int64_t checked_product(std::span<const int64_t> extents) {
  int64_t product = 1;
  for (const int64_t n : extents)
    qloom_check(!__builtin_mul_overflow(product, n == kUnknownExtent ? 1 : n, &product),
                "shapes of a layer are so large that 64 bits do not hold a product of them");
  return product;
}

int64_t checked_product(std::initializer_list<int64_t> factors) {
  return checked_product(std::span(factors.begin(), factors.size()));
}

int64_t elements_per_sample(const Extents& shape) {
  return shape.empty() ? 1 : checked_product(std::span(shape).subspan(1));
}

}  // namespace qloom::qtools
