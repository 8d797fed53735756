// graph/quantizers/support/msqe.h: what QKeras's two experimental quantizers share: symmetric codes
// -qn..qp and power-of-two scales, per tensor or per channel, that fit the data.
//
// Both are Keras layers with a state (scale exponents, moments of gradients). At inference the
// first call takes the scale from the data and further calls on it repeat that; this is the forward
// pass here. Moments of gradients change in training only: the weights of the squared error are the
// outlier mask.
#pragma once

#include "graph/quantizers/support/scales.h"
#include "graph/quantizers/support/settings.h"

namespace qloom::quantizers::msqe {

/// One tensor with its scale layout and error weights.
class Fit {
 public:
  Fit(const Settings& s, const Tensor& x);

  [[nodiscard]] float top() const { return qp_; }
  [[nodiscard]] const ScaleMap& map() const { return map_; }
  [[nodiscard]] const std::vector<float>& values() const { return values_; }
  /// Axes before the scale's axis per channel, else all: where QKeras takes the first maximum.
  [[nodiscard]] std::vector<float> maximum_magnitude() const;
  /// Population standard deviation of each scale's elements.
  [[nodiscard]] std::vector<float> deviation() const;
  /// Elements beyond limit (one per scale) get weight 0.
  void mask(const std::vector<float>& limit);
  /// Weighted squared error of each scale's elements.
  [[nodiscard]] std::vector<float> error(const std::vector<float>& scale) const;
  /// The power of two that least squares gives for the codes under `scale`.
  [[nodiscard]] std::vector<float> least_squares(const std::vector<float>& scale) const;
  [[nodiscard]] Quantized quantize(const Tensor& x, const std::vector<float>& scale) const;

 private:
  [[nodiscard]] std::vector<float> spread(const std::vector<float>& scale) const;
  float qn_, qp_;
  Extents extents_;
  ScaleMap map_;
  std::vector<float> values_, weights_;
};

/// log2 as these classes take it: fl(ln(v)) / fl(ln 2), unrounded.
[[nodiscard]] float log2(float v);

[[nodiscard]] Numeric values(const Settings& s);
[[nodiscard]] double max(const Settings& s);
[[nodiscard]] double min(const Settings& s);
[[nodiscard]] ScaleRule scale(const Attributes&);
/// Keys that Keras and the build add.
void accept_config(Attributes& a);
/// name(key=value, …) with every parameter.
[[nodiscard]] std::string to_string(const Settings& s, const Attributes& config);

}  // namespace qloom::quantizers::msqe
