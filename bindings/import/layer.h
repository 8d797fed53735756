// bindings/import/layer.h: how one Keras layer becomes ops. A family of layers is one file in
// layers/ that defines a LayerDef, and one line in CMakeLists.txt.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/import/keras_description.h"
#include "graph/builder.h"

namespace qloom::keras {

/// What a layer does with Keras's mask of time steps (Masking, Embedding). `refuses`: it would use
/// one in a way that is not supported. `builds`: `build` uses it and says with
/// LayerBuilder::set_mask what goes on.
enum class MaskUse : uint8_t { drops, passes, refuses, builds };

class LayerBuilder;

/// Where the body of a scan has what its draws are counted by: made when the first is needed.
struct DrawCounter {
  int64_t numbers = 0;        ///< how many count
  std::optional<ValueId> id;  ///< f32 [numbers], an input of the body
};

/// A family of layers that share a build function.
struct LayerDef {
  std::span<const std::string_view> class_names;
  std::string_view doc;
  /// Configuration keys that `build` reads.
  std::span<const std::string_view> keys;
  /// Known keys without effect on inference. Keys that all layers have (name, trainable,
  /// initializers, …) are known to the importer.
  std::span<const std::string_view> ignored = {};
  int min_inputs = 1;
  int max_inputs = 1;
  MaskUse mask = MaskUse::drops;
  /// True when `build` reads the call's constants and keyword arguments; else they are refused.
  bool has_call_arguments = false;
  /// True when the layer treats all positions of all axes but the last alike, so that
  /// TimeDistributed changes nothing; or when `build` asks for it.
  bool is_per_position = false;
  /// What the training phase does otherwise than inference, for the README; "": nothing.
  std::string_view training = "";
  /// Names of the variables in the order of the file; null: the layer has none.
  std::vector<std::string_view> (*weights)(const ConfigView& config) = nullptr;
  /// Adds the ops. Throws UserError; the importer puts file, layer and class in front.
  ValueId (*build)(LayerBuilder& layer) = nullptr;
};

/// The definition for a class; null when it is not supported.
[[nodiscard]] const LayerDef* find_layer(std::string_view class_name);

/// Stands in for variables of a layer that has none yet: gets the name and the shape that the layer
/// expects. Without it missing variables are an error.
using WeightFill = std::function<Tensor(std::string_view name, const Extents& shape)>;

/// What QKeras makes of an argument that may name a quantizer or a function: null, an object, or
/// text. An absent key gives `fallback` (text in the same grammar; "" for none). Throws UserError
/// naming the key.
[[nodiscard]] QuantizerOrFunction read_quantizer(const ConfigView& v,
                                                 std::string_view fallback = "");

/// What a graph is built for. Graphs of one model share their state by name.
struct BuildMode {
  bool training = false;    ///< the phase: statistics of the batch, delays, random draws
  bool keep_state = false;  ///< what calls update are variables; else constants, as they are now
  /// Quantizers that draw do so in the training phase, bernoulli always; none: nobody draws.
  std::optional<int64_t> random_seed = {};
};

/// The state that holds a variable of the layer: "layer/moving_mean".
[[nodiscard]] std::string state_name(const KerasLayer& layer, std::string_view variable);

/// What a build function works with: the layer's configuration, inputs and weights, and the graph.
class LayerBuilder {
 public:
  LayerBuilder(Builder& graph, const KerasModel& model, const KerasLayer& layer,
               const LayerDef& def, const KerasCall& call, std::vector<ValueId> inputs,
               std::string name, WeightFill fill = {}, BuildMode mode = {},
               std::optional<ValueId> mask = {});

  /// A layer within this one (a cell, one direction of two), which builds into `into`. Of this
  /// layer's variables it has those called `prefix` + name; `layer` must live as long as the
  /// result.
  [[nodiscard]] LayerBuilder part(Builder& into, const KerasLayer& layer, const LayerDef& def,
                                  std::vector<ValueId> inputs, std::string prefix,
                                  std::optional<ValueId> mask = {}) const;
  /// The description of such a layer: class and configuration, the name of this one, and `count`
  /// of this one's variables. Throws UserError for keys of the configuration that `def` does not
  /// know.
  [[nodiscard]] KerasLayer part_layer(const ConfigView& object, const LayerDef& def,
                                      size_t first_weight, size_t weights) const;

