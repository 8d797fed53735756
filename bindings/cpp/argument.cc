#include "bindings/cpp/argument.h"

namespace qloom {
namespace {

template <class Range>
ConfigValue array_of(const Range& range) {
  ConfigValue::Array out;
  for (const auto& element : range) out.emplace_back(element);
  return out;
}

/// The elements of a nested list, `at` counting them.
ConfigValue nested(const AttributeValue::Integers& shape, const AttributeValue::Reals& values,
                   size_t axis, size_t& at) {
  if (axis == shape.size()) return values.at(at++);
  ConfigValue::Array out;
  for (int64_t i = 0; i < shape[axis]; ++i) out.push_back(nested(shape, values, axis + 1, at));
  return out;
}

ConfigValue config_of(const AttributeValue& v) {
  if (v.is_none()) return {};
  if (v.is_bool()) return v.as_bool();
  if (v.is_integer()) return v.as_integer();
  if (v.is_real()) return v.as_real();
  if (v.is_string()) return v.as_string();
  if (v.is_integers()) return array_of(v.as_integers());
  if (v.is_reals()) return array_of(v.as_reals());
  size_t at = 0;  // an array of several axes: its shape and its values
  const Attributes& a = v.as_attributes();
  return nested(a["shape"].as_integers(), a["values"].as_reals(), 0, at);
}

}  // namespace

QuantizerArgument::QuantizerArgument(std::string_view class_name, const Attributes& arguments) {
  ConfigValue config{ConfigValue::Object()};
  for (const auto& [name, value] : arguments.entries()) config.set(name, config_of(value));
  config_ = ConfigValue(ConfigValue::Object());
  config_->set("class_name", std::string(class_name));
  config_->set("config", std::move(config));
}

PaddingCells::PaddingCells(std::initializer_list<int64_t> each) : config_(array_of(each)) {}

PaddingCells::PaddingCells(std::initializer_list<std::initializer_list<int64_t>> pairs) {
  ConfigValue::Array out;
  for (const auto& pair : pairs) out.push_back(array_of(pair));
  config_ = ConfigValue(std::move(out));
}

}  // namespace qloom
