#include "tests/cli/page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

/// Parts between separators, without spaces around them.
std::set<std::string> split(std::string text, const std::string& separator) {
  std::set<std::string> out;
  text += separator;
  for (size_t end; (end = text.find(separator)) != std::string::npos;
       text.erase(0, end + separator.size())) {
    const size_t first = text.find_first_not_of(' ');
    if (first >= end) continue;
    out.insert(text.substr(first, text.find_last_not_of(' ', end - 1) + 1 - first));
  }
  return out;
}

}  // namespace

Shown shown_on_page(const std::string& page, const std::string& command) {
  const std::string text = text_of(source_dir() / page);
  constexpr std::string_view kBlock = "```text\n",
                             kTable = "| column | what it says |\n|---|---|\n";
  const size_t line = text.find("\n    " + command + "\n"), block = text.find(kBlock, line),
               end = text.find("```", block + kBlock.size()), table = text.find(kTable, end);
  if (table == std::string::npos) {
    ADD_FAILURE() << page << " does not show and explain " << command;
    return {};
  }
  Shown out{text.substr(block + kBlock.size(), end - block - kBlock.size()), {}};
  std::istringstream rows(text.substr(table + kTable.size()));
  for (std::string row; std::getline(rows, row) && row.starts_with("| ");)
    out.columns.merge(split(row.substr(2, row.find(" |", 2) - 2), ","));
  return out;
}

std::set<std::string> columns_of(const std::string& text) {
  std::istringstream lines(text);
  std::set<std::string> out;
  std::string before;
  for (std::string line; std::getline(lines, line); before = line)
    if (before.starts_with("layer ") && line.find_first_not_of('-') == std::string::npos)
      out = split(before, "  ");
  return out;
}

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  size_t widest = 0;
  for (std::string line; std::getline(lines, line);)
    widest = std::max(widest, static_cast<size_t>(std::ranges::count_if(
                                  line, [](char c) { return (c & 0xC0) != 0x80; })));
  return widest;
}

}  // namespace qloom::testing
