#include "bindings/import/keras_description.h"

namespace qloom {

const KerasLayer* KerasModel::find(std::string_view layer) const {
  for (const KerasLayer& l : layers) {
    if (l.name == layer) return &l;
  }
  return nullptr;
}

std::string KerasModel::describe(const KerasLayer& layer) const {
  return (layer.origin.empty() ? file : layer.origin) + ": layer '" + layer.name + "' (" +
         layer.class_name + ")";
}

ConfigView KerasModel::view(const KerasLayer& layer) const {
  return {layer.config, describe(layer)};
}

}  // namespace qloom
