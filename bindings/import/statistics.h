// bindings/import/statistics.h: what the training phase takes from a batch, for layers that
// normalize.
#pragma once

#include "bindings/import/expression.h"

namespace qloom::keras {

/// Mean and variance over all axes but `axis`, each [C].
struct BatchStatistics {
  Term mean;
  Term variance;  ///< mean squared deviation
  Term unbiased;  ///< divided by n - 1: what a fused normalization averages
};
[[nodiscard]] BatchStatistics batch_statistics(Expressions& e, Term x, Shape shape, int64_t axis);

/// The moving average after a batch: average - (average - value)·rate, each operation rounded.
[[nodiscard]] Term moved(Term average, Term value, float rate);

}  // namespace qloom::keras
