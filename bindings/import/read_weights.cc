#include "bindings/import/read_weights.h"

#include <set>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

KerasWeight read_weight(Hdf5File& file, const Hdf5Object& layer, const std::string& name) {
  const std::optional<Hdf5Object> dataset = file.find(layer, name);
  if (!dataset || !dataset->is_dataset) {
    throw UserError(join_text(file.file(), ": layer '", layer.path, "': weight_names lists '", name,
                              "', but there is no such dataset"));
  }
  KerasWeight w;
  w.name = name;
  w.shape = dataset->extents;
  w.values = file.read_float32(*dataset);
  return w;
}

}  // namespace

std::vector<KerasWeightGroup> read_weight_groups(Hdf5File& file, const Hdf5Object& group) {
  const std::string place = group.path.empty() ? "" : " of '" + group.path + "'";
  const auto layer_names = file.texts(group, "layer_names");
  if (!layer_names) {
    throw UserError(join_text(file.file(), ": attribute layer_names", place,
                              " is missing: it lists the layers in order"));
  }
  std::vector<KerasWeightGroup> out;
  std::set<std::string> seen;
  for (const std::string& name : *layer_names) {
    if (!seen.insert(name).second) {
      throw UserError(
          join_text(file.file(), ": layer_names", place, " lists layer '", name, "' twice"));
    }
    std::optional<Hdf5Object> layer = file.find(group, name);
    if (!layer) {
      throw UserError(join_text(file.file(), ": layer_names", place, " lists layer '", name,
                                "', but there is no group of that name"));
    }
    const auto weight_names = file.texts(*layer, "weight_names");
    if (!weight_names) {
      throw UserError(
          join_text(file.file(), ": layer '", name, "': attribute weight_names is missing"));
    }
    layer->path = group.path.empty() ? name : group.path + "/" + name;
    KerasWeightGroup g{name, {}};
    for (const std::string& w : *weight_names) g.weights.push_back(read_weight(file, *layer, w));
    out.push_back(std::move(g));
  }
  return out;
}

Hdf5Object find_weights(Hdf5File& file) {
  Hdf5Object root = file.root();
  const bool is_full_model = root.attribute("model_config") != nullptr;
  if (std::optional<Hdf5Object> weights = file.find(root, "model_weights"))
    return std::move(*weights);
  if (is_full_model) {
    throw UserError(join_text(
        file.file(),
        ": the group model_weights is missing: the file has a model_config but no weights"));
  }
  return root;
}

void check_keras_version(const std::string& version, const std::string& file) {
  if (version.starts_with("1.") || version == "1") {
    throw UserError(join_text(file, ": written by Keras ", version,
                              ", expected Keras 2 or later: Keras 1 kept kernels in "
                              "another orientation"));
  }
}

}  // namespace qloom::keras
