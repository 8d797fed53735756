#include "graph/text_reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "graph/support/error.h"

namespace qloom::text {
namespace {

bool is_bare(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '/' ||
         c == '-';
}

}  // namespace

std::string name_text(std::string_view name) {
  if (!name.empty() && std::all_of(name.begin(), name.end(), is_bare)) return std::string(name);
  std::string out = "'";
  for (const char c : name) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

void Reader::skip() {
  while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
}

size_t Reader::position() {
  skip();
  return at_;
}

bool Reader::at_end() {
  skip();
  return at_ == text_.size();
}

bool Reader::take(std::string_view token) {
  skip();
  if (!text_.substr(at_).starts_with(token)) return false;
  const size_t end = at_ + token.size();
  if (is_bare(token.back()) && end < text_.size() && is_bare(text_[end])) return false;
  at_ = end;
  return true;
}

void Reader::expect(std::string_view token) {
  if (!take(token)) fail(join_text("expected '", token, "'"));
}

std::string_view Reader::word(std::string_view what) {
  skip();
  size_t end = at_;
  while (end < text_.size() && (is_bare(text_[end]) || text_[end] == '+')) ++end;
  if (end == at_) fail(join_text("expected ", what));
  const std::string_view out = text_.substr(at_, end - at_);
  at_ = end;
  return out;
}

std::string Reader::name() {
  skip();
  if (at_ >= text_.size() || text_[at_] != '\'') return std::string(word("a name"));
  std::string out;
  for (++at_; at_ < text_.size() && text_[at_] != '\''; ++at_) {
    const bool escaped = text_[at_] == '\\';
    if (escaped && ++at_ == text_.size()) break;
    out += escaped && text_[at_] == 'n' ? '\n' : text_[at_];
  }
  expect("'");
  return out;
}

namespace {
template <class T, class... How>
bool convert(std::string_view word, T& value, How... how) {
  const auto r = std::from_chars(word.data(), word.data() + word.size(), value, how...);
  return r.ec == std::errc() && r.ptr == word.data() + word.size();
}
}  // namespace

int64_t Reader::integer() {
  skip();
  const size_t begin = at_;
  int64_t v = 0;
  if (convert(word("an integer"), v)) return v;
  at_ = begin;
  fail("expected an integer");
}

uint64_t Reader::hex(size_t digits) {
  skip();
  const size_t begin = at_;
  uint64_t v = 0;
  const std::string_view w = word("hexadecimal digits");
  if (w.size() == digits && convert(w, v, 16)) return v;
  at_ = begin;
  fail(join_text("expected ", digits, " hexadecimal digits"));
}

double Reader::real() {
  skip();
  const size_t begin = at_;
  double v = 0;
  if (convert(word("a number"), v)) return v;
  at_ = begin;
  fail("expected a number");
}

std::string_view Reader::until(std::string_view stops) {
  skip();
  const size_t begin = at_;
  int depth = 0;
  bool quoted = false;
  for (; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
    const char c = text_[at_];
    if (quoted) {
      if (c == '\\')
        ++at_;
      else if (c == '\'')
        quoted = false;
      if (at_ >= text_.size()) break;
      continue;
    }
    if (depth == 0 && stops.find(c) != std::string_view::npos) break;
    if (c == '\'') quoted = true;
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
  }
  size_t end = std::min(at_, text_.size());
  while (end > begin && std::isspace(static_cast<unsigned char>(text_[end - 1]))) --end;
  return text_.substr(begin, end - begin);
}

void Reader::fail(std::string_view what) const {
  const std::string_view before = text_.substr(0, std::min(at_, text_.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n');
  const size_t column = start == std::string_view::npos ? before.size() + 1 : before.size() - start;
  throw UserError(join_text(kErrorPrefix, line, ", column ", column, ": ", what));
}

}  // namespace qloom::text
