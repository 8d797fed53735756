#include <gtest/gtest.h>

#include "graph/support/plugin.h"

namespace qloom {
namespace {

TEST(Smoke, JitCompilesAndRunsAdd) {
  auto* add = Plugin::open("qloom_compiler").function<int(int, int, int*)>("qloom_jit_smoke");
  for (int a : {-7, 0, 40}) {
    int sum = 0;
    ASSERT_EQ(add(a, 2, &sum), 0);
    EXPECT_EQ(sum, a + 2);
  }
}

}  // namespace
}  // namespace qloom
