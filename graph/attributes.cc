#include "graph/attributes.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ostream>

#include "graph/support/error.h"

namespace qloom {
namespace {

std::string real_text(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  char buffer[32];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, v).ptr);
  // A real stays a real when it is read back: 1.0, not 1.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string string_text(const std::string& s) {
  std::string out = "'";
  for (const char c : s) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

template <class List, class Text>
std::string list_text(const List& list, Text&& text) {
  std::string out = "[";
  for (const auto& v : list) out += (out.size() > 1 ? ", " : "") + text(v);
  return out + "]";
}

[[noreturn]] void misfit(const AttributeValue& v, std::string_view expected) {
  throw UserError(join_text("attribute value ", v, " is not ", expected));
}

bool is_integral(double v) { return v == std::floor(v) && std::abs(v) <= 9007199254740992.0; }

// Reads what to_string writes.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Attributes attributes() {
    Attributes out;
    expect('{');
    if (take('}')) return out;
    do {
      const std::string name = identifier();
      if (out.has(name)) fail(join_text("attribute '", name, "' is there twice;"));
      expect('=');
      out.set(name, value());
    } while (take(','));
    expect('}');
    return out;
  }
  void end() {
    skip();
    if (at_ != text_.size()) fail("text after the end;");
  }

 private:
  AttributeValue value() {
    skip();
    if (++depth_ > 64) fail("nested too deeply;");
    AttributeValue out = any();
    --depth_;
    return out;
  }
  AttributeValue any() {
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (c == '{') return AttributeValue(attributes());
    if (c == '\'') return AttributeValue(quoted());
    if (c == '[') return list();
    if (take_word("None")) return {};
    if (take_word("True")) return true;
    if (take_word("False")) return false;
    return number();
  }
  AttributeValue list() {
    expect('[');
    AttributeValue::Integers integers;
    AttributeValue::Reals reals;
    bool all_integers = true;
    if (!take(']')) {
      do {
        skip();
        const AttributeValue v = number();
        all_integers = all_integers && v.is_integer();
        if (all_integers) integers.push_back(v.as_integer());
        reals.push_back(v.as_real());
      } while (take(','));
      expect(']');
    }
    if (all_integers) return integers;
    return reals;
  }
  AttributeValue number() {
    for (const auto& [word, v] :
         {std::pair{"nan", std::nan("")}, std::pair{"inf", HUGE_VAL}, std::pair{"-inf", -HUGE_VAL}})
      if (take_word(word)) return v;
    size_t end = at_;
    while (end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) ||
                                  text_[end] == '.' || text_[end] == '-' || text_[end] == '+'))
      ++end;
    const std::string_view word = text_.substr(at_, end - at_);
    const char* last = word.data() + word.size();
    int64_t integer = 0;
    if (const auto r = std::from_chars(word.data(), last, integer);
        r.ec == std::errc() && r.ptr == last) {
      at_ = end;
      return integer;
    }
    double real = 0;
    if (const auto r = std::from_chars(word.data(), last, real);
        r.ec == std::errc() && r.ptr == last) {
      at_ = end;
      return real;
    }
    fail("expected a value");
  }
  std::string quoted() {
    expect('\'');
    std::string out;
    for (; at_ < text_.size() && text_[at_] != '\''; ++at_) {
      const bool escaped = text_[at_] == '\\';
      if (escaped && ++at_ == text_.size()) break;
      out += escaped && text_[at_] == 'n' ? '\n' : text_[at_];
    }
    expect('\'');
    return out;
  }
  std::string identifier() {
    skip();
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      ++at_;
    if (begin == at_) fail("expected a name");
    return std::string(text_.substr(begin, at_ - begin));
  }
  bool take_word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool take(char c) {
    skip();
    if (at_ < text_.size() && text_[at_] == c) return ++at_, true;
    return false;
  }
  void expect(char c) {
    if (!take(c)) fail(join_text("expected '", c, "'"));
  }
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  [[noreturn]] void fail(std::string_view what) const {
    throw UserError(join_text("attributes: ", what, " at position ", at_, " of '", text_, "'"));
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

AttributeValue::AttributeValue(Attributes v)
    : v_(std::make_shared<const Attributes>(std::move(v))) {}

bool AttributeValue::is_attributes() const {
  return std::holds_alternative<std::shared_ptr<const Attributes>>(v_);
}

bool AttributeValue::as_bool() const {
  if (const bool* b = std::get_if<bool>(&v_)) return *b;
  if (is_number()) {
    const double v = as_real();
    if (v == 0 || v == 1) return v == 1;
  }
  misfit(*this, "a boolean");
}

int64_t AttributeValue::as_integer() const {
  if (const auto* i = std::get_if<int64_t>(&v_)) return *i;
  if (const bool* b = std::get_if<bool>(&v_)) return *b ? 1 : 0;
  if (const double* d = std::get_if<double>(&v_); d && is_integral(*d))
    return static_cast<int64_t>(*d);
  misfit(*this, "an integer");
}

double AttributeValue::as_real() const {
  if (const double* d = std::get_if<double>(&v_)) return *d;
  if (const auto* i = std::get_if<int64_t>(&v_)) return static_cast<double>(*i);
  if (const bool* b = std::get_if<bool>(&v_)) return *b ? 1 : 0;
  misfit(*this, "a number");
}

const std::string& AttributeValue::as_string() const {
  if (const auto* s = std::get_if<std::string>(&v_)) return *s;
  misfit(*this, "a text");
}

AttributeValue::Integers AttributeValue::as_integers() const {
  if (const auto* l = std::get_if<Integers>(&v_)) return *l;
  if (const auto* l = std::get_if<Reals>(&v_)) {
    Integers out;
    for (const double d : *l) {
      if (!is_integral(d)) misfit(*this, "a list of integers");
      out.push_back(static_cast<int64_t>(d));
    }
    return out;
  }
  misfit(*this, "a list of integers");
}

AttributeValue::Reals AttributeValue::as_reals() const {
  if (const auto* l = std::get_if<Reals>(&v_)) return *l;
  if (const auto* l = std::get_if<Integers>(&v_)) return {l->begin(), l->end()};
  misfit(*this, "a list of numbers");
}

const Attributes& AttributeValue::as_attributes() const {
  if (const auto* a = std::get_if<std::shared_ptr<const Attributes>>(&v_)) return **a;
  misfit(*this, "a set of attributes");
}

bool AttributeValue::truthy() const {
  struct Truth {
    bool operator()(std::monostate) const { return false; }
    bool operator()(bool v) const { return v; }
    bool operator()(int64_t v) const { return v != 0; }
    bool operator()(double v) const { return v != 0; }
    bool operator()(const std::string& v) const { return !v.empty(); }
    bool operator()(const Integers& v) const { return !v.empty(); }
    bool operator()(const Reals& v) const { return !v.empty(); }
    bool operator()(const std::shared_ptr<const Attributes>& v) const { return !v->empty(); }
  };
  return std::visit(Truth{}, v_);
}

bool AttributeValue::operator==(const AttributeValue& o) const {
  if (is_attributes() && o.is_attributes()) return as_attributes() == o.as_attributes();
  return v_ == o.v_;
}

std::string AttributeValue::to_string() const {
  struct Text {
    std::string operator()(std::monostate) const { return "None"; }
    std::string operator()(bool v) const { return v ? "True" : "False"; }
    std::string operator()(int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const { return real_text(v); }
    std::string operator()(const std::string& v) const { return string_text(v); }
    std::string operator()(const Integers& v) const {
      return list_text(v, [](int64_t i) { return std::to_string(i); });
    }
    std::string operator()(const Reals& v) const { return list_text(v, real_text); }
    std::string operator()(const std::shared_ptr<const Attributes>& v) const {
      return v->to_string();
    }
  };
  return std::visit(Text{}, v_);
}

const AttributeValue* Attributes::find(std::string_view name) const {
  for (const auto& [key, value] : entries_)
    if (key == name) return &value;
  return nullptr;
}

bool Attributes::has(std::string_view name) const { return find(name) != nullptr; }

const AttributeValue& Attributes::operator[](std::string_view name) const {
  const AttributeValue* v = find(name);
  qloom_assert(v, "no attribute '", name, "' in ", *this);
  return *v;
}

void Attributes::set(std::string_view name, AttributeValue value) {
  for (auto& [key, old] : entries_)
    if (key == name) {
      old = std::move(value);
      return;
    }
  entries_.emplace_back(std::string(name), std::move(value));
}

void Attributes::remove(std::string_view name) {
  std::erase_if(entries_, [&](const auto& e) { return e.first == name; });
}

std::string Attributes::to_string() const {
  std::string out = "{";
  for (const auto& [name, value] : entries_)
    out += (out.size() > 1 ? ", " : "") + name + "=" + value.to_string();
  return out + "}";
}

Attributes Attributes::parse(std::string_view text) {
  Reader in(text);
  Attributes out = in.attributes();
  in.end();
  return out;
}

std::ostream& operator<<(std::ostream& out, const AttributeValue& v) {
  return out << v.to_string();
}
std::ostream& operator<<(std::ostream& out, const Attributes& a) { return out << a.to_string(); }

}  // namespace qloom
