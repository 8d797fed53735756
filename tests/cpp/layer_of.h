// tests/cpp/layer_of.h: a layer from a piece of JSON, as files hold its configuration.
#pragma once

#include <string>
#include <variant>

#include "bindings/cpp/qloom.h"
#include "bindings/import/json.h"

namespace qloom::test {

inline Layer layer_of(const std::string& class_name, const std::string& config) {
  return {class_name,
          std::get<ConfigValue::Object>(keras::parse_json("{" + config + "}", "test").value)};
}

}  // namespace qloom::test
