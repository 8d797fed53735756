// bindings/report/table.h: aligned columns of text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qloom::report {

/// Rows of cells, in columns as wide as they need; columns of numbers are right-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row);
  void add_rule();                  ///< a line across
  void add_note(std::string text);  ///< text across all columns, indented
  /// Where the table would be wider than `width` (0: no limit), cells of text continue on further
  /// lines, broken at spaces, or after / _ , . and at last anywhere; numbers are kept whole.
  [[nodiscard]] std::string to_string(size_t width = 0) const;

 private:
  enum class Kind : uint8_t { cells, note, rule };
  struct Row {
    Kind kind;
    std::vector<std::string> cells;
  };
  std::vector<Row> rows_;
};

/// `text` in lines of at most `width` characters, broken as cells are; all but the first begin with
/// `indent` spaces. 0: as it is.
[[nodiscard]] std::string wrapped(const std::string& text, size_t width, size_t indent);

/// 1234567 → "1,234,567".
[[nodiscard]] std::string grouped(int64_t number);
/// Three significant digits with a unit: "1.23 µs", "45 ns".
[[nodiscard]] std::string duration(double nanoseconds);

}  // namespace qloom::report
