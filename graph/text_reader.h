#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Words of the text form of graphs, shared by its writer and its reader.
namespace qloom::text {

/// A name as it stands in the text: bare where it is made of letters, digits and _ . / -, else
/// quoted.
[[nodiscard]] std::string name_text(std::string_view name);

/// Reads the text form token by token and knows line and column. All functions skip blanks first
/// and throw UserError naming line and column when the text goes on otherwise.
class Reader {
 public:
  /// How messages of errors begin.
  static constexpr std::string_view kErrorPrefix = "graph text, line ";
  explicit Reader(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end();
  /// Takes the token if it comes next; a word only as a whole.
  bool take(std::string_view token);
  void expect(std::string_view token);
  [[nodiscard]] std::string name();  ///< bare or quoted
  [[nodiscard]] int64_t integer();
  [[nodiscard]] uint64_t hex(size_t digits);
  [[nodiscard]] double real();
  /// Everything up to one of `stops` or the end of the line; what is in brackets, braces or quotes
  /// is taken as a whole. Without blanks at the end.
  [[nodiscard]] std::string_view until(std::string_view stops);
  [[nodiscard]] size_t position();
  void set_position(size_t at) { at_ = at; }
  [[noreturn]] void fail(std::string_view what) const;

 private:
  void skip();
  [[nodiscard]] std::string_view word(std::string_view what);
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace qloom::text
