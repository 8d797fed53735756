// bindings/cpp/network_weights.cc: variables of a Network.
#include <algorithm>
#include <cmath>
#include <random>

#include "bindings/cpp/network.h"
#include "bindings/cpp/network_state.h"
#include "bindings/import/assign_weights.h"
#include "bindings/import/places.h"
#include "bindings/import/read.h"
#include "graph/support/error.h"

namespace qloom {
namespace cpp {
namespace {

std::string text_of(const Extents& extents) {
  return to_string(Shape(extents.begin(), extents.end()));
}

/// Glorot-uniform: within ± sqrt(6 / (fan_in + fan_out)), the last two axes being in and out.
/// Source: Keras keras/src/initializers, VarianceScaling and _compute_fans.
Tensor glorot_uniform(const Extents& shape, uint64_t seed) {
  const int64_t count = element_count(shape);
  const int64_t out = shape.empty() ? 1 : shape.back();
  const int64_t in = shape.size() < 2 ? 1 : shape[shape.size() - 2];
  const int64_t positions = count / std::max<int64_t>(in * out, 1);
  const double limit =
      std::sqrt(6.0 / static_cast<double>(std::max<int64_t>((in + out) * positions, 1)));
  std::mt19937_64 generator(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {  // 53 bits: the same on every machine, other than uniform_real
    const double unit = static_cast<double>(generator() >> 11) * 0x1p-53;
    v = static_cast<float>((2 * unit - 1) * limit);
  }
  return Tensor(shape, std::move(values));
}

}  // namespace

Tensor initial_value(std::string_view variable, const Extents& shape, uint64_t seed) {
  if (variable == "gamma" || variable == "moving_variance") return Tensor::filled(shape, 1.0F);
  if (variable == "iteration" || variable == "step") return Tensor::filled(shape, -1.0F);
  if (variable.ends_with("kernel") || variable == "weight" || variable == "embeddings")
    return glorot_uniform(shape, seed);
  return Tensor::filled(shape, 0.0F);
}

size_t NetworkState::find_variable(size_t layer, std::string_view weight,
                                   const Where& where) const {
  std::string names;
  for (size_t k = 0; k < layers[layer].variables.size(); ++k) {
    const std::string& name = layers[layer].variables[k].name;
    if (name == weight) return k;
    names += (k == 0 ? "" : ", ") + name;
  }
  throw UserError(join_text(describe(layer, where), ": has no variable '", weight, "'; it has ",
                            names.empty() ? "none" : names));
}

void NetworkState::set_variable(size_t layer, size_t variable, const Tensor& value,
                                const Where& where) {
  Variable& v = layers[layer].variables[variable];
  const std::string owner = describe(layer, where) + ": " + v.name;
  qloom_check(v.has_shape, owner, " has no shape before the layer is called");
  qloom_check(value.dtype() == DType::f32, owner, ": expected float32 values, found ",
              qloom::name_of(value.dtype()));
  qloom_check(value.extents() == v.shape, owner, ": expected shape ", text_of(v.shape), ", found ",
              text_of(value.extents()));
  const auto odd = std::ranges::find_if(value.f32(), [](float f) { return !std::isfinite(f); });
  qloom_check(odd == value.f32().end(), owner, ": expected finite values, found ",
              odd == value.f32().end() ? 0.0F : *odd, " at element ", odd - value.f32().begin());
  v.value = value;
}

void NetworkState::load_weights(const std::string& path, bool only_matching, const Where& where) {
  KerasModel read = model;
  read.notes.clear();
  std::vector<std::string> classes;
  for (const KerasLayer& layer : read.layers) classes.push_back(layer.class_name);
  at(where, model, [&] {
    keras::place_layers(read, classes);
    read_weights(path, read);
    keras::assign_weights(read, [&](const KerasLayer& layer) {
      const bool named = std::ranges::any_of(read.weight_groups, [&](const KerasWeightGroup& g) {
        return g.name == layer.name && !g.weights.empty();
      });
      return keras::expected_weights(read, layer) > 0 && (named || !only_matching);
    });
  });
  // Everything is checked before anything is set.
  for (int pass = 0; pass < 2; ++pass)
    for (size_t k = 0; k < layers.size(); ++k) {
      const std::vector<KerasWeight>& found = read.layers[k].weights;
      if (found.empty()) continue;
      const std::vector<Variable>& variables = layers[k].variables;
      qloom_check(found.size() == variables.size(), describe(k, where), ": ", path, " has ",
                  found.size(), " variables for it, expected ", variables.size());
      for (size_t i = 0; i < variables.size(); ++i) {
        qloom_check(found[i].shape == variables[i].shape, describe(k, where), ": ",
                    variables[i].name, " (", found[i].name, " in ", path, ") has shape ",
                    text_of(found[i].shape), ", expected ", text_of(variables[i].shape));
        if (pass == 1) set_variable(k, i, Tensor(found[i].shape, found[i].values), where);
      }
    }
  notes.insert(notes.end(), read.notes.begin(), read.notes.end());
}

}  // namespace cpp

std::vector<WeightInfo> Network::weights(std::string_view layer, Where where) const {
  std::vector<WeightInfo> out;
  for (const auto& v : state_->layers[state_->find(layer, where)].variables)
    out.push_back({v.name, v.shape, v.value.has_value()});
  return out;
}

void Network::set_weight(std::string_view layer, std::string_view weight, const Tensor& values,
                         Where where) {
  const size_t index = state_->find(layer, where);
  state_->set_variable(index, state_->find_variable(index, weight, where), values, where);
}

void Network::set_weight(std::string_view layer, std::string_view weight,
                         std::span<const float> values, Where where) {
  const size_t index = state_->find(layer, where);
  const size_t variable = state_->find_variable(index, weight, where);
  const Extents& shape = state_->layers[index].variables[variable].shape;
  qloom_check(std::ssize(values) == element_count(shape), state_->describe(index, where), ": ",
              weight, ": expected ", element_count(shape), " values (shape ", cpp::text_of(shape),
              "), found ", values.size());
  state_->set_variable(index, variable,
                       Tensor(shape, std::vector<float>(values.begin(), values.end())), where);
}

void Network::set_weights(std::string_view layer, const std::vector<Tensor>& values, Where where) {
  const size_t index = state_->find(layer, where);
  const size_t count = state_->layers[index].variables.size();
  qloom_check(values.size() == count, state_->describe(index, where), ": expected ", count,
              " tensors, found ", values.size());
  for (size_t k = 0; k < count; ++k) state_->set_variable(index, k, values[k], where);
}

Tensor Network::weight(std::string_view layer, std::string_view weight, Where where) const {
  const size_t index = state_->find(layer, where);
  const size_t variable = state_->find_variable(index, weight, where);
  const auto& v = state_->layers[index].variables[variable];
  qloom_check(v.value.has_value(), state_->describe(index, where), ": ", weight, " is not set");
  return *v.value;
}

void Network::initialize(uint64_t seed, Where where) {
  for (size_t k = 0; k < state_->layers.size(); ++k) {
    auto& variables = state_->layers[k].variables;
    for (size_t i = 0; i < variables.size(); ++i) {
      if (variables[i].value || !variables[i].has_shape) continue;
      const uint64_t own = seed * 0x9E3779B97F4A7C15U + k * 1024 + i;
      state_->set_variable(k, i, cpp::initial_value(variables[i].name, variables[i].shape, own),
                           where);
    }
  }
}

void Network::load_weights(const std::string& path, bool only_matching, Where where) {
  state_->load_weights(path, only_matching, where);
}

}  // namespace qloom
