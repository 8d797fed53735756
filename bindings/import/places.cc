#include "bindings/import/places.h"

#include <unordered_map>

namespace qloom::keras {

std::string snake_case(std::string_view name) {
  const auto upper = [&](size_t k) { return k < name.size() && name[k] >= 'A' && name[k] <= 'Z'; };
  const auto lower = [&](size_t k) { return k < name.size() && name[k] >= 'a' && name[k] <= 'z'; };
  // `(.)([A-Z][a-z]+)` → `\1_\2`, matches do not overlap.
  std::string words;
  for (size_t k = 0; k < name.size();) {
    words += name[k];
    if (!upper(k + 1) || !lower(k + 2)) {
      ++k;
      continue;
    }
    words += '_';
    words += name[k + 1];
    for (k += 2; lower(k); ++k) words += name[k];
  }
  // `([a-z])([A-Z])` → `\1_\2`, then all in small letters.
  std::string out;
  for (const char c : words) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    if (is_upper && !out.empty() && out.back() >= 'a' && out.back() <= 'z') out += '_';
    out += c;
  }
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

void place_layers(KerasModel& model, const std::vector<std::string>& class_names) {
  std::unordered_map<std::string, int> count;
  for (size_t k = 0; k < model.layers.size(); ++k) {
    KerasLayer& layer = model.layers[k];
    const std::string& class_name = class_names[k];
    if (class_name.starts_with("ops.")) continue;
    if (class_name == "InputLayer" && !model.functional) continue;
    std::string group = snake_case(class_name);
    const int index = count[group]++;
    if (index > 0) group += "_" + std::to_string(index);
    layer.places = {{layer.name, std::move(group)}};
  }
}

}  // namespace qloom::keras
