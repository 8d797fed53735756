// graph/quantizers/support/po2.h: what quantized_po2 and quantized_relu_po2 share.
#pragma once

#include "graph/quantizers/support/settings.h"

namespace qloom::quantizers {

/// The exponents that a power-of-two quantizer chooses from.
struct Po2Exponents {
  /// `magnitude_bits`: bits without the sign of the value. One of them is the exponent's sign when
  /// max_value is None or above 1.
  Po2Exponents(const Settings& s, int64_t magnitude_bits);

  /// Exponent for the magnitude a >= 0: the rounded logarithm of a, clipped; the lowest for
  /// a < 1e-7. Doubled in quadratic mode (but not the lowest). NaN for NaN.
  [[nodiscard]] float of(float a, Division division) const;
  /// The same; with draws one of the exponents around a, so that the mean of 2^exponent is a.
  [[nodiscard]] float drawn(float a, Division division, Draws* draws) const;
  /// Whether another float32 logarithm may choose another exponent for the magnitude a: within 32
  /// units in the last place of a threshold, 128 for exponents beyond 32. TensorFlow's logarithm
  /// differs there from the correctly rounded one, and from itself by position in the tensor.
  [[nodiscard]] bool uncertain(float a) const;
  /// Members: signed or not, with zero where a power of two is subnormal. float32 when the
  /// exponents are no integers.
  [[nodiscard]] Numeric values(bool is_signed, bool with_noise) const;
  /// max(1, max_value), or max(1, 2^max_exponent).
  [[nodiscard]] double bound() const;

  float lo, hi;
  bool quadratic, floor;
  bool has_max = false;
  double max_value = 0;
};

/// log2_rounding must be "rnd" or "floor", max_value absent or at least 0.
void check_po2(const Settings& s);

/// int(max_value) where QKeras prints it; throws UserError where it raises.
[[nodiscard]] std::string po2_text(const Settings& s);

/// Codes of powers of two on the grid of `values`, if it has one.
void add_codes(Outcome& out, const Numeric& values, std::optional<Tensor>& step);

}  // namespace qloom::quantizers
