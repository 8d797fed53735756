#include "graph/tensor_type.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ostream>

#include "graph/support/error.h"

namespace qloom {
namespace {

bool is_power(double v) {
  int exponent = 0;
  return std::isfinite(v) && v > 0 && std::frexp(v, &exponent) == 0.5;
}

std::string shortest(double v) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  return {buffer, end};
}

}  // namespace

int64_t Dim::extent() const {
  qloom_assert(is_static(), "the batch symbol has no extent");
  return extent_;
}

Extents bind(const Shape& shape, int64_t batch) {
  Extents out;
  out.reserve(shape.size());
  for (const Dim d : shape) out.push_back(d.bind(batch));
  return out;
}

int64_t elements_per_sample(const Shape& shape) { return element_count(qloom::bind(shape, 1)); }

std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (const Dim d : shape) {
    if (out.size() > 1) out += ", ";
    out += d.is_batch() ? "N" : std::to_string(d.extent());
  }
  return out + "]";
}

Scale Scale::constant(Tensor values) {
  const std::span<const double> v = values.f64();
  qloom_assert(!v.empty(), "a scale without elements");
  // One value everywhere is a scale per tensor: equal types then compare equal.
  const bool uniform = std::all_of(v.begin(), v.end(), [&](double s) { return s == v[0]; });
  if (uniform && v[0] == 1) return {};
  Scale out;
  out.constant_ = uniform ? Tensor::scalar(v[0]) : std::move(values);
  return out;
}

Scale Scale::constant(double value) { return constant(Tensor::scalar(value)); }

Scale Scale::dynamic(ValueId source) {
  qloom_assert(source.valid(), "a dynamic scale needs a value");
  Scale out;
  out.source_ = source;
  return out;
}

bool Scale::is_per_tensor() const { return is_none() || (is_constant() && constant_->size() == 1); }

double Scale::per_tensor() const {
  qloom_assert(is_per_tensor(), "the scale is not one number");
  return constant_ ? constant_->f64()[0] : 1.0;
}

Tensor Scale::values() const {
  qloom_assert(!is_dynamic(), "a dynamic scale has no values before it runs");
  return constant_ ? *constant_ : Tensor::scalar(1.0);
}

bool Scale::is_power_of_two() const {
  if (is_dynamic()) return false;
  if (!constant_) return true;
  const auto v = constant_->f64();
  return std::all_of(v.begin(), v.end(), is_power);
}

bool Scale::operator==(const Scale& other) const {
  if (constant_.has_value() != other.constant_.has_value() || source_ != other.source_)
    return false;
  return !constant_ || constant_->same_bits(*other.constant_);
}

std::string Scale::to_string() const {
  if (is_none()) return "";
  if (is_dynamic()) return join_text(" × scale(%", source_, ")");
  if (is_per_tensor()) return " × " + shortest(per_tensor());
  std::string extents;
  for (const int64_t e : constant_->extents())
    extents += (extents.empty() ? "" : ",") + std::to_string(e);
  return " × scale[" + extents + "]";
}

Tensor TensorType::step() const {
  qloom_assert(has_codes(), "the type ", *this, " has no codes");
  const int fraction = numeric.grid()->fraction;
  const Tensor scales = scale.values();
  std::vector<double> out;
  out.reserve(static_cast<size_t>(scales.size()));
  for (const double s : scales.f64()) out.push_back(std::ldexp(s, -fraction));
  return Tensor(scales.extents(), std::move(out));
}

bool TensorType::on_power_of_two_grid() const {
  return has_codes() && scale.is_per_tensor() && scale.is_power_of_two();
}

std::string TensorType::to_string() const {
  return qloom::to_string(shape) + " " + numeric.to_string() + scale.to_string();
}

std::ostream& operator<<(std::ostream& out, const TensorType& type) {
  return out << type.to_string();
}

}  // namespace qloom
