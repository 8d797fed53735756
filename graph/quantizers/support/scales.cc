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

Runs::Runs(const Extents& extents, const std::vector<int64_t>& divisors,
           const std::vector<int64_t>& strides)
    : size_(element_count(extents)) {
  // Axes from the inside; an axis goes together with the one inside of it where it continues it.
  std::vector<Axis> axes;
  const auto add = [&](int64_t extent, int64_t stride) {
    if (extent == 1) return;
    if (!axes.empty() && stride == axes.back().stride * axes.back().extent)
      axes.back().extent *= extent;
    else
      axes.push_back({extent, stride});
  };
  for (size_t a = extents.size(); a-- > 0;) {
    if (divisors[a] >= extents[a]) {
      add(extents[a], 0);
    } else {
      add(divisors[a], 0);
      add(extents[a] / divisors[a], strides[a]);
    }
  }
  if (axes.empty()) return;
  // A small tensor is dense, so neighbours go with one element or with neighbours.
  count_ = axes[0].extent;
  step_ = axes[0].stride;
  outer_.assign(axes.rbegin(), axes.rend() - 1);
}

Broadcast::Broadcast(const Tensor& values, const Extents& extents, std::string_view what)
    : values_(values), size_(element_count(extents)) {
  const std::vector<int64_t> ones(extents.size(), 1);
  if (values.size() == 1) {
    runs_ = Runs(extents, ones, std::vector<int64_t>(extents.size(), 0));
    return;
  }
  const Extents& small = values.extents();
  bool fits = small.size() <= extents.size();
  for (size_t a = 0; fits && a < small.size(); ++a) {
    const int64_t large = extents[extents.size() - small.size() + a];
    fits = small[a] == large || small[a] == 1;
  }
  qloom_check(fits, what, " has shape ", text_of(small), ", which does not broadcast against ",
              text_of(extents));
  runs_ = Runs(extents, ones, broadcast_strides(small, extents));
}

std::vector<float> Broadcast::spread() const {
  std::vector<float> all(static_cast<size_t>(size_));
  for_each([&](size_t i, float v) { all[i] = v; });
  return all;
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
  runs_ = Runs(extents, elements_, strides);
}

std::vector<float> ScaleMap::maximum(std::span<const float> v) const {
  std::vector<float> result(static_cast<size_t>(element_count(scales_)),
                            -std::numeric_limits<float>::infinity());
  runs_.for_each([&](int64_t i, int64_t at) {
    const float value = v[static_cast<size_t>(i)];
    float& top = result[static_cast<size_t>(at)];
    if (value > top || std::isnan(value)) top = value;
  });
  return result;
}

template <class Value>
std::vector<float> ScaleMap::mean_of(Value&& value) const {
  std::vector<double> sums(static_cast<size_t>(element_count(scales_)), 0.0);
  double* sum = sums.data();
  runs_.for_each([&](int64_t i, int64_t at) { sum[at] += static_cast<double>(value(i)); });
  std::vector<float> result;
  for (const double s : sums) result.push_back(static_cast<float>(s) / static_cast<float>(count_));
  return result;
}

std::vector<float> ScaleMap::mean(std::span<const float> v) const {
  return mean_of([v](int64_t i) { return v[static_cast<size_t>(i)]; });
}

std::vector<float> ScaleMap::mean_of_products(std::span<const float> a,
                                              std::span<const float> b) const {
  return mean_of(
      [a, b](int64_t i) { return a[static_cast<size_t>(i)] * b[static_cast<size_t>(i)]; });
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
  std::vector<float> repeated(static_cast<size_t>(element_count(full)));
  Runs(full, divisor, strides).for_each([&](int64_t i, int64_t at) {
    repeated[static_cast<size_t>(i)] = values[static_cast<size_t>(at)];
  });
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
  const ScaleMap map = rank <= 1 ? ScaleMap(extents, std::vector<bool>(extents.size(), false))
                       : o.elements_per_scale.is_none()
                           ? ScaleMap(extents, reduced_axes(o.scale_axis, rank, o.quantizer))
                           : ScaleMap(extents, group_elements(extents, o));
  std::vector<float> s = map.mean_of_products(x, q);
  const std::vector<float> denominator = map.mean_of_products(q, q);
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
