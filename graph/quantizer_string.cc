// graph/quantizer_string.cc: texts that name a quantizer or an activation function.
//
//   TEXT  := NAME | NAME "(" [ITEM ("," ITEM)*] ")"
//   ITEM  := VALUE | KEY "=" VALUE               values without a key first
//   VALUE := True | False | None | integer | real | list | quoted text
//   list  := "[" numbers, separated by commas or blanks "]", or numbers separated by blanks
//
// QKeras's own reader (qkeras/safe_eval.py) also accepts what it then misreads: it drops all
// arguments when it meets a second "(", ignores what follows ")", and takes any other word for a
// text without its first and last letter. Those are refused here. Commas in lists and in quotes,
// blanks before "," and ")", and lists of one number, which QKeras refuses or misreads, mean what
// they say.
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>

#include "graph/quantizer.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

constexpr std::array<std::string_view, 20> kFunctions{"hard_sigmoid",
                                                      "smooth_sigmoid",
                                                      "binary_sigmoid",
                                                      "hard_tanh",
                                                      "smooth_tanh",
                                                      "binary_tanh",
                                                      "elu",
                                                      "exponential",
                                                      "gelu",
                                                      "linear",
                                                      "mish",
                                                      "relu",
                                                      "relu6",
                                                      "selu",
                                                      "sigmoid",
                                                      "softmax",
                                                      "softplus",
                                                      "softsign",
                                                      "swish",
                                                      "tanh"};

bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Digits with single underscores between them removed; none when they stand elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      result += text[i];
      continue;
    }
    const auto digit = [&](size_t at) {
      return at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !digit(i - 1) || !digit(i + 1)) return std::nullopt;
  }
  return result;
}

/// Python's int(), else Python's float(); none when neither takes the text.
std::optional<AttributeValue> number(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower == "inf" || lower == "infinity") {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return AttributeValue(negative ? -kInfinity : kInfinity);
  }
  if (lower == "nan") return AttributeValue(std::numeric_limits<double>::quiet_NaN());
  if (text.empty() || !(std::isdigit(static_cast<unsigned char>(text[0])) != 0 || text[0] == '.'))
    return std::nullopt;
  const std::optional<std::string> plain = without_underscores(text);
  if (!plain) return std::nullopt;
  const std::string digits = (negative ? "-" : "") + *plain;
  const char* const end = digits.data() + digits.size();
  int64_t integer = 0;
  if (const auto r = std::from_chars(digits.data(), end, integer); r.ptr == end) {
    if (r.ec == std::errc()) return AttributeValue(integer);
  }
  double real = 0;
  if (const auto r = std::from_chars(digits.data(), end, real); r.ptr == end && r.ec == std::errc())
    return AttributeValue(real);
  return std::nullopt;
}

/// Numbers separated by commas or blanks, as a list; none when something else is among them.
std::optional<AttributeValue> number_list(std::string_view text) {
  AttributeValue::Integers integers;
  AttributeValue::Reals reals;
  bool all_integers = true;
  size_t at = 0;
  bool comma = true;  // a number must follow: true at the start, so that "[,1]" is refused
  while (true) {
    while (at < text.size() && is_blank(text[at])) ++at;
    if (at == text.size()) break;
    if (text[at] == ',') {
      if (comma) return std::nullopt;
      comma = true;
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text.size() && !is_blank(text[end]) && text[end] != ',') ++end;
    const std::optional<AttributeValue> v = number(text.substr(at, end - at));
    if (!v) return std::nullopt;
    all_integers = all_integers && v->is_integer();
    if (v->is_integer()) integers.push_back(v->as_integer());
    reals.push_back(v->as_real());
    comma = false;
    at = end;
  }
  if (reals.empty() || comma) return std::nullopt;
  return all_integers ? AttributeValue(std::move(integers)) : AttributeValue(std::move(reals));
}

