// bindings/cpp/network_state.h: what a Network holds. Not for users.
#pragma once

#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/cpp/network.h"
#include "bindings/import/build_call.h"
#include "bindings/import/keras_description.h"
#include "graph/builder.h"

namespace qloom::cpp {

using Where = std::source_location;

/// "train.cc:41".
[[nodiscard]] std::string place_of(const Where& where);

/// Runs `action`; a UserError that does not yet begin with a file and line gets the caller's.
template <class Action>
auto at(const Where& where, const KerasModel& model, Action&& action) {
  try {
    return action();
  } catch (const UserError& error) {
    const std::string_view text = error.what();
    for (const KerasLayer& layer : model.layers)
      if (!layer.origin.empty() && text.starts_with(layer.origin + ": ")) throw;
    throw UserError(place_of(where) + ": " + std::string(text));
  }
}

/// The description of the network as a Keras file would hold it, and beside it the graph that it
/// gives with initial weights: layers are checked and shapes known as soon as they are added.
struct NetworkState {
  struct Variable {
    std::string name;
    Extents shape;
    bool has_shape = false;
    std::optional<Tensor> value;
  };
  struct LayerState {
    std::vector<Variable> variables;
    std::vector<keras::BuiltValue> values;  ///< by call
  };

  explicit NetworkState(std::string name) : probe(name) { model.name = model.file = name; }

  KerasModel model;                ///< without weights
  std::vector<LayerState> layers;  ///< beside model.layers
  Builder probe;
  std::vector<std::string> notes;

  /// Adds a layer without a call. Leaves everything as it was when it throws.
  size_t add_layer(Layer layer, std::string name, const Where& where);
  /// Calls a layer. `call` has the arguments; its inputs are filled in.
  Symbol call_layer(size_t layer, std::span<const Symbol> inputs, KerasCall call,
                    const Where& where);
  /// Both; the layer is removed when the call throws.
  Symbol add(Layer layer, std::span<const Symbol> inputs, KerasCall call, std::string name,
             const Where& where);
  /// Throws UserError that lists the layers.
  [[nodiscard]] size_t find(std::string_view layer, const Where& where) const;
  [[nodiscard]] size_t find_variable(size_t layer, std::string_view weight,
                                     const Where& where) const;
  /// "train.cc:41: layer 'conv1' (QConv2D)".
  [[nodiscard]] std::string describe(size_t layer, const Where& where) const;
  void output(const Symbol& symbol, const Where& where);
  void set_variable(size_t layer, size_t variable, const Tensor& value, const Where& where);
  void load_weights(const std::string& path, bool only_matching, const Where& where);
  /// With the weights of the layers that have them all; the others are listed in `missing`.
  [[nodiscard]] KerasModel described(const Where& where, std::string* missing = nullptr) const;
  [[nodiscard]] Graph graph(const std::string& evaluation, const Where& where) const;

  [[nodiscard]] const std::string& name_of(const Symbol& s) const {
    return model.layers[s.layer_].name;
  }
  [[nodiscard]] const TensorType& type_of(const Symbol& s) const {
    return probe.type(layers[s.layer_].values[s.call_].id);
  }
  [[nodiscard]] static NetworkState& of(const Symbol& s) { return *s.network_; }

 private:
  [[nodiscard]] std::string fresh_name(std::string_view stem, bool always_counted) const;
  void check_name(const std::string& name, const std::string& owner) const;
  [[nodiscard]] InputRef reference(const Symbol& symbol, const std::string& owner) const;
  Tensor fill(size_t layer, std::string_view variable, const Extents& shape);
};

/// What Keras initializes a variable with: see Network::initialize.
[[nodiscard]] Tensor initial_value(std::string_view variable, const Extents& shape, uint64_t seed);

}  // namespace qloom::cpp
