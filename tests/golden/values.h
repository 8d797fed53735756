// tests/golden/values.h: values of a bundle as values of the library, and comparisons that say
// where they differ.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "bindings/golden/bundle.h"
#include "graph/attributes.h"
#include "graph/tensor.h"

namespace qloom::golden {

/// A plain JSON value, a tensor or a list as an attribute. Tensors of rank 1 become lists, others
/// {shape=…, values=…}; the texts "inf" and "nan" stay texts. `integers`: a tensor of integers.
[[nodiscard]] AttributeValue to_attribute(const Bundle& bundle, const Json& value,
                                          bool integers = false);

/// True when the attribute equals the JSON value as Python compares: 1 == 1.0 == True. Arrays are
/// compared by their values, without their shape.
[[nodiscard]] bool equals(const Bundle& bundle, const AttributeValue& got, const Json& expected);

/// Distance of two floats in steps of float32; NaN equals NaN, +0 equals -0.
[[nodiscard]] int64_t ulps(float a, float b);

/// Size of one step of float32 at |v|.
[[nodiscard]] double ulp_of(double v);

/// Row-major index as "[2, 0, 5]".
[[nodiscard]] std::string index_text(int64_t index, const Extents& extents);

/// Name, index and both values with all their digits.
[[nodiscard]] std::string difference_text(std::string_view what, int64_t index,
                                          const Extents& extents, double got, double expected);

/// Which elements need not agree, and how close the others must be.
struct Tolerance {
  /// Largest distance |got - expected| for element i; 0: equal bits but for the sign of zero.
  std::function<double(int64_t)> absolute = {};
  std::function<bool(int64_t)> ignore = {};
};

/// Empty when the tensors agree, else a sentence on the first difference. Extents must be equal, a
/// single element counting as any shape of one element.
[[nodiscard]] std::string compare(std::string_view what, const Tensor& got, const Tensor& expected,
                                  const Tolerance& tolerance = {});

}  // namespace qloom::golden
