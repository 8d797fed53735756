#include "passes/analysis/qtools/batch_norm.h"

#include <cmath>

namespace qloom::qtools {
namespace {

/// The root of a variance: half the exponent, so one bit less.
QtoolsType standard_deviation(QtoolsType variance) {
  if (!variance.is_po2()) return variance;
  --variance.bits;
  variance.int_bits = variance.bits;
  if (variance.max_value >= 0) variance.max_value = std::nearbyint(std::sqrt(variance.max_value));
  return variance;
}

}  // namespace

BatchNorm batch_norm(const QtoolsType& x, const BatchNormTypes& types, bool scale, bool center,
                     const Context& context) {
  const QtoolsType deviation = standard_deviation(types.variance);
  BatchNorm result;
  if (scale) {
    result.divider = divide(types.gamma, deviation, context);
    if (types.gamma.is_po2() && deviation.is_po2() && types.gamma.value_count > 0 &&
        deviation.value_count > 0)
      result.divider.out.value_count = types.gamma.value_count * deviation.value_count;
    result.multiplier = multiply(result.divider.out, x);
  } else {
    result.divider = divide(x, deviation, context);
  }
  if (center) result.accumulator = add(result.output(), types.beta);
  return result;
}

Operation fuse_batch_norm(const FusedBatchNorm& f, const Context& context) {
  const QtoolsType& inverse = f.types.inverse;
  if (inverse.is_float())
    context.refuse("AssertionError",
                   "QTools needs an inverse_quantizer that is not float to merge a batch "
                   "normalisation; taken as float");
  const auto scaled = [&](const QtoolsType& t) {
    return adjust_for_scale(multiply(inverse, t), f.inverse_scale, context).out;
  };
  const QtoolsType product = scaled(f.sum);
  QtoolsType offset = scaled(f.types.mean);
  if (f.bias) offset = add(scaled(*f.bias), offset).out;
  if (f.use_beta) offset = add(offset, f.types.beta).out;
  return add(product, offset);
}

}  // namespace qloom::qtools
