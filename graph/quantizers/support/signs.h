// graph/quantizers/support/signs.h: forward passes of the classes whose codes are signs: binary and
// ternary, which stochastic_binary and stochastic_ternary equal at inference.
#pragma once

#include "graph/quantizers/support/settings.h"

namespace qloom::quantizers::signs {

/// binary: the sign of x, 0 counting as +1. `s` has all of binary's arguments.
[[nodiscard]] Quantized binary(const Settings& s, const Tensor& x, const QuantizeOptions& options);
/// ternary: 0 below a threshold, else the sign. `s` has all of ternary's arguments.
[[nodiscard]] Quantized ternary(const Settings& s, const Tensor& x, const QuantizeOptions& options);

/// `name(alpha=A` as far as every class of the family prints the same.
[[nodiscard]] std::string opening(const Settings& s);
/// Adds `name=value` to a call's text, with a comma where one is needed.
void add(std::string& text, const std::string& entry);

}  // namespace qloom::quantizers::signs
