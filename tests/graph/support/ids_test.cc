#include "graph/support/ids.h"

#include <gtest/gtest.h>

#include <type_traits>
#include <unordered_set>

namespace qloom {
namespace {

static_assert(!std::is_convertible_v<NodeId, ValueId> && !std::is_constructible_v<NodeId, ValueId>);

TEST(Ids, DefaultNamesNothing) {
  EXPECT_FALSE(NodeId{}.valid());
  EXPECT_TRUE(NodeId{0}.valid());
}

TEST(Ids, OrderedAndHashed) {
  EXPECT_LT(ValueId{1}, ValueId{2});
  EXPECT_EQ(ValueId{2}, ValueId{2});
  const std::unordered_set<ValueId> set{ValueId{1}, ValueId{2}, ValueId{1}};
  EXPECT_EQ(set.size(), 2u);
}

}  // namespace
}  // namespace qloom
