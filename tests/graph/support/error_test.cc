#include "graph/support/error.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace qloom {
namespace {

template <class Error, class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(Error, CheckThrowsUserErrorWithJoinedParts) {
  EXPECT_NO_THROW(qloom_check(true, "unused"));
  EXPECT_EQ(message_of<UserError>([] { qloom_check(false, "kernel has ", 3, " channels"); }),
            "kernel has 3 channels");
}

TEST(Error, AssertThrowsInternalErrorThatNamesThisFile) {
  EXPECT_NO_THROW(qloom_assert(std::make_unique<int>(1), "unused"));
  const int line = __LINE__ + 1;
  const std::string text = message_of<InternalError>([] { qloom_assert(false, "sum ", 7); });
  EXPECT_NE(text.find("error_test.cc:" + std::to_string(line)), std::string::npos) << text;
  EXPECT_NE(text.find("sum 7"), std::string::npos) << text;
  EXPECT_NE(text.find("report"), std::string::npos) << text;
}

TEST(Verdict, NoCarriesItsReason) {
  EXPECT_TRUE(Verdict::yes());
  EXPECT_EQ(Verdict::yes().reason(), "");
  const Verdict no = Verdict::no("needs ", 2, " operands");
  EXPECT_FALSE(no);
  EXPECT_EQ(no.reason(), "needs 2 operands");
}

}  // namespace
}  // namespace qloom
