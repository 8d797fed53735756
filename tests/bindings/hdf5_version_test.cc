#include <gtest/gtest.h>

#include "graph/support/plugin.h"

namespace qloom {
namespace {

TEST(Hdf5Version, IsOneThatReadsKerasFiles) {
  auto* version = Plugin::open("qloom_hdf5").function<int(unsigned*)>("qloom_hdf5_version");
  unsigned numbers[3] = {};
  ASSERT_EQ(version(numbers), 0);
  EXPECT_TRUE(numbers[0] > 1 || (numbers[0] == 1 && numbers[1] >= 8))
      << numbers[0] << "." << numbers[1];
}

}  // namespace
}  // namespace qloom