  Builder& graph;

  [[nodiscard]] std::string_view class_name() const { return layer_.class_name; }
  [[nodiscard]] const std::string& layer_name() const { return layer_.name; }
  [[nodiscard]] const KerasLayer& description() const { return layer_; }
  /// True for QKeras's classes.
  [[nodiscard]] bool is_quantized() const { return layer_.class_name.starts_with('Q'); }
  [[nodiscard]] bool is_keras3() const { return model_.keras_version.starts_with("3"); }
  /// A key of the configuration; absent keys give an absent view.
  [[nodiscard]] ConfigView config(std::string_view key) const { return config_[key]; }
  [[nodiscard]] const ConfigView& config() const { return config_; }
  /// "cnn.h5: layer 'conv1' (QConv2D)": how messages begin.
  [[nodiscard]] const std::string& owner() const { return config_.owner(); }
  /// The layer is applied to each index of axis 1. Seen by recurrent layers only: all others are
  /// built for one index.
  [[nodiscard]] bool is_time_distributed() const { return layer_.time_distributed; }
  /// Some layer of the model takes time steps before samples.
  [[nodiscard]] bool any_is_time_major() const;
  /// The call that is built. Its tensors are `inputs`.
  [[nodiscard]] const KerasCall& call() const { return call_; }
  [[nodiscard]] const std::vector<ValueId>& inputs() const { return inputs_; }
  [[nodiscard]] ValueId input() const { return inputs_.front(); }
  [[nodiscard]] const Shape& shape(ValueId v) const { return graph.type(v).shape; }
  [[nodiscard]] int rank(ValueId v) const { return graph.type(v).rank(); }
  /// Throws unless the first input has this rank, batch axis included.
  void require_rank(int rank) const;

  /// bit [N, T] (x without its last axis) of the time steps that count, if Keras sends a mask
  /// along.
  [[nodiscard]] std::optional<ValueId> mask() const { return mask_; }
  /// The mask of each input: `mask` is what they have in common.
  [[nodiscard]] const std::vector<std::optional<ValueId>>& input_masks() const {
    return input_masks_;
  }
  void set_input_masks(std::vector<std::optional<ValueId>> masks) {
    input_masks_ = std::move(masks);
  }
  /// `passes` and `builds`: the mask that goes on with the result.
  void set_mask(std::optional<ValueId> mask) { mask_ = mask; }
  /// Results besides the one that `build` returns, in order.
  std::vector<ValueId> more;

  /// The name of the layer's last node; `part` names the others: "conv1/bias".
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string name(std::string_view part) const {
    return name_ + "/" + std::string(part);
  }
  /// The name of a node: the layer's own if it is the last one, else "layer/part".
  [[nodiscard]] std::string name(std::string_view part, bool is_last) const;

  /// True for channels_first; false where the key is absent.
  [[nodiscard]] bool channels_first() const;
  /// "same", "valid" or (only if allowed) "causal", written in any case.
  [[nodiscard]] ops::Padding padding(bool allow_causal = false) const;

