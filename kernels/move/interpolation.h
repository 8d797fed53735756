#pragma once

#include <cstdint>
#include <vector>

namespace qloom::kernels {

/// One output of an axis that becomes longer: between two elements, `distance` from the first.
struct Between {
  int64_t first = 0, second = 0;
  float distance = 0;
};
/// All outputs of an axis of `in` elements, `scale` times as long: output j lies at
/// (j + 1/2)/scale - 1/2, in float32 as TensorFlow computes it.
[[nodiscard]] std::vector<Between> interpolation(int64_t in, int64_t scale);

}  // namespace qloom::kernels
