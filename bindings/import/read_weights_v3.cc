#include "bindings/import/read_weights_v3.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

constexpr std::string_view kLayers = "layers";
constexpr std::string_view kLayersBefore215 = "_layer_checkpoint_dependencies";
// Keras nests three deep (wrapper, layer, cell); damaged files may form a cycle.
constexpr int kMaxDepth = 8;
constexpr size_t kMaxGroups = 100000;

// Sub-layers in the order in which `layer.weights` lists them, where that is not the alphabet's.
constexpr std::string_view kFirst[] = {"layer", "cell", "forward_layer", "backward_layer"};
// States without effect on inference: random seeds, regularisers' and optimisers' variables.
constexpr std::string_view kSkipped[] = {"seed_generator", "vars"};

std::optional<int> number_of(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class Reader {
 public:
  Reader(Hdf5File& file, KerasModel& model) : file_(file), model_(model) {}

  std::vector<KerasWeightGroup> run() {
    const Hdf5Object root = file_.root();
    std::optional<Hdf5Object> top = layers_of(root);
    std::vector<KerasWeightGroup> out;
    std::set<std::string> taken;
    for (const KerasLayer& layer : model_.layers) {
      KerasWeightGroup group{layer.name, {}};
      if (std::optional<Hdf5Object> place = top ? find(*top, layer) : std::nullopt) {
        group.weights = collect(*place, layer.pruned, 0);
        if (!group.weights.empty() && !taken.insert(place->path).second) {
          throw UserError(join_text(model_.describe(layer), ": its weights '", place->path,
                                    "' are those of another layer already; the names in ",
                                    file_.file(), " do not fit the model"));
        }
      }
      out.push_back(std::move(group));
    }
    if (top) add_unused(*top, taken, out, 0);
    return out;
  }

 private:
  std::optional<Hdf5Object> layers_of(const Hdf5Object& model_group) {
    if (std::optional<Hdf5Object> found = file_.find(model_group, kLayers)) return found;
    return file_.find(model_group, kLayersBefore215);
  }

  void count() {
    if (++groups_ > kMaxGroups)
      throw UserError(join_text(file_.file(), ": more than ", kMaxGroups, " groups"));
  }

  // Group names by layer name, for the groups directly below; empty before Keras 3.6.
  const std::map<std::string, std::string>& names_below(const Hdf5Object& group) {
    const auto known = names_.find(group.path);
    if (known != names_.end()) return known->second;
    std::map<std::string, std::string> names;
    for (const std::string& child : file_.children(group)) {
      count();
      const std::optional<Hdf5Object> vars = file_.find(group, child + "/vars");
      if (!vars) continue;
      if (std::optional<std::string> name = file_.text(*vars, "name"))
        names.emplace(std::move(*name), child);
    }
    return names_.emplace(group.path, std::move(names)).first->second;
  }

  std::optional<Hdf5Object> find(const Hdf5Object& top, const KerasLayer& layer) {
    Hdf5Object here = top;
    for (size_t depth = 0; depth < layer.places.size(); ++depth) {
      if (depth > 0) {
        std::optional<Hdf5Object> layers = layers_of(here);
        if (!layers) return std::nullopt;
        here = std::move(*layers);
      }
      const KerasPlace& place = layer.places[depth];
      const auto& names = names_below(here);
      const auto named = names.find(place.name);
      const std::string& child = named != names.end() ? named->second : place.group;
      std::optional<Hdf5Object> next = file_.find(here, child);
      if (!next) return std::nullopt;
      here = std::move(*next);
    }
    return here;
  }

  KerasWeight read(const Hdf5Object& dataset, std::string_view part) {
    KerasWeight w;
    w.name = dataset.path + std::string(part);
    w.shape = dataset.extents;
    w.values = file_.read_float32(dataset);
    return w;
  }

  // The variables of a group itself, in their order. The folded layers of Keras 3 call one
  // "iteration", and may list it by number too.
  std::vector<KerasWeight> own_variables(const Hdf5Object& group) {
    const std::optional<Hdf5Object> vars = file_.find(group, "vars");
    if (!vars) return {};
    std::map<int, Hdf5Object> numbered;
    std::optional<Hdf5Object> iteration;
    for (const std::string& child : file_.children(*vars)) {
      std::optional<Hdf5Object> dataset = file_.find(*vars, child);
      if (!dataset || !dataset->is_dataset) continue;
      if (const std::optional<int> number = number_of(child))
        numbered.emplace(*number, std::move(*dataset));
      else if (child == "iteration")
        iteration = std::move(dataset);
      else
        throw UserError(join_text(file_.file(), ": dataset '", dataset->path,
                                  "' has an unknown name, expected a number"));
    }
    std::vector<KerasWeight> out;
    for (const auto& [number, dataset] : numbered) {
      if (number != static_cast<int>(out.size())) {
        throw UserError(join_text(file_.file(), ": group '", vars->path, "' has no dataset '",
                                  out.size(), "' but '", number, "'"));
      }
      out.push_back(read(dataset, ""));
    }
    const bool has_scalar =
        std::ranges::any_of(out, [](const KerasWeight& w) { return w.shape.empty(); });
    if (iteration && !has_scalar) out.push_back(read(*iteration, ""));
    return out;
  }

  std::vector<std::string> parts_of(const Hdf5Object& group) {
    std::vector<std::string> parts;
    for (const std::string& child : file_.children(group)) {
      if (std::ranges::find(kSkipped, child) == std::end(kSkipped)) parts.push_back(child);
    }
    const auto rank = [](const std::string& part) {
      return std::ranges::find(kFirst, part) - std::begin(kFirst);
    };
    std::ranges::stable_sort(parts,
                             [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    return parts;
  }

  // All variables below a layer's group, in the order of the older layout: trainable ones first.
  std::vector<KerasWeight> collect(const Hdf5Object& group, bool is_pruned, int depth) {
    if (depth > kMaxDepth)
      throw UserError(join_text(file_.file(), ": group '", group.path, "' is nested too deep"));
    count();
    std::vector<KerasWeight> own = own_variables(group);
    std::vector<KerasWeight> out;
    if (!is_pruned) out = std::move(own);
    for (const std::string& part : parts_of(group)) {
      const std::optional<Hdf5Object> sub = file_.find(group, part);
      if (!sub || !sub->is_group) continue;
      std::vector<KerasWeight> below = collect(*sub, false, depth + 1);
      if (part == "batchnorm" && below.size() == 4 && !out.empty() && out.back().shape.empty()) {
        // A folded layer: its step counter comes between the trained and the observed statistics.
        KerasWeight step = std::move(out.back());
        out.pop_back();
        below.insert(below.begin() + 2, std::move(step));
      }
      std::ranges::move(below, std::back_inserter(out));
    }
    // The wrapper's own variables: mask, threshold and step of each pruned weight.
    for (KerasWeight& w : is_pruned ? own : std::vector<KerasWeight>()) {
      w.name += w.shape.empty() ? "/threshold" : "/mask";
      out.push_back(std::move(w));
    }
    return out;
  }

  // Weights that no layer took: reported by name.
  void add_unused(const Hdf5Object& group, const std::set<std::string>& taken,
                  std::vector<KerasWeightGroup>& out, int depth) {
    if (depth > kMaxDepth) return;
    for (const std::string& child : file_.children(group)) {
      count();
      const std::optional<Hdf5Object> sub = file_.find(group, child);
      if (!sub || !sub->is_group || taken.contains(sub->path)) continue;
      if (const std::optional<Hdf5Object> inner = layers_of(*sub)) {
        add_unused(*inner, taken, out, depth + 1);
        continue;
      }
      std::vector<KerasWeight> weights = collect(*sub, false, 0);
      if (!weights.empty()) out.push_back({sub->path, std::move(weights)});
    }
  }

  Hdf5File& file_;
  KerasModel& model_;
  std::map<std::string, std::map<std::string, std::string>> names_;
  size_t groups_ = 0;
};

}  // namespace

bool is_v3_layout(Hdf5File& file) {
  const Hdf5Object root = file.root();
  return root.attribute("model_config") == nullptr && root.attribute("layer_names") == nullptr &&
         root.attribute("layer_names0") == nullptr &&
         (file.find(root, kLayers) || file.find(root, kLayersBefore215));
}

std::vector<KerasWeightGroup> read_v3_weights(Hdf5File& file, KerasModel& model) {
  return Reader(file, model).run();
}

}  // namespace qloom::keras
