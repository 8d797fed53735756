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

/// Which element of a small tensor goes with each element of a large one: runs of neighbours that
/// go with one element, or with neighbours.
class Runs {
 public:
  Runs() = default;  ///< no element
  /// Position p on axis a of the large tensor is position p / divisors[a] of the small one, which
  /// has these strides in elements.
  Runs(const Extents& extents, const std::vector<int64_t>& divisors,
       const std::vector<int64_t>& strides);

  /// each(first, count, at, step): the large tensor's elements first, first + 1, … go with the
  /// small one's at, at + step, …; step is 0 or 1. In ascending order.
  template <class Each>
  void for_each_run(Each&& each) const {
    std::vector<int64_t> position(outer_.size(), 0);
    int64_t at = 0;
    for (int64_t first = 0; first < size_; first += count_) {
      each(first, count_, at, step_);
      for (size_t a = outer_.size(); a-- > 0;) {
        at += outer_[a].stride;
        if (++position[a] < outer_[a].extent) break;
        at -= outer_[a].stride * outer_[a].extent;
        position[a] = 0;
      }
    }
  }
  /// each(i, at): element i of the large tensor goes with element `at` of the small one.
  template <class Each>
  void for_each(Each&& each) const {
    for_each_run([&](int64_t first, int64_t count, int64_t at, int64_t step) {
      if (step == 0)
        for (int64_t k = 0; k < count; ++k) each(first + k, at);
      else
        for (int64_t k = 0; k < count; ++k) each(first + k, at + k);
    });
  }

 private:
  struct Axis {
    int64_t extent = 1, stride = 0;
  };
  std::vector<Axis> outer_;
  int64_t size_ = 0, count_ = 1, step_ = 0;
};

/// Elements of a small tensor as elements of a large one that it broadcasts against.
class Broadcast {
 public:
  /// Throws UserError when the shapes do not broadcast; `what` names the small tensor.
  Broadcast(const Tensor& values, const Extents& extents, std::string_view what);
  /// each(i, v): v goes with the element of row-major index i of the large tensor. In ascending
  /// order.
  template <class Each>
  void for_each(Each&& each) const {
    const float* values = values_.f32().data();
    runs_.for_each([&](int64_t i, int64_t at) { each(static_cast<size_t>(i), values[at]); });
  }
  /// All of them.
  [[nodiscard]] std::vector<float> spread() const;

 private:
  Tensor values_;
  Runs runs_;
  int64_t size_ = 0;
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
  /// As mean, of products that are rounded before they are added.
  [[nodiscard]] std::vector<float> mean_of_products(std::span<const float> a,
                                                    std::span<const float> b) const;
  /// One value per scale as a tensor that broadcasts; values of groups are repeated.
  [[nodiscard]] Tensor tensor(const std::vector<float>& values) const;

 private:
  void build(const Extents& extents);
  template <class Value>
  [[nodiscard]] std::vector<float> mean_of(Value&& value) const;
  Extents scales_;                 // number of scales on each axis
  std::vector<int64_t> elements_;  // elements sharing one on each axis
  std::vector<bool> repeated_;     // axes on which tensor() repeats
  Runs runs_;
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
