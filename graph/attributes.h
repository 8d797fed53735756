#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qloom {

class Attributes;

/// One attribute: none, boolean, integer, real, text, list of integers, list of reals, or nested
/// attributes (a quantizer's arguments).
class AttributeValue {
 public:
  using Integers = std::vector<int64_t>;
  using Reals = std::vector<double>;
  AttributeValue() = default;  ///< none
  AttributeValue(bool v) : v_(v) {}
  AttributeValue(int v) : v_(static_cast<int64_t>(v)) {}
  AttributeValue(int64_t v) : v_(v) {}
  AttributeValue(double v) : v_(v) {}
  AttributeValue(std::string v) : v_(std::move(v)) {}
  AttributeValue(std::string_view v) : v_(std::string(v)) {}
  AttributeValue(const char* v) : v_(std::string(v)) {}
  AttributeValue(Integers v) : v_(std::move(v)) {}
  AttributeValue(Reals v) : v_(std::move(v)) {}
  AttributeValue(Attributes v);

  [[nodiscard]] bool is_none() const { return std::holds_alternative<std::monostate>(v_); }
  [[nodiscard]] bool is_bool() const { return std::holds_alternative<bool>(v_); }
  [[nodiscard]] bool is_integer() const { return std::holds_alternative<int64_t>(v_); }
  [[nodiscard]] bool is_real() const { return std::holds_alternative<double>(v_); }
  [[nodiscard]] bool is_number() const { return is_integer() || is_real() || is_bool(); }
  [[nodiscard]] bool is_string() const { return std::holds_alternative<std::string>(v_); }
  [[nodiscard]] bool is_integers() const { return std::holds_alternative<Integers>(v_); }
  [[nodiscard]] bool is_reals() const { return std::holds_alternative<Reals>(v_); }
  [[nodiscard]] bool is_list() const { return is_integers() || is_reals(); }
  [[nodiscard]] bool is_attributes() const;

  /// Conversions that lose nothing: as_bool takes 0/1, as_integer takes integral reals and
  /// booleans, as_real takes any number, as_reals takes integer lists. Throw UserError otherwise.
  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] int64_t as_integer() const;
  [[nodiscard]] double as_real() const;
  [[nodiscard]] const std::string& as_string() const;
  [[nodiscard]] Integers as_integers() const;
  [[nodiscard]] Reals as_reals() const;
  [[nodiscard]] const Attributes& as_attributes() const;
  /// Python's truth: none, false, 0, "" and empty lists are false.
  [[nodiscard]] bool truthy() const;

  bool operator==(const AttributeValue&) const;
  /// Python's spelling of a literal: None, True, 4, 0.5, 'auto', [1, 2], {bits=4, integer=0}.
  /// Reals are printed shortest such that they parse back.
  [[nodiscard]] std::string to_string() const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Integers, Reals,
               std::shared_ptr<const Attributes>>
      v_;
};

/// An ordered list of named values. Small: look-ups are linear.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, AttributeValue>> entries)
      : entries_(entries) {}
  [[nodiscard]] bool has(std::string_view name) const;
  /// Throws InternalError when there is no such attribute.
  [[nodiscard]] const AttributeValue& operator[](std::string_view name) const;
  /// Null when there is no such attribute.
  [[nodiscard]] const AttributeValue* find(std::string_view name) const;
  void set(std::string_view name, AttributeValue value);  ///< adds or replaces
  void remove(std::string_view name);
  [[nodiscard]] const std::vector<std::pair<std::string, AttributeValue>>& entries() const {
    return entries_;
  }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  bool operator==(const Attributes&) const = default;
  [[nodiscard]] std::string to_string() const;  ///< "{strides=[1, 1], padding='same'}"
  /// Inverse of to_string. Throws UserError naming the position.
  [[nodiscard]] static Attributes parse(std::string_view text);

 private:
  std::vector<std::pair<std::string, AttributeValue>> entries_;
};

std::ostream& operator<<(std::ostream&, const AttributeValue&);
std::ostream& operator<<(std::ostream&, const Attributes&);

}  // namespace qloom
