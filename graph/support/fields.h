#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "graph/attributes.h"
#include "graph/support/error.h"

namespace qloom {

/// Attribute structs list their members once:
///
///   struct Conv {
///     std::array<int64_t, 2> strides{1, 1};
///     Padding padding = Padding::valid;
///     void fields(auto&& f) { f("strides", strides); f("padding", padding); }
///     bool operator==(const Conv&) const = default;
///   };
///
/// From that list come conversion to and from Attributes, and so printing, hashing, files and
/// keywords. Member types: bool, int64_t, double, std::string, std::vector of int64_t or double,
/// std::array<int64_t, n>, Attributes, std::optional of these, and enums E that have
/// `constexpr std::array<std::string_view, n> names_of(E)` (found by ADL; enumerators 0..n-1).
namespace fields_detail {

template <class T>
AttributeValue to_value(const T& v) {
  if constexpr (std::is_enum_v<T>) {
    return AttributeValue(std::string(names_of(T{})[static_cast<size_t>(v)]));
  } else if constexpr (requires { v.has_value(); }) {
    return v ? to_value(*v) : AttributeValue();
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return AttributeValue(static_cast<int64_t>(v));
  } else if constexpr (requires { std::tuple_size<T>::value; }) {
    return AttributeValue(AttributeValue::Integers(v.begin(), v.end()));
  } else {
    return AttributeValue(v);
  }
}

template <class T>
void from_value(const AttributeValue& a, T& v, std::string_view name) {
  if constexpr (std::is_enum_v<T>) {
    const auto names = names_of(T{});
    const std::string& text = a.as_string();
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == text) {
        v = static_cast<T>(i);
        return;
      }
    std::string all;
    for (auto n : names) all += (all.empty() ? "" : ", ") + std::string(n);
    throw UserError(join_text("attribute '", name, "': '", text, "' is none of ", all));
  } else if constexpr (requires { v.has_value(); }) {
    if (a.is_none()) {
      v.reset();
    } else {
      from_value(a, v.emplace(), name);
    }
  } else if constexpr (std::is_same_v<T, bool>) {
    v = a.as_bool();
  } else if constexpr (std::is_integral_v<T>) {
    v = static_cast<T>(a.as_integer());
  } else if constexpr (std::is_floating_point_v<T>) {
    v = static_cast<T>(a.as_real());
  } else if constexpr (std::is_same_v<T, std::string>) {
    v = a.as_string();
  } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
    v = a.as_integers();
  } else if constexpr (std::is_same_v<T, std::vector<double>>) {
    v = a.as_reals();
  } else if constexpr (std::is_same_v<T, Attributes>) {
    v = a.as_attributes();
  } else {
    const auto list = a.as_integers();
    if (list.size() != v.size())
      throw UserError(
          join_text("attribute '", name, "' has ", list.size(), " elements, expected ", v.size()));
    std::copy(list.begin(), list.end(), v.begin());
  }
}

}  // namespace fields_detail

/// All fields, in order.
template <class T>
[[nodiscard]] Attributes to_attributes(T value) {
  Attributes out;
  value.fields([&](std::string_view name, auto& v) { out.set(name, fields_detail::to_value(v)); });
  return out;
}

/// Missing fields keep their defaults. Throws UserError for unknown names and unfit values.
template <class T>
[[nodiscard]] T from_attributes(const Attributes& attributes) {
  T value{};
  size_t used = 0;
  value.fields([&](std::string_view name, auto& v) {
    if (const AttributeValue* a = attributes.find(name)) {
      ++used;
      fields_detail::from_value(*a, v, name);
    }
  });
  if (used != attributes.entries().size()) {
    Attributes known = to_attributes(T{});
    for (const auto& [name, unused] : attributes.entries())
      if (!known.has(name))
        throw UserError(join_text("unknown attribute '", name, "'; known: ", known));
  }
  return value;
}

/// For OpDef::attrs.
template <class T>
[[nodiscard]] Attributes attrs_of(const Attributes& given) {
  return to_attributes(from_attributes<T>(given));
}

/// For ops without attributes.
struct NoFields {
  void fields(auto&&) {}
  bool operator==(const NoFields&) const = default;
};

}  // namespace qloom
