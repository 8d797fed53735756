#include "bindings/import/json.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>
#include <unordered_map>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

// The reader recurses once per level; 256 levels need about 100 KB of stack, and printing and
// destroying values recurse no deeper.
constexpr int kMaxDepth = 256;
// A value takes about 40 bytes.
constexpr int64_t kMaxValues = 2'000'000;
constexpr uint32_t kReplacement = 0xFFFD;
// Beyond the digits of any text that fits in memory.
constexpr int64_t kFarExponent = int64_t{1} << 60;

class Reader {
 public:
  Reader(std::string_view text, std::string_view source) : text_(text), source_(source) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  ConfigValue read_all() {
    ConfigValue v = read_value(0);
    skip_blanks();
    if (at_ < text_.size()) fail("text after the end of the value");
    return v;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    size_t line = 1;
    size_t column = 1;
    for (size_t k = 0; k < at_ && k < text_.size(); ++k) {
      if (text_[k] == '\n') {
        ++line;
        column = 1;
      } else {
        ++column;
      }
    }
    throw UserError(std::string(source_) + ": not valid JSON at line " + std::to_string(line) +
                    ", column " + std::to_string(column) + ": " + std::string(what));
  }

  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  bool take(char c) {
    skip_blanks();
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

  bool take_word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  ConfigValue read_value(int depth) {
    skip_blanks();
    if (at_ >= text_.size()) fail("the text ends where a value is expected");
    if (depth > kMaxDepth) fail("nesting depth is beyond " + std::to_string(kMaxDepth) + " levels");
    if (++values_ > kMaxValues) fail("more than " + std::to_string(kMaxValues) + " values");
    switch (text_[at_]) {
      case '{':
        return read_object(depth);
      case '[':
        return read_array(depth);
      case '"':
        return read_string();
      default:
        break;
    }
    if (take_word("null")) return {};
    if (take_word("true")) return true;
    if (take_word("false")) return false;
    if (take_word("NaN")) return std::numeric_limits<double>::quiet_NaN();
    if (take_word("Infinity")) return std::numeric_limits<double>::infinity();
    if (take_word("-Infinity")) return -std::numeric_limits<double>::infinity();
    return read_number();
  }

  ConfigValue read_object(int depth) {
    ++at_;
    ConfigValue::Object members;
    std::unordered_map<std::string, size_t> places;  // a list would make hostile objects quadratic
    if (take('}')) return members;
    do {
      skip_blanks();
      if (peek() != '"') fail("expected a key in quotes");
      std::string key = read_string();
      if (!take(':')) fail("expected ':' after a key");
      ConfigValue v = read_value(depth + 1);
      const auto [place, is_new] = places.emplace(key, members.size());
      if (is_new) {
        members.emplace_back(std::move(key), std::move(v));
      } else {
        members[place->second].second = std::move(v);
      }
    } while (take(','));
    if (!take('}')) fail("expected ',' or '}' in an object");
    return members;
  }

  ConfigValue read_array(int depth) {
    ++at_;
    ConfigValue::Array elements;
    if (take(']')) return elements;
    do {
      elements.push_back(read_value(depth + 1));
    } while (take(','));
    if (!take(']')) fail("expected ',' or ']' in a list");
    return elements;
  }

  ConfigValue read_number() {
    const size_t begin = at_;
    size_t end = begin;
    const auto digits = [&] {
      const size_t from = end;
      while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') ++end;
      return end - from;
    };
    const auto is = [&](char c) { return end < text_.size() && text_[end] == c; };
    if (is('-')) ++end;
    const size_t first = end;
    const size_t whole = digits();
    if (whole == 0) fail("expected a value");
    if (whole > 1 && text_[first] == '0') fail("a number begins with 0");
    bool is_integer = true;
    if (is('.')) {
      ++end;
      is_integer = false;
      if (digits() == 0) fail("a number has no digit after its point");
    }
    if (is('e') || is('E')) {
      ++end;
      is_integer = false;
      if (is('+') || is('-')) ++end;
      if (digits() == 0) fail("a number has no digit in its exponent");
    }
    const char* from = text_.data() + begin;
    const char* to = text_.data() + end;
    at_ = end;
    if (is_integer) {
      int64_t i = 0;
      if (std::from_chars(from, to, i).ec == std::errc()) return i;
    }
    double d = 0;
    if (std::from_chars(from, to, d).ec == std::errc::result_out_of_range)
      d = beyond_range(from, to);
    return d;
  }

  // from_chars leaves its result alone when the number is too large or too small for a double:
  // Python makes it infinite or zero. Which of the two: the decimal exponent of the leading digit.
  static double beyond_range(const char* from, const char* to) {
    const std::string_view all(from, static_cast<size_t>(to - from));
    const size_t e = all.find_first_of("eE");
    const std::string_view mantissa = all.substr(0, e);
    int64_t exponent = 0;
    if (e != std::string_view::npos) {
      const std::string_view digits = all.substr(all[e + 1] == '+' ? e + 2 : e + 1);
      if (std::from_chars(digits.data(), digits.data() + digits.size(), exponent).ec !=
          std::errc()) {
        exponent = digits.starts_with('-') ? -kFarExponent : kFarExponent;
      }
    }
    const auto point = static_cast<int64_t>(std::min(mantissa.find('.'), mantissa.size()));
    const auto leading = static_cast<int64_t>(mantissa.find_first_of("123456789"));
    const bool is_large = exponent + point - leading > 0;
    const double magnitude = is_large ? std::numeric_limits<double>::infinity() : 0.0;
    return all.starts_with('-') ? -magnitude : magnitude;
  }

  uint32_t read_hex4() {
    uint32_t code = 0;
    for (int k = 0; k < 4; ++k, ++at_) {
      const char c = peek();
      uint32_t digit = 0;
      if (c >= '0' && c <= '9') {
        digit = static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<uint32_t>(c - 'a') + 10;
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<uint32_t>(c - 'A') + 10;
      } else {
        fail("expected four hexadecimal digits after \\u");
      }
      code = code * 16 + digit;
    }
    return code;
  }

  static void append_utf8(uint32_t code, std::string& out) {
    const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6);
      put(0x80 | (code & 63));
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12);
      put(0x80 | (code >> 6 & 63));
      put(0x80 | (code & 63));
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 63));
      put(0x80 | (code >> 6 & 63));
      put(0x80 | (code & 63));
    }
  }

  void read_escape(std::string& out) {
    const char c = peek();
    ++at_;
    switch (c) {
      case '"':
      case '\\':
      case '/':
        out += c;
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u':
        break;
      default:
        fail("unknown escape in a string");
    }
    uint32_t code = read_hex4();
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      const size_t back = at_;
      at_ += 2;
      const uint32_t low = read_hex4();
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else {
        at_ = back;
      }
    }
    if (code >= 0xD800 && code < 0xE000) code = kReplacement;  // half of a pair
    append_utf8(code, out);
  }

  // Takes one multi-byte character; RFC 3629: no overlong forms, no surrogates, at most U+10FFFF.
  void read_utf8(std::string& out) {
    const auto byte = [&](size_t k) -> uint32_t {
      return at_ + k < text_.size() ? static_cast<unsigned char>(text_[at_ + k]) : 0;
    };
    const uint32_t lead = byte(0);
    size_t length = 0;
    uint32_t low = 0x80;
    uint32_t high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    }
    bool valid = length != 0 && byte(1) >= low && byte(1) <= high;
    for (size_t k = 2; k < length; ++k) valid = valid && byte(k) >= 0x80 && byte(k) <= 0xBF;
    if (!valid) fail("a string is not valid UTF-8");
    out.append(text_, at_, length);
    at_ += length;
  }

  std::string read_string() {
    ++at_;
    std::string out;
    while (true) {
      if (at_ >= text_.size()) fail("the text ends inside a string");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c == '\\') {
        ++at_;
        read_escape(out);
      } else if (c < 0x20) {
        fail("a control character inside a string");
      } else if (c < 0x80) {
        out += static_cast<char>(c);
        ++at_;
      } else {
        read_utf8(out);
      }
    }
  }

  std::string_view text_;
  std::string_view source_;
  size_t at_ = 0;
  int64_t values_ = 0;
};

}  // namespace

ConfigValue parse_json(std::string_view text, std::string_view source) {
  return Reader(text, source).read_all();
}

}  // namespace qloom::keras
