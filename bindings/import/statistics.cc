#include "bindings/import/statistics.h"

namespace qloom::keras {

BatchStatistics batch_statistics(Expressions& e, Term x, Shape shape, int64_t axis) {
  ops::Reduce reduce{.kind = ops::ReduceKind::mean, .axes = {}, .over_batch = true};
  Extents spread;  // of [C] over x
  for (int64_t k = 0; k < static_cast<int64_t>(shape.size()); ++k) {
    if (k != axis) reduce.axes.push_back(k);
    spread.push_back(k == axis ? shape[static_cast<size_t>(k)].extent() : 1);
  }
  const Term mean = e.reduce(x, reduce);
  const Term deviation = x - e.reshape(mean, spread);
  const Term square = deviation * deviation;
  const Term variance = e.reduce(square, reduce);
  reduce.correction = 1;
  return {mean, variance, e.reduce(square, reduce)};
}

Term moved(Term average, Term value, float rate) {
  return average - (average - value) * static_cast<double>(rate);
}

}  // namespace qloom::keras
