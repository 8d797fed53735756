#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/import/config_value.h"

namespace qloom {

/// One stored variable of a layer, converted to float32. `name` is the file's ("conv1/kernel:0").
/// Rank 0 has an empty shape and one value.
struct KerasWeight {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// The variables that a file holds under one layer name, in the file's order.
struct KerasWeightGroup {
  std::string name;
  std::vector<KerasWeight> weights;
};

/// A tensor: output `tensor` of the `node`-th call of a layer.
struct InputRef {
  std::string layer;
  int64_t node = 0;
  int64_t tensor = 0;
  bool operator==(const InputRef&) const = default;
};

/// One call of a layer. `constant` is a constant first argument (op layers only). A tensor among
/// the keyword arguments is one of the inputs too: its value is `{"input": index}`. Constants at
/// later positions (Keras 3) are keyword arguments called "#1", "#2", ….
struct KerasCall {
  std::vector<InputRef> inputs;
  std::optional<ConfigValue> constant;
  ConfigValue kwargs;
};

/// Where a weights file in the layout of Keras 3 keeps a layer or a model: the group is called
/// after the class ("q_dense_1"), the name is an attribute of it.
struct KerasPlace {
  std::string name;
  std::string group;
};

/// A layer: its configuration is normalised (see normalize.h) but not interpreted. Several calls =
/// a shared layer. A layer of a nested model is called "model/layer"; a wrapped one has the name of
/// the wrapper, and class and configuration of what is inside. `weights` is filled by
/// `assign_weights`.
struct KerasLayer {
  std::string name;
  std::string class_name;
  ConfigValue config;
  std::vector<KerasCall> calls;
  std::vector<KerasWeight> weights;
  std::vector<KerasPlace>
      places;                     ///< from the outermost model inwards; the last is the layer's own
  std::string origin = {};        ///< where it was described, if not in the file: "train.cc:41"
  bool time_distributed = false;  ///< applied to each index of axis 1
  bool pruned = false;            ///< trained with masks (PruneLowMagnitude)
};

/// A call of a layer, by position in `KerasModel::layers`.
struct KerasCallRef {
  size_t layer = 0;
  size_t call = 0;
};

/// What a Keras file says, nothing interpreted. Sequential models are chains here; their
/// InputLayer is added where the file has none. Nested models are replaced by their layers.
/// Invariants: layer names are unique, every reference names an existing layer and call, there is
/// no cycle, outputs are not empty.
struct KerasModel {
  std::string name;
  std::string file;                 ///< as the caller named it; begins every message
  std::string keras_version;        ///< "" when the file does not say
  bool functional = false;          ///< false: written as Sequential
  std::vector<KerasLayer> layers;   ///< in the file's order (`model.layers`, with InputLayers)
  std::vector<KerasCallRef> order;  ///< all calls, each after those it reads
  std::vector<InputRef> inputs, outputs;
  std::vector<KerasWeightGroup> weight_groups;  ///< not yet assigned to layers
  bool has_weights = false;                     ///< false: read as an architecture only
  std::vector<std::string> notes;               ///< what a user should know, a sentence each

  /// Null when there is no such layer.
  [[nodiscard]] const KerasLayer* find(std::string_view layer) const;
  /// "cnn.h5: layer 'conv1' (QConv2D)": how messages begin; with the layer's origin if it has one.
  [[nodiscard]] std::string describe(const KerasLayer& layer) const;
  /// The layer's configuration, knowing its place.
  [[nodiscard]] ConfigView view(const KerasLayer& layer) const;
};

}  // namespace qloom
