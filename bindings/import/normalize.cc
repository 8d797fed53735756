#include "bindings/import/normalize.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace qloom::keras {
namespace {

// What is left of an object with a class name; the last two belong to layer entries only.
constexpr std::array<std::string_view, 4> kKeptKeys{"class_name", "config", "name",
                                                    "inbound_nodes"};
constexpr std::array<std::string_view, 3> kPolicies{"Policy", "PolicyV1", "DTypePolicy"};

std::string_view text_at(const ConfigValue& object, std::string_view key) {
  const ConfigValue* v = object.find(key);
  return v != nullptr && v->text() != nullptr ? std::string_view(*v->text()) : std::string_view();
}

std::string_view after_package(std::string_view name) {
  const size_t at = name.rfind('>');
  return at == std::string_view::npos ? name : name.substr(at + 1);
}

bool is_one_of(std::string_view word, const auto& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

ConfigValue take(ConfigValue& object, std::string_view key) {
  ConfigValue* v = object.find(key);
  return v == nullptr ? ConfigValue() : std::move(*v);
}

}  // namespace

ConfigValue normalize(ConfigValue value) {
  if (auto* elements = std::get_if<ConfigValue::Array>(&value.value)) {
    for (ConfigValue& e : *elements) e = normalize(std::move(e));
    return value;
  }
  auto* members = std::get_if<ConfigValue::Object>(&value.value);
  if (members == nullptr) return value;
  for (auto& [key, member] : *members) member = normalize(std::move(member));

  const std::string class_name(text_at(value, "class_name"));
  if (class_name.empty()) return value;
  if ((class_name == "__tuple__" || class_name == "TensorShape") &&
      value.find("items") != nullptr) {
    return take(value, "items");
  }
  ConfigValue* config = value.find("config");
  if (config == nullptr) return value;
  if ((class_name == "__numpy__" || class_name == "__tensor__") &&
      config->find("value") != nullptr) {
    return take(*config, "value");
  }
  if (class_name == "function" && config->text() != nullptr)
    return std::string(after_package(*config->text()));
  if (is_one_of(class_name, kPolicies) && !text_at(*config, "name").empty())
    return take(*config, "name");

  std::string name(after_package(class_name));
  // A generic class with a registered name: the registered one says more.
  if (const std::string_view registered = text_at(value, "registered_name");
      registered.find('>') != std::string_view::npos) {
    name = after_package(registered);
  }
  if (text_at(value, "module").starts_with("keras.src.ops")) name = "ops." + name;
  std::erase_if(*members,
                [](const ConfigValue::Member& m) { return !is_one_of(m.first, kKeptKeys); });
  value.set("class_name", std::move(name));
  return value;
}

}  // namespace qloom::keras
