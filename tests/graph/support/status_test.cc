#include "graph/support/status.h"

#include <gtest/gtest.h>

#include <string>

namespace qloom {
namespace {

TEST(Status, OkHasNoMessage) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_STREQ(status.message(), "");
}

TEST(Status, ErrorKeepsCodeAndMessage) {
  const Status status = Status::error(StatusCode::not_finite, "input '%s': sample %d", "x", 3);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(name_of(status.code()), "not_finite");
  EXPECT_STREQ(status.message(), "input 'x': sample 3");
}

TEST(Status, LongMessageIsCut) {
  const std::string text(1000, 'a');
  const Status status = Status::error(StatusCode::internal, "%s", text.c_str());
  EXPECT_EQ(std::string(status.message()), std::string(Status::kMaxMessage, 'a'));
}

}  // namespace
}  // namespace qloom
