#include "runtime/finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace qloom::runtime {
namespace {

TEST(Finite, TheFirstOfEachKindIsFoundAnywhere) {
  constexpr float kMost = std::numeric_limits<float>::max();
  constexpr float kLeast = std::numeric_limits<float>::denorm_min();
  for (const int64_t n : {0, 1, 7, 255, 256, 257, 511, 512, 770}) {
    std::vector<float> x(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      x[static_cast<size_t>(i)] = i % 4 == 0   ? kMost
                                  : i % 4 == 1 ? -kMost
                                  : i % 4 == 2 ? kLeast
                                               : -0.0F;
    EXPECT_EQ(first_not_finite(x.data(), n), n);
    for (const float bad : {NAN, -NAN, INFINITY, -INFINITY})
      for (int64_t at = 0; at < n; ++at) {
        std::vector<float> y = x;
        y[static_cast<size_t>(at)] = bad;
        if (at + 300 < n) y[static_cast<size_t>(at + 300)] = NAN;
        ASSERT_EQ(first_not_finite(y.data(), n), at) << n;
      }
  }
}

}  // namespace
}  // namespace qloom::runtime