/// The text with a cursor; every complaint names the text and a position.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  template <class... Parts>
  [[noreturn]] void fail(size_t position, const Parts&... parts) const {
    throw UserError(
        join_text("quantizer text \"", text_, "\", position ", position, ": ", parts...));
  }

  [[nodiscard]] QuantizerOrFunction read() {
    const size_t open = text_.find('(');
    const std::string_view name = text_.substr(0, open);
    const QuantizerDef* def = find_quantizer(name);
    if (def != nullptr && !def->by_name) def = nullptr;
    if (def == nullptr) {
      const std::string_view function = name == "silu" ? "swish" : name;
      for (const std::string_view f : kFunctions) {
        if (f != function) continue;
        if (open != std::string_view::npos)
          fail(open, "'", name, "' is a function and takes no arguments here");
        return ActivationFunction{std::string(function)};
      }
      fail(0, "unknown quantizer or activation function '", name, "'");
    }
    Attributes arguments;
    if (open != std::string_view::npos) arguments = items(open + 1, *def);
    return Quantizer(*def, std::move(arguments));
  }

 private:
  /// Arguments up to the closing parenthesis, after which only blanks may follow.
  Attributes items(size_t at, const QuantizerDef& def) const {
    const std::vector<ArgumentDef> known = def.arguments();
    Attributes result;
    size_t positional = 0;
    bool keywords = false;
    bool first = true;
    while (true) {
      const size_t end = item_end(at);
      const std::string_view item = trimmed(text_.substr(at, end - at));
      if (item.empty()) {
        if (!(first && text_[end] == ')')) fail(end, "an argument is missing");
      } else if (const size_t equals = key_end(item); equals != std::string_view::npos) {
        keywords = true;
        const std::string_view key = trimmed(item.substr(0, equals));
        for (size_t i = 0; i < positional; ++i)
          if (known[i].name == key) fail(at, "'", key, "' is given twice");
        result.set(key, value(trimmed(item.substr(equals + 1)), at));
      } else {
        if (keywords) fail(at, "'", item, "' without a name follows an argument with a name");
        if (positional == known.size())
          fail(at, def.name, " takes at most ", known.size(), " arguments");
        result.set(known[positional++].name, value(item, at));
      }
      first = false;
      at = end + 1;
      if (text_[end] == ')') break;
    }
    for (size_t i = at; i < text_.size(); ++i)
      if (!is_blank(text_[i])) fail(i, "text after the closing parenthesis");
    return result;
  }

  /// Position of the "," or ")" that ends the argument starting at `at`.
  size_t item_end(size_t at) const {
    char quote = 0;
    int depth = 0;
    for (size_t i = at; i < text_.size(); ++i) {
      const char c = text_[i];
      if (quote != 0) {
        if (c == quote) quote = 0;
      } else if (c == '\'' || c == '"') {
        quote = c;
      } else if (c == '(') {
        fail(i, "a second '('");
      } else if (c == '[' || c == '{') {
        ++depth;
      } else if (c == ']' || c == '}') {
        --depth;
      } else if (c == ')' || (c == ',' && depth <= 0)) {
        return i;
      }
    }
    fail(text_.size(), quote != 0 ? "a quote is not closed" : "')' is missing");
  }

  /// Position of the "=" after an argument's name; npos for an argument without one.
  static size_t key_end(std::string_view item) {
    size_t i = 0;
    while (i < item.size() &&
           (std::isalnum(static_cast<unsigned char>(item[i])) != 0 || item[i] == '_'))
      ++i;
    while (i < item.size() && is_blank(item[i])) ++i;
    return i > 0 && i < item.size() && item[i] == '=' ? i : std::string_view::npos;
  }

  AttributeValue value(std::string_view v, size_t at) const {
    if (v.empty()) fail(at, "a value is missing");
    if (v == "True") return true;
    if (v == "False") return false;
    if (v == "None") return {};
    if (auto n = number(v)) return *n;
    if (v.front() == '\'' || v.front() == '"') {
      const std::string_view inner = v.substr(1, v.size() - std::min<size_t>(v.size(), 2));
      if (v.size() < 2 || v.back() != v.front() || inner.find(v.front()) != std::string_view::npos)
        fail(at, "the quotes of ", v, " do not match");
      return AttributeValue(inner);
    }
    if (v.front() == '{') return AttributeValue(Attributes::parse(v));
    const bool brackets = v.front() == '[' && v.back() == ']';
    if (auto list = number_list(brackets ? v.substr(1, v.size() - 2) : v);
        list && (brackets || v.find(',') == std::string_view::npos))
      return *list;
    fail(at, "'", v, "' is no number, list, True, False or None; texts need quotes");
  }

  std::string_view text_;
};

}  // namespace

QuantizerOrFunction parse_quantizer(std::string_view text) { return Reader(text).read(); }

}  // namespace qloom