  /// A variable as a constant, its shape checked. `axes` says in the message where the shape comes
  /// from ("kernel_size, input channels / groups, filters").
  ValueId weight(std::string_view weight_name, const Extents& expected, std::string_view axes);
  /// True in the training phase, unless the layer is frozen: QKeras's `training`.
  [[nodiscard]] bool is_training() const {
    return mode_.training && config_["trainable"].bool_or(true);
  }
  [[nodiscard]] bool keeps_state() const { return mode_.keep_state; }
  /// A variable that calls update: like `weight`, but state where the graph keeps it.
  ValueId statistic(std::string_view weight_name, const Extents& expected, std::string_view axes);
  /// State of the layer that no file holds; as far as this graph has come (Builder::variable). Not
  /// within the body of a scan.
  ValueId state(std::string_view variable, Tensor initial, bool per_sample = false);
  /// From here on the state has this value.
  void set_state(std::string_view variable, ValueId value);
  /// `read_quantizer` of a key.
  [[nodiscard]] QuantizerOrFunction quantizer(std::string_view key,
                                              std::string_view fallback = "") const;
  /// A weight quantizer: like `quantizer`, and alpha=None becomes auto_po2 (QKeras's
  /// _set_trainable_parameter).
  [[nodiscard]] QuantizerOrFunction weight_quantizer(std::string_view key,
                                                     std::string_view fallback = "") const;
  /// The `activation` of a layer: QKeras's grammar in Q layers, Keras's functions in others.
  [[nodiscard]] QuantizerOrFunction activation(std::string_view key = "activation",
                                               std::string_view fallback = "") const;
  /// Builder::apply; a quantizer that draws in this phase gets a stream of its own, counted by
  /// `draw_counter`.
  ValueId apply(const QuantizerOrFunction& what, ValueId x, const std::string& node_name);
  /// What draws are counted by, f32 [n]: the state "random/calls", which every call raises by one;
  /// in the body of a scan what `count_draws` has set.
  ValueId draw_counter();
  void count_draws(DrawCounter& counter) { body_counter_ = &counter; }
  /// What a layer that is built into a body counts by: what this one does, and steps.
  [[nodiscard]] DrawCounter step_counter() const {
    return {(body_counter_ == nullptr ? 1 : body_counter_->numbers) + 1, {}};
  }
  /// If the body drew: the scan's operand, and the body's output, for the state that counts.
  void add_step_counter(const DrawCounter& counter, std::vector<ValueId>& operands, Builder& body,
                        const std::string& scan);
  /// A constant, quantized. The constant is called "layer/part", its quantizer
  /// "layer/part_quantizer".
  ValueId quantized(ValueId constant, const QuantizerOrFunction& quantizer, std::string_view part);
  /// Applies an activation; `x` must already be called "layer/…". Adds nothing for none and linear.
  ValueId activate(ValueId x, const QuantizerOrFunction& activation) {
    return activate(x, activation, name_);
  }
  /// The same with the name of the last node.
  ValueId activate(ValueId x, const QuantizerOrFunction& activation, const std::string& node_name);

  /// The value under the layer's name: where the last node of a formula has a name of its own.
  ValueId named(ValueId x);

  /// [N, C, spatial…] ↔ [N, spatial…, C].
  ValueId to_channels_last(ValueId x);
  ValueId to_channels_first(ValueId x, std::string node_name);

  /// Adds a bias of the layer's `bias` variable (through its quantizer in Q layers) and the
  /// activation: the common tail of dense and convolution layers. `x` has its channels last.
  ValueId add_bias_and_activate(ValueId x, int64_t channels, std::string_view axes);
  /// Whether something follows the sum: decides the name of the node before.
  [[nodiscard]] bool has_bias() const { return config_["use_bias"].bool_or(true); }

  /// Throws a UserError with the layer in front.
  [[noreturn]] void fail(std::string_view text) const;

 private:
  const KerasModel& model_;
  const KerasLayer& layer_;
  const LayerDef& def_;
  const KerasCall& call_;
  ConfigView config_;
  std::vector<ValueId> inputs_;
  std::string name_;
  WeightFill fill_;
  BuildMode mode_;
  std::optional<ValueId> mask_;
  std::vector<std::optional<ValueId>> input_masks_;
  DrawCounter* body_counter_ = nullptr;

  /// The variable's value as the file has it, its shape checked.
  [[nodiscard]] Tensor weight_value(std::string_view weight_name, const Extents& expected,
                                    std::string_view axes) const;
};

/// True when applying it changes nothing: none, or Keras's linear.
[[nodiscard]] bool is_identity(const QuantizerOrFunction& what);

}  // namespace qloom::keras
