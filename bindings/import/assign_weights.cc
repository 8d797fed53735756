#include "bindings/import/assign_weights.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

template <typename T>
std::string list_names(const std::vector<T*>& items) {
  if (items.empty()) return "none";
  std::string out;
  for (const T* item : items) out += (out.empty() ? "'" : ", '") + item->name + "'";
  return out;
}

// The part of a weight's name after the last '/', without ":0".
std::string_view variable_of(std::string_view weight) {
  weight = weight.substr(0, weight.rfind(':'));
  return weight.substr(weight.rfind('/') + 1);  // npos + 1 is 0
}

// "mask", "mask_1", …
bool is_called(std::string_view variable, std::string_view name) {
  return variable == name || (variable.starts_with(name) && variable[name.size()] == '_');
}

// The layer inside a nested model that a weight belongs to: the first part of its name that is one.
KerasLayer* owner_of(std::string_view weight, const std::vector<KerasLayer*>& layers,
                     const KerasModel& model) {
  while (!weight.empty()) {
    const std::string_view part = weight.substr(0, weight.find('/'));
    KerasLayer* owner = nullptr;
    for (KerasLayer* l : layers) {
      if (l->places.back().name != part) continue;
      if (owner != nullptr) {
        throw UserError(join_text(model.file, ": weight '", weight, "' may belong to layer '",
                                  owner->name, "' or '", l->name,
                                  "'; save with model.save(\"NAME.keras\")"));
      }
      owner = l;
    }
    if (owner != nullptr) return owner;
    weight.remove_prefix(std::min(part.size() + 1, weight.size()));
  }
  return nullptr;
}

}  // namespace

void split_nested_weights(KerasModel& model) {
  std::unordered_map<std::string_view, std::vector<KerasLayer*>> nested;
  for (KerasLayer& l : model.layers) {
    if (l.places.size() > 1) nested[l.places.front().name].push_back(&l);
  }
  if (nested.empty()) return;
  std::vector<KerasWeightGroup> out;
  for (KerasWeightGroup& group : model.weight_groups) {
    const auto there = nested.find(group.name);
    if (there == nested.end()) {
      out.push_back(std::move(group));
      continue;
    }
    std::unordered_map<KerasLayer*, KerasWeightGroup> groups;
    KerasWeightGroup rest{group.name, {}};
    for (KerasWeight& w : group.weights) {
      KerasLayer* owner = owner_of(w.name, there->second, model);
      (owner == nullptr ? rest : groups[owner]).weights.push_back(std::move(w));
    }
    for (KerasLayer* l : there->second) {  // in the order of the layers
      if (const auto found = groups.find(l); found != groups.end())
        out.push_back({l->name, std::move(found->second.weights)});
    }
    if (!rest.weights.empty()) out.push_back(std::move(rest));
  }
  model.weight_groups = std::move(out);
}

void apply_pruning_masks(KerasModel& model) {
  for (KerasLayer& l : model.layers) {
    if (!l.pruned) continue;
    std::vector<KerasWeight> weights, masks;
    for (KerasWeight& w : l.weights) {
      const std::string_view variable = variable_of(w.name);
      if (is_called(variable, "mask")) {
        masks.push_back(std::move(w));
      } else if (!is_called(variable, "threshold") && !is_called(variable, "pruning_step")) {
        weights.push_back(std::move(w));
      }
    }
    auto next = weights.begin();
    for (const KerasWeight& mask : masks) {
      next = std::find_if(next, weights.end(),
                          [&](const KerasWeight& w) { return w.shape == mask.shape; });
      if (next == weights.end()) {
        throw UserError(join_text(model.describe(l), ": no weight has the shape of ", mask.name));
      }
      for (size_t k = 0; k < mask.values.size(); ++k) next->values[k] *= mask.values[k];
      ++next;
    }
    l.weights = std::move(weights);
  }
}

void order_folded_weights(KerasModel& model) {
  for (KerasLayer& l : model.layers) {
    if (!l.class_name.ends_with("Batchnorm")) continue;
    const auto counter = std::ranges::find_if(l.weights, [](const KerasWeight& w) {
      return is_called(variable_of(w.name), "iteration");
    });
    if (counter == l.weights.end() || l.weights.end() - counter < 3) continue;
    std::rotate(counter, counter + 1, l.weights.end() - 2);
  }
}

void assign_weights(KerasModel& model,
                    const std::function<bool(const KerasLayer&)>& needs_weights) {
  std::vector<KerasLayer*> layers;
  for (KerasLayer& l : model.layers) {
    if (needs_weights(l)) layers.push_back(&l);
  }
  std::vector<KerasWeightGroup*> groups;
  for (KerasWeightGroup& g : model.weight_groups) {
    if (!g.weights.empty()) groups.push_back(&g);
  }

  std::unordered_map<std::string_view, KerasWeightGroup*> by_name;
  for (KerasWeightGroup* g : groups) by_name.emplace(g->name, g);
  std::vector<KerasLayer*> unmatched;
  for (KerasLayer* l : layers) {
    if (by_name.erase(l->name) == 0) unmatched.push_back(l);
  }
  std::vector<KerasWeightGroup*> unused;
  for (KerasWeightGroup* g : groups) {
    if (by_name.contains(g->name)) unused.push_back(g);
  }

  if (unmatched.empty()) {
    std::unordered_map<std::string_view, KerasLayer*> takers;
    for (KerasLayer* l : layers) takers.emplace(l->name, l);
    for (KerasWeightGroup* g : groups) {
      if (const auto taker = takers.find(g->name); taker != takers.end()) {
        taker->second->weights = std::move(g->weights);
      }
    }
    if (!unused.empty())
      model.notes.push_back("the weights of " + list_names(unused) + " are not used");
  } else if (layers.size() == groups.size()) {
    for (size_t k = 0; k < layers.size(); ++k) layers[k]->weights = std::move(groups[k]->weights);
    model.notes.push_back("weights are matched by position, because the file has none for " +
                          list_names(unmatched) + " and has some for " + list_names(unused));
  } else {
    throw UserError(join_text(model.file, ": the file has no weights for layer ",
                              list_names(unmatched), "; weights that belong to no layer: ",
                              list_names(unused), "; ", layers.size(), " layers need weights and ",
                              groups.size(), " have some, so matching by position fails too"));
  }
  model.weight_groups.clear();
}

void check_finite(const KerasModel& model) {
  for (const KerasLayer& l : model.layers) {
    for (const KerasWeight& w : l.weights) {
      for (size_t k = 0; k < w.values.size(); ++k) {
        if (!std::isfinite(w.values[k])) {
          throw UserError(join_text(model.describe(l), ": weight ", w.name, " is ", w.values[k],
                                    " at element ", k, ", expected finite values"));
        }
      }
    }
  }
}

}  // namespace qloom::keras
