#include "tests/golden/texts.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace qloom::golden {
namespace {

bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

std::string trimmed(std::string text) {
  while (!text.empty() && is_blank(text.back())) text.pop_back();
  text.erase(0, static_cast<size_t>(std::ranges::find_if_not(text, is_blank) - text.begin()));
  return text;
}

/// The arguments as QKeras splits them: at every comma up to the first ")".
std::vector<std::string> items(const std::string& text) {
  const size_t open = text.find('(');
  if (open == std::string::npos) return {};
  const size_t close = text.find(')', open);
  const std::string inner =
      text.substr(open + 1, close == std::string::npos ? close : close - open - 1);
  std::vector<std::string> result(1);
  for (const char c : inner) {
    if (c == ',')
      result.emplace_back();
    else
      result.back() += c;
  }
  return result;
}

/// The value of an argument: what follows its name and "=".
std::string value_of(const std::string& item) {
  const size_t equals = item.find('=');
  const bool quoted_before = item.find_first_of("'\"") < equals;
  return trimmed(equals == std::string::npos || quoted_before ? item : item.substr(equals + 1));
}

/// True for a value that QKeras takes for a text and cuts the first and last letter off although
/// these are not two equal quotes around the rest.
bool loses_letters(const std::string& v) {
  if (v == "True" || v == "False" || v == "None" || v == "inf" || v == "nan") return false;
  const bool number_like = v.find_first_not_of("0123456789+-._eE[] ") == std::string::npos &&
                           v.find_first_of("0123456789") != std::string::npos;
  if (number_like) return false;
  const bool quoted = v.size() >= 2 && (v.front() == '\'' || v.front() == '"') &&
                      v.find(v.front(), 1) == v.size() - 1;
  return !quoted;
}

}  // namespace

std::string misread_text(const std::string& text) {
  if (std::ranges::count(text, '(') > 1) return "a second '(' drops all arguments";
  const size_t close = text.find(')');
  if (close != std::string::npos && !trimmed(text.substr(close + 1)).empty())
    return "what follows ')' is ignored";
  for (const std::string& item : items(text))
    if (!trimmed(item).empty() && loses_letters(value_of(item)))
      return "an unquoted text loses its first and last letter";
  return "";
}

}  // namespace qloom::golden
