// tests/bindings/expect_error.h: what an error message must say.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "graph/support/error.h"

namespace qloom::testing {

inline std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// Runs `action`, which must throw a UserError whose message contains every word, ignoring case.
template <class Action>
void expect_user_error(Action&& action, const std::vector<std::string>& words) {
  try {
    action();
  } catch (const UserError& error) {
    const std::string message = lower(error.what());
    for (const std::string& w : words) {
      EXPECT_NE(message.find(lower(w)), std::string::npos)
          << "no \"" << w << "\" in: " << error.what();
    }
    return;
  }
  ADD_FAILURE() << "no UserError; its message should have said " << ::testing::PrintToString(words);
}

}  // namespace qloom::testing
