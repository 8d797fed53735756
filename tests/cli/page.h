// tests/cli/page.h: pages that show what a command prints, and explain its columns.
#pragma once

#include <set>
#include <string>

namespace qloom::testing {

/// What a page says of one command.
struct Shown {
  std::string text;               ///< the block that is shown
  std::set<std::string> columns;  ///< those that the table after it explains
};
/// Of the line "    COMMAND" on a page of the source tree. Fails the test where it is missing.
[[nodiscard]] Shown shown_on_page(const std::string& page, const std::string& command);

/// Names of the columns of the last table in what a command printed.
[[nodiscard]] std::set<std::string> columns_of(const std::string& text);

[[nodiscard]] std::string text_of(const std::string& path);
/// Characters in the longest line.
[[nodiscard]] size_t widest_line(const std::string& text);

}  // namespace qloom::testing
