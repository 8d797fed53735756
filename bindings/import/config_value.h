#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qloom {

/// A value of a Keras configuration, as JSON has it: null, boolean, integer, real, text, array, or
/// object with its keys in file order. Integers beyond 64 bits and numbers beyond the range of a
/// double are reals (the latter infinite), as in Python. A plain value; `ConfigView` adds the
/// knowledge of where it stands.
struct ConfigValue {
  using Array = std::vector<ConfigValue>;
  using Member = std::pair<std::string, ConfigValue>;
  using Object = std::vector<Member>;

  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value;

  ConfigValue() = default;
  template <typename T>
  ConfigValue(T v)
      : value(std::move(v)) {}  // NOLINT(google-explicit-constructor): a value is a value

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(value); }
  [[nodiscard]] const bool* boolean() const { return std::get_if<bool>(&value); }
  [[nodiscard]] const int64_t* integer() const { return std::get_if<int64_t>(&value); }
  [[nodiscard]] const double* real() const { return std::get_if<double>(&value); }
  [[nodiscard]] const std::string* text() const { return std::get_if<std::string>(&value); }
  [[nodiscard]] const Array* array() const { return std::get_if<Array>(&value); }
  [[nodiscard]] const Object* object() const { return std::get_if<Object>(&value); }
  /// The member of an object; null if this is no object or has no such key.
  [[nodiscard]] const ConfigValue* find(std::string_view key) const;
  [[nodiscard]] ConfigValue* find(std::string_view key);
  /// Adds or replaces a member. Must be an object.
  void set(std::string_view key, ConfigValue v);
  void remove(std::string_view key);
  /// JSON on one line, cut to about `limit` characters: for messages.
  [[nodiscard]] std::string to_string(size_t limit = 80) const;
  bool operator==(const ConfigValue&) const = default;
};

/// A `ConfigValue` with its place: the owner ("cnn.h5: layer 'conv1' (QConv2D)") and the path of
/// keys below it. Every accessor throws a UserError with owner, path, what was expected and what
/// is there. Refers to the value: do not outlive it. A view of an absent key is legal; only its
/// `exists` and `or` accessors may be used without an error.
class ConfigView {
 public:
  ConfigView(const ConfigValue& value, std::string owner, std::string path = {})
      : value_(&value), owner_(std::move(owner)), path_(std::move(path)) {}
  ConfigView(ConfigValue&&, std::string,
             std::string = {}) = delete;  ///< would refer to a temporary

  [[nodiscard]] bool exists() const { return value_ != nullptr; }
  /// Absent or null.
  [[nodiscard]] bool is_none() const { return value_ == nullptr || value_->is_null(); }
  [[nodiscard]] const ConfigValue& value() const;
  [[nodiscard]] const std::string& owner() const { return owner_; }
  [[nodiscard]] const std::string& path() const { return path_; }

  /// A member of an object (throws if this is no object); absent members give an absent view.
  [[nodiscard]] ConfigView operator[](std::string_view key) const;
  /// An element of an array; throws when out of range.
  [[nodiscard]] ConfigView operator[](size_t index) const;
  /// Elements of an array.
  [[nodiscard]] size_t size() const;

  /// Integers; integral reals (2.0) and booleans are not taken: QKeras refuses them as sizes.
  [[nodiscard]] int64_t as_integer() const;
  /// As above and at least 1.
  [[nodiscard]] int64_t as_positive() const;
  /// true, false, 0 or 1 (Keras writes booleans as integers at times).
  [[nodiscard]] bool as_bool() const;
  /// Any finite number.
  [[nodiscard]] double as_real() const;
  [[nodiscard]] const std::string& as_text() const;
  [[nodiscard]] const ConfigValue::Array& as_array() const;
  [[nodiscard]] const ConfigValue::Object& as_object() const;
  /// `count` positive integers, or one that stands for all (Keras: `strides=2` is `(2, 2)`).
  [[nodiscard]] std::vector<int64_t> as_positives(size_t count) const;
  /// One of the given words.
  [[nodiscard]] std::string as_choice(const std::vector<std::string_view>& words) const;

  /// The accessors above with a default for an absent key.
  [[nodiscard]] int64_t integer_or(int64_t fallback) const {
    return exists() ? as_integer() : fallback;
  }
  [[nodiscard]] bool bool_or(bool fallback) const { return exists() ? as_bool() : fallback; }
  [[nodiscard]] double real_or(double fallback) const { return exists() ? as_real() : fallback; }
  [[nodiscard]] std::string text_or(std::string_view fallback) const {
    return exists() ? as_text() : std::string(fallback);
  }

  /// Throws a UserError: "OWNER: PATH: expected EXPECTED, found VALUE".
  [[noreturn]] void fail_expected(std::string_view expected) const;
  /// Throws a UserError: "OWNER: PATH: TEXT".
  [[noreturn]] void fail(std::string_view text) const;

 private:
  ConfigView(const ConfigValue* value, std::string owner, std::string path)
      : value_(value), owner_(std::move(owner)), path_(std::move(path)) {}
  const ConfigValue* value_;
  std::string owner_;
  std::string path_;
};

}  // namespace qloom
