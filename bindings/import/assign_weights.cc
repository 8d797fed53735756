#include "bindings/import/assign_weights.h"

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

}  // namespace

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
