#include "graph/quantizers/support/scales.h"

#include <algorithm>
#include <limits>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/support/error.h"

namespace qloom::quantizers {
namespace {

std::string text_of(const Extents& extents) {
  return AttributeValue(AttributeValue::Integers(extents)).to_string();
}

/// Row-major index of each element of `extents` into a tensor of extents `small`, where position p
/// on axis a is position p / divisor[a] there.
std::vector<int32_t> indices(const Extents& extents, const std::vector<int64_t>& divisor,
                             const std::vector<int64_t>& strides) {
  std::vector<int32_t> index(static_cast<size_t>(element_count(extents)));
  std::vector<int64_t> position(extents.size(), 0);
  for (int32_t& entry : index) {
    int64_t at = 0;
    for (size_t a = 0; a < extents.size(); ++a) at += position[a] / divisor[a] * strides[a];
    entry = static_cast<int32_t>(at);
    for (size_t a = extents.size(); a-- > 0;) {
      if (++position[a] < extents[a]) break;
      position[a] = 0;
    }
  }
  return index;
}

/// Elements that share a scale on each axis, from scale_axis and elements_per_scale; 0 = reduced.
std::vector<int64_t> group_elements(const Extents& extents, const ScaleOptions& o) {
  const std::string_view name = o.quantizer;
  qloom_check(!o.scale_axis.is_none(), name, ": elements_per_scale needs scale_axis");
  const bool many_axes = o.scale_axis.is_list();
  const bool many_elements = o.elements_per_scale.is_list();
  qloom_check(many_axes || !many_elements, name, ": scale_axis is the number ", o.scale_axis,
              " while elements_per_scale is the list ", o.elements_per_scale);
  const auto axes =
      many_axes ? o.scale_axis.as_integers() : AttributeValue::Integers{o.scale_axis.as_integer()};
  const auto elements =
      many_elements ? o.elements_per_scale.as_integers()
                    : AttributeValue::Integers(axes.size(), o.elements_per_scale.as_integer());
  qloom_check(axes.size() == elements.size(), name, ": scale_axis lists ", axes.size(),
              " axes, elements_per_scale ", elements.size(), " numbers");
  std::vector<int64_t> result(extents.size(), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    qloom_check(axes[i] >= 0 && axes[i] < std::ssize(extents), name, ": scale_axis ", axes[i],
                " is no axis of a tensor of shape ", text_of(extents));
    const auto axis = static_cast<size_t>(axes[i]);
    qloom_check(elements[i] > 0 && extents[axis] % elements[i] == 0, name, ": axis ", axis,
                " has extent ", extents[axis], ", which ", elements[i],
                " elements per scale do not divide");
    result[axis] = elements[i];
  }
  return result;
}

}  // namespace

Tensor array_argument(const AttributeValue& value, std::string_view quantizer,
                      std::string_view argument) {
  const auto floats = [](const AttributeValue::Reals& reals) {
    return std::vector<float>(reals.begin(), reals.end());
  };
  if (value.is_number()) return Tensor::scalar(static_cast<float>(value.as_real()));
  if (value.is_list()) {
    const auto reals = value.as_reals();
    return Tensor({std::ssize(reals)}, floats(reals));
  }
  if (value.is_attributes()) {
    const AttributeValue* shape = value.as_attributes().find("shape");
    const AttributeValue* values = value.as_attributes().find("values");
    if (shape != nullptr && values != nullptr && shape->is_list() && values->is_list()) {
      const auto extents = shape->as_integers();
      const auto reals = values->as_reals();
      qloom_check(element_count(extents) == std::ssize(reals), quantizer, ": ", argument, " has ",
                  reals.size(), " values for the shape ", *shape);
      return Tensor(extents, floats(reals));
    }
  }
  throw UserError(
      join_text(quantizer, ": ", argument, " must be a number or an array, found ", value));
}

Broadcast::Broadcast(const Tensor& values, const Extents& extents, std::string_view what)
    : values_(values) {
  if (values.size() == 1) return;
  const Extents& small = values.extents();
  bool fits = small.size() <= extents.size();
  for (size_t a = 0; fits && a < small.size(); ++a) {
    const int64_t large = extents[extents.size() - small.size() + a];
    fits = small[a] == large || small[a] == 1;
  }
  qloom_check(fits, what, " has shape ", text_of(small), ", which does not broadcast against ",
              text_of(extents));
  index_ =
      indices(extents, std::vector<int64_t>(extents.size(), 1), broadcast_strides(small, extents));
}

ScaleMap::ScaleMap(const Extents& extents, const std::vector<bool>& reduced)
    : repeated_(extents.size(), false) {
  for (size_t a = 0; a < extents.size(); ++a) {
    scales_.push_back(reduced[a] ? 1 : extents[a]);
    elements_.push_back(reduced[a] ? std::max<int64_t>(extents[a], 1) : 1);
  }
  build(extents);
}

ScaleMap::ScaleMap(const Extents& extents, const std::vector<int64_t>& elements) {
  for (size_t a = 0; a < extents.size(); ++a) {
    const bool reduced = elements[a] == 0;
    repeated_.push_back(!reduced);
    elements_.push_back(reduced ? std::max<int64_t>(extents[a], 1) : elements[a]);
    scales_.push_back(reduced ? 1 : extents[a] / elements[a]);
  }
  build(extents);
}

void ScaleMap::build(const Extents& extents) {
  std::vector<int64_t> strides(extents.size(), 1);
  for (size_t a = extents.size(); a-- > 1;) strides[a - 1] = strides[a] * scales_[a];
  for (const int64_t n : elements_) count_ *= n;
  index_ = indices(extents, elements_, strides);
}

std::vector<float> ScaleMap::maximum(std::span<const float> v) const {
  std::vector<float> result(static_cast<size_t>(element_count(scales_)),
                            -std::numeric_limits<float>::infinity());
  for (size_t i = 0; i < v.size(); ++i) {
    float& top = result[static_cast<size_t>(index_[i])];
    if (v[i] > top || std::isnan(v[i])) top = v[i];
  }
  return result;
}

std::vector<float> ScaleMap::mean(std::span<const float> v) const {
  std::vector<double> sums(static_cast<size_t>(element_count(scales_)), 0.0);
  for (size_t i = 0; i < v.size(); ++i) sums[static_cast<size_t>(index_[i])] += v[i];
  std::vector<float> result;
  for (const double sum : sums)
    result.push_back(static_cast<float>(sum) / static_cast<float>(count_));
  return result;
}

Tensor ScaleMap::tensor(const std::vector<float>& values) const {
  if (std::ranges::none_of(repeated_, [](bool r) { return r; })) return Tensor(scales_, values);
  Extents full;
  std::vector<int64_t> divisor;
  std::vector<int64_t> strides(scales_.size(), 1);
  for (size_t a = scales_.size(); a-- > 1;) strides[a - 1] = strides[a] * scales_[a];
  for (size_t a = 0; a < scales_.size(); ++a) {
    full.push_back(repeated_[a] ? scales_[a] * elements_[a] : 1);
    divisor.push_back(elements_[a]);
  }
  std::vector<float> repeated;
  for (const int32_t i : indices(full, divisor, strides))
    repeated.push_back(values[static_cast<size_t>(i)]);
  return Tensor(full, std::move(repeated));
}

std::vector<bool> reduced_axes(const AttributeValue& scale_axis, int rank,
                               std::string_view quantizer) {
  std::vector<bool> reduced(static_cast<size_t>(rank), true);
  if (scale_axis.is_none()) {
    if (rank > 0) reduced.back() = false;
  } else if (scale_axis.is_list()) {
    for (const int64_t axis : scale_axis.as_integers())
      if (axis >= 0 && axis < rank) reduced[static_cast<size_t>(axis)] = false;
  } else {
    qloom_check(scale_axis.is_number(), quantizer,
                ": scale_axis must be a number or a list of numbers, found ", scale_axis);
    const int64_t axis = scale_axis.as_integer();
    qloom_check(axis >= 0, quantizer, ": scale_axis must not be negative, found ", axis);
    if (axis < rank) reduced[static_cast<size_t>(axis)] = false;
  }
  return reduced;
}

Tensor least_squares_scale(bool power_of_two, std::span<const float> x, std::span<const float> q,
                           const Extents& extents, const ScaleOptions& o) {
  const auto rank = static_cast<int>(extents.size());
  std::vector<float> xq(x.size());
  std::vector<float> qq(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    xq[i] = x[i] * q[i];
    qq[i] = q[i] * q[i];
  }
  const ScaleMap map = rank <= 1 ? ScaleMap(extents, std::vector<bool>(extents.size(), false))
                       : o.elements_per_scale.is_none()
                           ? ScaleMap(extents, reduced_axes(o.scale_axis, rank, o.quantizer))
                           : ScaleMap(extents, group_elements(extents, o));
  std::vector<float> s = map.mean(xq);
  const std::vector<float> denominator = map.mean(qq);
  for (size_t i = 0; i < s.size(); ++i) s[i] /= denominator[i] + kEpsilon;
  if (power_of_two) {
    const bool bounded = !o.min_po2_exponent.is_none() || !o.max_po2_exponent.is_none();
    const float lo = o.min_po2_exponent.is_none()
                         ? -std::numeric_limits<float>::infinity()
                         : pow2(static_cast<float>(o.min_po2_exponent.as_real()));
    const float hi = o.max_po2_exponent.is_none()
                         ? std::numeric_limits<float>::infinity()
                         : pow2(static_cast<float>(o.max_po2_exponent.as_real()));
    for (float& v : s) {
      v = nearest_power_of_two(v + kEpsilon, o.division);
      if (bounded) v = clip(v, lo, hi);
    }
  }
  return map.tensor(s);
}

bool equal_values(const Tensor& a, const Tensor& b) {
  return a.extents() == b.extents() && std::ranges::equal(a.f32(), b.f32());
}

std::vector<float> flushed(const Tensor& x) {
  std::vector<float> result(x.f32().begin(), x.f32().end());
  for (float& v : result) v = flush(v);
  return result;
}

}  // namespace qloom::quantizers
