// graph/quantizers/support/signs.h: forward passes of the classes whose codes are signs: binary and
// ternary, which stochastic_binary and stochastic_ternary equal at inference.
#pragma once

#include "graph/quantizers/support/settings.h"

namespace qloom::quantizers::signs {

/// binary: the sign of x, 0 counting as +1. `s` has all of binary's arguments. With draws and
/// use_stochastic_rounding: the sign of x rounded to a multiple of a quarter of its reach.
[[nodiscard]] Quantized binary(const Settings& s, const Tensor& x, const QuantizeOptions& options);
/// ternary: 0 below a threshold, else the sign. `s` has all of ternary's arguments.
[[nodiscard]] Quantized ternary(const Settings& s, const Tensor& x, const QuantizeOptions& options);

/// Signs and bits that the training phase draws: P(+1) = sigmoid(temperature·x/σ), σ the standard
/// deviation of the elements that share a scale, 1 where alpha is no text. With `bits` 0 and 1. The
/// scale is that of the signs of x themselves.
[[nodiscard]] Quantized drawn_binary(const Settings& s, const Tensor& x,
                                     const QuantizeOptions& options, bool bits);
/// -1, 0, 1: half the sum of two drawn signs, around -T and +T. Needs alpha "auto" or "auto_po2".
[[nodiscard]] Quantized drawn_ternary(const Settings& s, const Tensor& x,
                                      const QuantizeOptions& options);

/// `name(alpha=A` as far as every class of the family prints the same.
[[nodiscard]] std::string opening(const Settings& s);
/// Adds `name=value` to a call's text, with a comma where one is needed.
void add(std::string& text, const std::string& entry);

}  // namespace qloom::quantizers::signs
