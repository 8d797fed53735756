// graph/quantizers/support/scales.h: scales that QKeras takes from the data: which elements share
// one, largest values, least squares, groups.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "graph/quantizer.h"

namespace qloom::quantizers {

/// An argument that QKeras accepts as a number, a list or an array, as a f32 tensor: a number has
/// rank 0, a list rank 1, and {shape=[1, 4], values=[0.5, 1.0, 2.0, 4.0]} any shape. Throws
/// UserError naming quantizer and argument.
[[nodiscard]] Tensor array_argument(const AttributeValue& value, std::string_view quantizer,
                                    std::string_view argument);

/// Elements of a small tensor as elements of a large one that it broadcasts against.
class Broadcast {
 public:
  /// Throws UserError when the shapes do not broadcast; `what` names the small tensor.
  Broadcast(const Tensor& values, const Extents& extents, std::string_view what);
  /// Value for the element with row-major index i of the large tensor.
  [[nodiscard]] float operator[](int64_t i) const {
    return index_.empty() ? values_.f32()[0] : values_.f32()[static_cast<size_t>(index_[i])];
  }

 private:
  Tensor values_;
  std::vector<int32_t> index_;  // empty: one value for all
};

/// Which elements of a tensor share a scale.
class ScaleMap {
 public:
  /// One scale for each position on the axes that are not reduced; extent 1 on the others.
  ScaleMap(const Extents& extents, const std::vector<bool>& reduced);
  /// As above, with `elements[a]` neighbours on axis a sharing a scale (0: axis a is reduced).
  ScaleMap(const Extents& extents, const std::vector<int64_t>& elements);

  /// Largest of each scale's elements; NaN if one is NaN.
  [[nodiscard]] std::vector<float> maximum(std::span<const float> v) const;
  /// Mean of each scale's elements: the sum in double precision, rounded, over the count.
  [[nodiscard]] std::vector<float> mean(std::span<const float> v) const;
  /// One value per scale as a tensor that broadcasts; values of groups are repeated.
  [[nodiscard]] Tensor tensor(const std::vector<float>& values) const;

 private:
  void build(const Extents& extents);
  Extents scales_;                 // number of scales on each axis
  std::vector<int64_t> elements_;  // elements sharing one on each axis
  std::vector<bool> repeated_;     // axes on which tensor() repeats
  std::vector<int32_t> index_;
  int64_t count_ = 1;  // elements per scale
};

/// QKeras's rule for the axes that share a scale. `scale_axis` is None (all but the last axis), a
/// number (all but that one), or a list (all that are not in it, so [-1] reduces all). Throws
/// UserError for a negative number and for anything else.
[[nodiscard]] std::vector<bool> reduced_axes(const AttributeValue& scale_axis, int rank,
                                             std::string_view quantizer);

/// What a quantizer's arguments say about its least-squares scale.
struct ScaleOptions {
  std::string_view quantizer;
  AttributeValue scale_axis = {};
  AttributeValue elements_per_scale = {};
  AttributeValue min_po2_exponent = {};
  AttributeValue max_po2_exponent = {};
  Division division = Division::divide;
};

/// The scale s that minimises Σ(x - s·q)², per scale: mean(x·q) / (mean(q·q) + ε), for "auto_po2"
/// rounded to a power of two and clipped to the exponents. Tensors of rank 0 and 1 have a scale per
/// element. Throws UserError when the groups do not fit.
[[nodiscard]] Tensor least_squares_scale(bool power_of_two, std::span<const float> x,
                                         std::span<const float> q, const Extents& extents,
                                         const ScaleOptions& options);

/// True when two scales are equal element by element.
[[nodiscard]] bool equal_values(const Tensor& a, const Tensor& b);

/// x with subnormal elements replaced by zero.
[[nodiscard]] std::vector<float> flushed(const Tensor& x);

}  // namespace qloom::quantizers
