#include "bindings/import/config_value.h"

#include <charconv>
#include <cmath>

#include "graph/support/error.h"

namespace qloom {
namespace {

void print_text(const std::string& text, size_t limit, std::string& out) {
  out += '"';
  for (const char c : text) {
    if (out.size() > limit) return;
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void print_real(double v, std::string& out) {
  if (std::isnan(v)) {
    out += "NaN";
  } else if (std::isinf(v)) {
    out += v < 0 ? "-Infinity" : "Infinity";
  } else {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
    out.append(buffer, end);
    // Keep a real a real: 4.0, not 4.
    if (out.find_first_of(".e", out.size() - static_cast<size_t>(end - buffer)) ==
        std::string::npos) {
      out += ".0";
    }
  }
}

void print(const ConfigValue& v, size_t limit, std::string& out) {
  if (out.size() > limit) return;
  if (v.is_null()) {
    out += "null";
  } else if (const bool* b = v.boolean()) {
    out += *b ? "true" : "false";
  } else if (const int64_t* i = v.integer()) {
    out += std::to_string(*i);
  } else if (const double* d = v.real()) {
    print_real(*d, out);
  } else if (const std::string* s = v.text()) {
    print_text(*s, limit, out);
  } else if (const ConfigValue::Array* a = v.array()) {
    out += '[';
    for (size_t k = 0; k < a->size() && out.size() <= limit; ++k) {
      if (k > 0) out += ", ";
      print((*a)[k], limit, out);
    }
    out += ']';
  } else if (const ConfigValue::Object* o = v.object()) {
    out += '{';
    for (size_t k = 0; k < o->size() && out.size() <= limit; ++k) {
      if (k > 0) out += ", ";
      print_text((*o)[k].first, limit, out);
      out += ": ";
      print((*o)[k].second, limit, out);
    }
    out += '}';
  }
}

bool contains(const std::vector<std::string_view>& words, std::string_view word) {
  for (const std::string_view w : words) {
    if (w == word) return true;
  }
  return false;
}

}  // namespace

const ConfigValue* ConfigValue::find(std::string_view key) const {
  if (const Object* members = object()) {
    for (const Member& m : *members) {
      if (m.first == key) return &m.second;
    }
  }
  return nullptr;
}

ConfigValue* ConfigValue::find(std::string_view key) {
  return const_cast<ConfigValue*>(std::as_const(*this).find(key));
}

void ConfigValue::set(std::string_view key, ConfigValue v) {
  if (ConfigValue* there = find(key)) {
    *there = std::move(v);
  } else {
    std::get<Object>(value).emplace_back(std::string(key), std::move(v));
  }
}

void ConfigValue::remove(std::string_view key) {
  std::erase_if(std::get<Object>(value), [&](const Member& m) { return m.first == key; });
}

std::string ConfigValue::to_string(size_t limit) const {
  std::string out;
  print(*this, limit, out);
  if (out.size() > limit) {
    // Cut between characters, not inside a UTF-8 sequence.
    size_t end = limit;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;
    out.resize(end);
    out += "…";
  }
  return out;
}

void ConfigView::fail(std::string_view text) const {
  std::string message = owner_;
  if (!path_.empty()) message += ": " + path_;
  message += ": ";
  message += text;
  throw UserError(message);
}

void ConfigView::fail_expected(std::string_view expected) const {
  fail("expected " + std::string(expected) + ", found " +
       (value_ == nullptr ? "no such key" : value_->to_string()));
}

const ConfigValue& ConfigView::value() const {
  if (value_ == nullptr) fail("this key is missing");
  return *value_;
}

ConfigView ConfigView::operator[](std::string_view key) const {
  if (value().object() == nullptr) fail_expected("an object");
  std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  return {value_->find(key), owner_, std::move(path)};
}

ConfigView ConfigView::operator[](size_t index) const {
  const ConfigValue::Array& elements = as_array();
  if (index >= elements.size()) {
    fail("has " + std::to_string(elements.size()) + " elements, element " + std::to_string(index) +
         " was expected");
  }
  return {&elements[index], owner_, path_ + "[" + std::to_string(index) + "]"};
}

size_t ConfigView::size() const { return as_array().size(); }

int64_t ConfigView::as_integer() const {
  if (const int64_t* i = value().integer()) return *i;
  fail_expected("an integer");
}

int64_t ConfigView::as_positive() const {
  const int64_t* i = value().integer();
  if (i == nullptr || *i < 1) fail_expected("a positive integer");
  return *i;
}

bool ConfigView::as_bool() const {
  if (const bool* b = value().boolean()) return *b;
  if (const int64_t* i = value_->integer(); i != nullptr && (*i == 0 || *i == 1)) return *i == 1;
  fail_expected("true or false");
}

double ConfigView::as_real() const {
  if (const int64_t* i = value().integer()) return static_cast<double>(*i);
  if (const double* d = value_->real(); d != nullptr && std::isfinite(*d)) return *d;
  fail_expected("a finite number");
}

const std::string& ConfigView::as_text() const {
  if (const std::string* s = value().text()) return *s;
  fail_expected("a string");
}

const ConfigValue::Array& ConfigView::as_array() const {
  if (const ConfigValue::Array* a = value().array()) return *a;
  fail_expected("a list");
}

const ConfigValue::Object& ConfigView::as_object() const {
  if (const ConfigValue::Object* o = value().object()) return *o;
  fail_expected("an object");
}

std::vector<int64_t> ConfigView::as_positives(size_t count) const {
  const std::string expected = count == 1
                                   ? "a positive integer"
                                   : "a positive integer or a list of " + std::to_string(count);
  std::vector<int64_t> out;
  if (const int64_t* i = value().integer()) {
    out.assign(count, *i);
  } else if (const ConfigValue::Array* a = value_->array(); a != nullptr && a->size() == count) {
    for (const ConfigValue& e : *a) {
      if (e.integer() == nullptr) fail_expected(expected);
      out.push_back(*e.integer());
    }
  } else {
    fail_expected(expected);
  }
  for (const int64_t v : out) {
    if (v < 1) fail_expected(expected);
  }
  return out;
}

std::string ConfigView::as_choice(const std::vector<std::string_view>& words) const {
  if (const std::string* s = value().text(); s != nullptr && contains(words, *s)) return *s;
  std::string expected = "one of";
  for (const std::string_view w : words) expected += " '" + std::string(w) + "'";
  fail_expected(expected);
}

}  // namespace qloom
