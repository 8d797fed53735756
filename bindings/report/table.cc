#include "bindings/report/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <sstream>

namespace qloom::report {
namespace {

/// Characters of UTF-8 text: bytes that begin one.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool is_number(const std::string& cell) {
  return cell.empty() || cell == "-" ||
         cell.find_first_not_of("0123456789.,+-e %µnms") == std::string::npos;
}

/// How well a line may end after this character; 0: only when there is no other way.
int break_quality(char c) {
  if (c == ' ') return 2;
  return c == '/' || c == '_' || c == ',' || c == '.' ? 1 : 0;
}

/// Bytes of the first line of at most `width` characters.
size_t first_line(const std::string& text, size_t width) {
  size_t characters = 0, fits = 0, best = 0;
  int quality = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) != 0x80 && ++characters > width) {
      if (text[i] == ' ') return i;
      return quality == 2 || (quality > 0 && 3 * best > width) ? best : fits;
    }
    fits = i + 1;
    if (break_quality(text[i]) > 0 && break_quality(text[i]) >= quality) {
      quality = break_quality(text[i]);
      best = i + 1;
    }
  }
  return text.size();
}

std::vector<std::string> lines_of(std::string text, size_t width) {
  std::vector<std::string> out;
  do {
    size_t bytes = first_line(text, std::max<size_t>(width, 1));
    std::string line = text.substr(0, bytes);
    line.erase(line.find_last_not_of(' ') + 1);
    out.push_back(std::move(line));
    while (bytes < text.size() && text[bytes] == ' ') ++bytes;
    text.erase(0, bytes);
  } while (!text.empty());
  return out;
}

size_t longest_word(const std::string& text) {
  std::istringstream words(text);
  size_t out = 0;
  for (std::string word; words >> word;) out = std::max(out, width_of(word));
  return out;
}

/// Of a table with so many spaces between its columns.
size_t total_of(const std::vector<size_t>& widths, size_t gap) {
  return std::accumulate(widths.begin(), widths.end(), gap * (widths.size() - 1));
}

/// Takes characters from the widest columns until all fit or none is wider than its `least`.
void narrow(std::vector<size_t>& widths, const std::vector<size_t>& least, size_t gap,
            size_t width) {
  for (size_t total = total_of(widths, gap); total > width; --total) {
    size_t widest = widths.size();
    for (size_t c = 0; c < widths.size(); ++c)
      if (widths[c] > least[c] && (widest == widths.size() || widths[c] > widths[widest]))
        widest = c;
    if (widest == widths.size()) return;
    --widths[widest];
  }
}

/// A row of cells, which may continue on further lines.
std::string row_text(const std::vector<std::string>& row, const std::vector<size_t>& widths,
                     size_t gap, const std::vector<bool>& numeric) {
  std::vector<std::vector<std::string>> cells;
  size_t height = 1;
  for (size_t c = 0; c < row.size(); ++c) {
    cells.push_back(lines_of(row[c], widths[c]));
    height = std::max(height, cells.back().size());
  }
  std::string out;
  for (size_t l = 0; l < height; ++l) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string cell = l < cells[c].size() ? cells[c][l] : "";
      const std::string padding(widths[c] - width_of(cell), ' ');
      line += numeric[c] ? padding + cell : cell + padding;
      if (c + 1 < row.size()) line += std::string(gap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

}  // namespace

Table::Table(std::vector<std::string> header) {
  rows_.push_back({Kind::cells, std::move(header)});
  add_rule();
}

void Table::add(std::vector<std::string> row) {
  row.resize(rows_[0].cells.size());
  rows_.push_back({Kind::cells, std::move(row)});
}

void Table::add_note(std::string text) { rows_.push_back({Kind::note, {std::move(text)}}); }

void Table::add_rule() { rows_.push_back({Kind::rule, {}}); }

std::string Table::to_string(size_t width) const {
  constexpr size_t kLeastText = 8;  // a column of text is not made narrower
  const size_t columns = rows_[0].cells.size();
  std::vector<size_t> widths(columns, 0), least(columns, 0);
  std::vector<bool> numeric(columns, true);
  for (const Row& row : rows_)
    for (size_t c = 0; c < columns && row.kind == Kind::cells; ++c) {
      const std::string& cell = row.cells[c];
      widths[c] = std::max(widths[c], width_of(cell));
      least[c] = std::max(least[c], &row == rows_.data() ? longest_word(cell) : width_of(cell));
      if (&row != rows_.data()) numeric[c] = numeric[c] && is_number(cell);
    }
  for (size_t c = 0; c < columns; ++c)
    if (!numeric[c])
      least[c] = std::min(widths[c], std::max(longest_word(rows_[0].cells[c]), kLeastText));
  size_t gap = 2;
  if (width > 0) {
    // Numbers are kept whole, so columns come closer where they must.
    if (total_of(least, gap) > width) gap = 1;
    narrow(widths, least, gap, width);
  }
  std::string out;
  for (const Row& row : rows_) {
    constexpr size_t kIndent = 2;
    if (row.kind == Kind::rule) out += std::string(total_of(widths, gap), '-') + '\n';
    if (row.kind == Kind::cells) out += row_text(row.cells, widths, gap, numeric);
    if (row.kind == Kind::note)
      out += std::string(kIndent, ' ') +
             wrapped(row.cells[0], width == 0 ? 0 : width - kIndent, kIndent) + '\n';
  }
  return out;
}

std::string wrapped(const std::string& text, size_t width, size_t indent) {
  if (width == 0) return text;
  std::string out;
  for (const std::string& line : lines_of(text, width))
    out += (out.empty() ? "" : "\n" + std::string(indent, ' ')) + line;
  return out;
}

std::string grouped(int64_t number) {
  const std::string digits = std::to_string(number);
  const size_t sign = number < 0 ? 1 : 0;
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > sign && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string duration(double nanoseconds) {
  struct Unit {
    double ns;
    const char* name;
  };
  constexpr Unit kUnits[] = {{1, "ns"}, {1e3, "µs"}, {1e6, "ms"}, {1e9, "s"}};
  const Unit* unit = kUnits;
  while (unit + 1 != std::end(kUnits) && nanoseconds >= 1e3 * unit->ns) ++unit;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.3g %s", nanoseconds / unit->ns, unit->name);
  return text.data();
}

}  // namespace qloom::report
