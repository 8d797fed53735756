// bindings/cli/support/table.h: aligned columns of text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qloom::cli {

/// Rows of cells, printed in columns as wide as they need; columns of numbers are right-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row);
  void add_rule();  ///< a line across
  [[nodiscard]] std::string to_string() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

/// 1234567 → "1,234,567".
[[nodiscard]] std::string grouped(int64_t number);
/// Three significant digits with a unit: "1.23 µs", "45 ns".
[[nodiscard]] std::string duration(double nanoseconds);

}  // namespace qloom::cli
