// graph/quantizers/support/bits.h: what quantized_bits and quantized_hswish share.
#pragma once

#include "graph/quantizers/support/settings.h"

namespace qloom::quantizers::bits {

/// A string alpha makes the class symmetric; a fixed scale needs one.
void construct(std::string_view quantizer, Attributes& a);
void set_trainable_parameter(Attributes& a);
/// quantized_bits of x. `s` has all of quantized_bits's arguments.
[[nodiscard]] Quantized forward(const Settings& s, const Tensor& x, const QuantizeOptions& options);
[[nodiscard]] Numeric values(const Settings& s);
/// The scale does not depend on the tensor: alpha is no text, or post_training_scale is given (one
/// for all or one per channel of the last axis).
[[nodiscard]] bool has_fixed_scale(const Settings& s);
[[nodiscard]] ScaleRule scale(const Settings& s);
/// Scales from the data: use_stochastic_rounding has no effect.
[[nodiscard]] bool draws(const Settings& s);
[[nodiscard]] double max(const Settings& s);
[[nodiscard]] double min(const Settings& s);
[[nodiscard]] std::vector<float> range(const Settings& s);
[[nodiscard]] std::vector<std::string> notes(const Settings& s);

}  // namespace qloom::quantizers::bits
