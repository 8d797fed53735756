// passes/analysis/qtools/batch_norm.h: the operations that QTools sees in a batch normalisation.
#pragma once

#include <optional>

#include "passes/analysis/qtools/operators.h"

namespace qloom::qtools {

/// Types of a batch normalisation's parameters.
struct BatchNormTypes {
  QtoolsType gamma, beta, mean, variance, inverse;
};

/// gamma ÷ stddev × x + beta; without gamma, x ÷ stddev. The mean takes no part in the types.
struct BatchNorm {
  Operation divider;
  std::optional<Operation> multiplier;   ///< with `scale`
  std::optional<Operation> accumulator;  ///< with `center`
  [[nodiscard]] const QtoolsType& output() const {
    return accumulator ? accumulator->out : multiplier ? multiplier->out : divider.out;
  }
};
/// Source: qbn_factory.py.
[[nodiscard]] BatchNorm batch_norm(const QtoolsType& x, const BatchNormTypes& types, bool scale,
                                   bool center, const Context& context);

/// A batch normalisation merged into the convolution before it:
/// inverse·sum − (inverse·mean − inverse·bias − beta).
struct FusedBatchNorm {
  QtoolsType sum;                  ///< of the products, before the bias
  std::optional<QtoolsType> bias;  ///< with `use_bias`
  BatchNormTypes types;
  bool use_beta = true;
  LearnedScale inverse_scale;  ///< of an auto_po2 inverse quantizer
};
/// Source: fused_bn_factory.py.
[[nodiscard]] Operation fuse_batch_norm(const FusedBatchNorm& fused, const Context& context);

}  // namespace qloom::qtools
