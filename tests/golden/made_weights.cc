#include "tests/golden/made_weights.h"

#include <cstdint>
#include <map>

#include "bindings/cli/support/npy.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/layer.h"
#include "bindings/import/qtools_model.h"
#include "graph/support/error.h"

namespace qloom::golden {
namespace {

constexpr uint64_t kSeed = 0x716C6F6F6D;

/// Multiples of 2^-23 in [-1, 1), divided: splitmix64's (S. Vigna) outputs at places of their own.
std::vector<float> uniform(uint64_t tensor, int64_t count, float divisor) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t z = kSeed + (tensor << 32) + static_cast<uint64_t>(i) + 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    values.push_back((static_cast<float>(z >> 40) / 0x1p23F - 1.0F) / divisor);
  }
  return values;
}

}  // namespace

void make_weights(KerasModel& model, const std::string& norm) {
  std::map<std::string, Tensor> measured;
  for (auto& [name, array] : cli::read_arrays(norm)) measured.emplace(name, std::move(array));
  const qtools::QtoolsModel shapes = qtools_model_of(model);
  std::map<std::string, const qtools::ModelLayer*> by_name;
  for (const qtools::ModelLayer& layer : shapes.layers) by_name.emplace(layer.name, &layer);
  std::vector<KerasWeight> weights;
  for (const KerasLayer& layer : model.layers) {
    const keras::LayerDef* def = keras::find_layer(layer.class_name);
    if (def == nullptr || def->weights == nullptr) continue;
    const auto names = def->weights(model.view(layer));
    for (size_t i = 0; i < names.size(); ++i) {
      const Extents& shape = by_name.at(layer.name)->weights.at(i).shape;
      const int64_t count = element_count(shape);
      const std::string name(names[i]), place = layer.name + "/";
      std::vector<float> values;
      if (name == "kernel" || name == "depthwise_kernel") {
        values = uniform(weights.size(), count, layer.class_name == "QDense" ? 8.0F : 1.0F);
      } else if (name == "gamma") {
        values.assign(static_cast<size_t>(count), 1.0F);
      } else if (name == "beta") {
        values = uniform(weights.size(), count, 8.0F);
      } else if (name == "moving_mean" || name == "moving_variance") {
        const auto array = measured.find(place + name.substr(7));
        qloom_check(array != measured.end(), norm, " has no '", place, name.substr(7), "'");
        values.assign(array->second.f32().begin(), array->second.f32().end());
      } else {
        qloom_check(name == "bias", "no recipe for ", place, name);
        values.assign(static_cast<size_t>(count), 0.0F);
      }
      weights.push_back({place + name, shape, std::move(values)});
    }
  }
  set_weights(model, std::move(weights));
}

}  // namespace qloom::golden
