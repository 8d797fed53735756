#include "kernels/move/interpolation.h"

#include <algorithm>
#include <cmath>

namespace qloom::kernels {

std::vector<Between> interpolation(int64_t in, int64_t scale) {
  std::vector<Between> out;
  for (int64_t j = 0; j < in * scale; ++j) {
    const float at = (static_cast<float>(j) + 0.5F) * (1.0F / static_cast<float>(scale)) - 0.5F;
    const auto below = static_cast<int64_t>(std::floor(at));
    out.push_back({std::max<int64_t>(below, 0),
                   std::min<int64_t>(below + (at > std::floor(at) ? 1 : 0), in - 1),
                   at - std::floor(at)});
  }
  return out;
}

}  // namespace qloom::kernels
