#include "graph/quantizers/support/msqe.h"

#include <algorithm>
#include <cmath>

#include "graph/quantizers/support/arithmetic.h"
#include "graph/support/error.h"

namespace qloom::quantizers::msqe {
namespace {

/// Axes that share a scale: all but scale_axis (default: the last) per channel, else all.
std::vector<bool> shared_axes(const Settings& s, int rank) {
  std::vector<bool> shared(static_cast<size_t>(rank), true);
  if (!s.flag("per_channel_scale") || rank == 0) return shared;
  const int64_t axis = s.is_none("scale_axis") ? rank - 1 : s.integer("scale_axis");
  s.check(axis >= 0 && axis < rank, "scale_axis ", axis, " is no axis of a tensor of rank ", rank);
  shared[static_cast<size_t>(axis)] = false;
  return shared;
}

int64_t top_code(const Settings& s) {
  const int64_t bits = s.integer("bits");
  s.check(bits >= 1 && bits <= 24, "bits must be 1 to 24, found ", bits);
  const int64_t levels = (int64_t{1} << bits) - 1;
  return s.flag("keep_negative") ? (levels - 1) / 2 : levels;
}

}  // namespace

Fit::Fit(const Settings& s, const Tensor& x)
    : qn_(s.flag("keep_negative") ? static_cast<float>(top_code(s)) : 0.0f),
      qp_(static_cast<float>(top_code(s))),
      extents_(x.extents()),
      map_(x.extents(), shared_axes(s, x.rank())),
      values_(flushed(x)),
      weights_(values_.size(), 1.0f) {
  if (!s.flag("keep_negative"))
    for (float& v : values_) v = v > 0 || std::isnan(v) ? v : 0.0f;
}

std::vector<float> Fit::spread(const std::vector<float>& scale) const {
  return Broadcast(map_.tensor(scale), extents_, "scale").spread();
}

std::vector<float> Fit::maximum_magnitude() const {
  std::vector<float> magnitudes = values_;
  for (float& v : magnitudes) v = std::fabs(v);
  return map_.maximum(magnitudes);
}

std::vector<float> Fit::deviation() const {
  const std::vector<float> mean = spread(map_.mean(values_));
  std::vector<float> squares(values_.size());
  for (size_t i = 0; i < squares.size(); ++i) {
    const float d = values_[i] - mean[i];
    squares[i] = d * d;
  }
  std::vector<float> result = map_.mean(squares);
  for (float& v : result) v = std::sqrt(v);
  return result;
}

void Fit::mask(const std::vector<float>& limit) {
  const std::vector<float> by = spread(limit);
  for (size_t i = 0; i < weights_.size(); ++i)
    weights_[i] = std::fabs(values_[i]) <= by[i] ? 1.0f : 0.0f;
}

std::vector<float> Fit::error(const std::vector<float>& scale) const {
  const std::vector<float> by = spread(scale);
  std::vector<float> errors(values_.size());
  for (size_t i = 0; i < errors.size(); ++i) {
    const float code = clip(std::rint(values_[i] / by[i]), -qn_, qp_);
    const float d = values_[i] - by[i] * code;
    errors[i] = weights_[i] * (d * d);
  }
  return map_.mean(errors);  // the number of elements is the same for all: as good as the sum
}

std::vector<float> Fit::least_squares(const std::vector<float>& scale) const {
  const std::vector<float> by = spread(scale);
  std::vector<float> xq(values_.size());
  std::vector<float> qq(values_.size());
  for (size_t i = 0; i < xq.size(); ++i) {
    const float code = clip(std::rint(values_[i] / by[i]), -qn_, qp_);
    const float root = std::sqrt(weights_[i]);
    const float x = values_[i] * root;
    const float q = code * root;
    xq[i] = q * x;
    qq[i] = q * q;
  }
  std::vector<float> result = map_.mean(xq);
  const std::vector<float> denominator = map_.mean(qq);
  for (size_t i = 0; i < result.size(); ++i) {
    const float s = result[i] / (denominator[i] + kEpsilon);
    result[i] = pow2(std::rint(log2(s + kEpsilon)));
  }
  return result;
}

Quantized Fit::quantize(const Tensor& x, const std::vector<float>& scale) const {
  const std::vector<float> by = spread(scale);
  Outcome out;
  for (size_t i = 0; i < values_.size(); ++i) {
    const float t = values_[i] / by[i];
    out.codes.push_back(clip(round_through(t), -qn_, qp_));
    out.y.push_back(flush(by[i] * out.codes.back()));
  }
  out.q = out.y;
  const Tensor attribute = map_.tensor(scale);
  return assemble(x, std::move(out), scaled(attribute, 1.0), attribute);
}

float log2(float v) { return log2_by_ln(v, Division::divide); }

Numeric values(const Settings& s) {
  const int64_t top = top_code(s);
  return integer_set(s.flag("keep_negative") ? -top : 0, top, 0);
}

double max(const Settings& s) { return static_cast<double>(top_code(s)); }

double min(const Settings& s) {
  return s.flag("keep_negative") ? -static_cast<double>(top_code(s)) : 0.0;
}

ScaleRule scale(const Attributes&) { return {.kind = ScaleRule::Kind::data, .power_of_two = true}; }

void accept_config(Attributes& a) {
  for (const std::string_view name : {"name", "trainable", "dtype", "qn", "qp", "scaled_axes"})
    a.remove(name);
}

std::string to_string(const Settings& s, const Attributes& config) {
  std::string text = std::string(s.quantizer()) + "(";
  for (const auto& [name, value] : config.entries())
    text += (text.back() == '(' ? "" : ",") + name + "=" + python_text(value);
  return text + ")";
}

}  // namespace qloom::quantizers::msqe
