#include "bindings/import/keras_import.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "bindings/import/assign_weights.h"
#include "bindings/import/layer.h"
#include "graph/builder.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

using keras::find_layer;
using keras::LayerBuilder;
using keras::LayerDef;
using keras::MaskUse;

// Keys that any layer may have and that say nothing about inference.
constexpr std::array<std::string_view, 9> kCommonKeys{
    "name",        "trainable", "dtype",       "batch_input_shape", "batch_shape",
    "input_shape", "input_dim", "input_dtype", "autocast"};
constexpr std::array<std::string_view, 3> kCommonSuffixes{"_initializer", "_regularizer",
                                                          "_constraint"};

bool contains(const auto& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_known_key(const LayerDef& def, std::string_view key) {
  return contains(def.keys, key) || contains(def.ignored, key) || contains(kCommonKeys, key) ||
         std::any_of(kCommonSuffixes.begin(), kCommonSuffixes.end(),
                     [&](std::string_view suffix) { return key.ends_with(suffix); });
}

// A key nobody knows may change the meaning of the layer; with null it cannot.
void check_keys(const KerasModel& model, const KerasLayer& layer, const LayerDef& def) {
  const ConfigView config = model.view(layer);
  for (const auto& [key, value] : config.as_object()) {
    if (!is_known_key(def, key) && !value.is_null()) {
      config[key].fail("this key of the configuration is unknown (its value is " +
                       value.to_string() + ")");
    }
  }
  const ConfigView dtype = config["dtype"];
  if (!dtype.is_none() && layer.class_name != "InputLayer") (void)dtype.as_choice({"float32"});
}

void check_supported(const KerasModel& model) {
  std::string missing;
  bool has_lambda = false;
  for (const KerasLayer& l : model.layers) {
    if (find_layer(l.class_name) == nullptr) {
      missing += (missing.empty() ? "'" : ", '") + l.name + "' (" + l.class_name + ")";
      has_lambda = has_lambda || l.class_name == "Lambda";
    }
  }
  qloom_check(missing.empty(), model.file, ": these layers are not supported: ", missing,
              has_lambda
                  ? "; a Lambda layer holds Python byte code, which is not run: write it with "
                    "layers that say what they do (Rescaling, Add, Multiply, Activation, "
                    "Reshape, …) and save again"
                  : "");
}

size_t expected_weights(const KerasModel& model, const KerasLayer& layer) {
  const LayerDef& def = *find_layer(layer.class_name);
  return def.weights == nullptr ? 0 : def.weights(model.view(layer)).size();
}

// The graph of one model, layer by layer.
class Importer {
 public:
  explicit Importer(const KerasModel& model)
      : model_(model), builder_(model.name), values_(model.layers.size()) {
    for (size_t k = 0; k < model.layers.size(); ++k) {
      index_.emplace(model.layers[k].name, k);
      values_[k].resize(model.layers[k].calls.size());
    }
  }

  Graph run(const ImportOptions& options) {
    builder_.graph().set_options(
        EvaluationOptions::preset(options.evaluation, Evaluation::canonical));
    // Inputs in the order of the model, not of its layers.
    for (const InputRef& ref : model_.inputs)
      build({index_.at(ref.layer), static_cast<size_t>(ref.node)});
    for (const KerasCallRef& call : model_.order) build(call);
    std::set<std::string> names;
    for (const InputRef& ref : model_.outputs) {
      const std::string& layer = model_.layers[index_.at(ref.layer)].name;
      std::string name = layer;
      for (int k = 1; !names.insert(name).second; ++k) name = layer + "." + std::to_string(k);
      builder_.output(name, value(ref, model_.file + ": output_layers").id);
    }
    if (options.split_softmax) split_softmax();
    builder_.graph().remove_dead();
    return builder_.finish();
  }

 private:
  struct Value {
    ValueId id;
    bool has_mask = false;
  };

  const Value& value(const InputRef& ref, const std::string& owner) const {
    qloom_check(ref.tensor == 0, owner, " refers to output ", ref.tensor, " of layer '", ref.layer,
                "', which has one output (counted from 0)");
    return *values_[index_.at(ref.layer)][static_cast<size_t>(ref.node)];
  }

  void build(const KerasCallRef& ref) {
    std::optional<Value>& result = values_[ref.layer][ref.call];
    if (result) return;
    const KerasLayer& layer = model_.layers[ref.layer];
    const KerasCall& call = layer.calls[ref.call];
    const LayerDef& def = *find_layer(layer.class_name);
    const std::string owner = model_.describe(layer);

    std::vector<ValueId> inputs;
    bool has_mask = layer.class_name == "Masking";
    for (const InputRef& input : call.inputs) {
      const Value& v = value(input, owner + ": inbound_nodes");
      inputs.push_back(v.id);
      has_mask = has_mask || v.has_mask;
    }
    const auto count = static_cast<int>(inputs.size());
    qloom_check(!call.constant || def.has_call_arguments, owner,
                ": inbound_nodes: a constant as first input is not supported");
    if (!def.has_call_arguments) check_call_arguments(call, owner);
    qloom_check(count >= def.min_inputs && count <= def.max_inputs, owner,
                ": inbound_nodes: the layer has ", count, " inputs, expected ", def.min_inputs,
                def.max_inputs > def.min_inputs ? " or more" : "");
    qloom_check(!has_mask || def.mask != MaskUse::uses, owner,
                ": the mask of a Masking layer arrives here and would change the result, which is "
                "not supported yet");
    if (layer.time_distributed) check_time_distributed(def, inputs, owner);

    // A shared layer: its later calls get names of their own.
    const std::string name =
        ref.call == 0 ? layer.name : layer.name + "." + std::to_string(ref.call);
    builder_.set_layer(layer.name, layer.class_name);
    try {
      LayerBuilder layer_builder(builder_, model_, layer, def, call, std::move(inputs), name);
      result = Value{def.build(layer_builder), has_mask && def.mask == MaskUse::passes};
    } catch (const UserError& error) {
      const std::string_view text = error.what();
      if (text.starts_with(owner)) throw;
      throw UserError(join_text(owner, ": ", text));
    }
  }

  // The layer sees one index of axis 1 at a time.
  void check_time_distributed(const LayerDef& def, const std::vector<ValueId>& inputs,
                              const std::string& owner) const {
    qloom_check(def.is_per_position, owner,
                ": TimeDistributed over a layer of this class is not supported yet; it is over "
                "Dense, QDense and element-wise layers");
    const Shape& shape = builder_.type(inputs.front()).shape;
    qloom_check(shape.size() >= 3, owner, ": TimeDistributed on an input of shape ",
                to_string(shape), ", expected 3 axes or more, the batch axis included");
  }

  // Arguments of the call besides the inputs: null ones and training=False say nothing.
  static void check_call_arguments(const KerasCall& call, const std::string& owner) {
    for (const auto& [key, value] : *call.kwargs.object()) {
      const bool is_inference =
          key == "training" && value.boolean() != nullptr && !*value.boolean();
      qloom_check(value.is_null() || is_inference, owner, ": inbound_nodes: the call argument ",
                  key, "=", value.to_string(), " is not supported");
    }
  }

  void split_softmax() {
    std::vector<std::pair<std::string, ValueId>> logits;
    for (const Graph::Output& output : builder_.graph().outputs()) {
      const Node& node = builder_.graph().producer(output.value);
      if (node.op->name == "softmax") logits.emplace_back(output.name, node.operands[0]);
    }
    for (const auto& [name, id] : logits)
      builder_.output(logits.size() == 1 ? "logits" : name + "/logits", id);
  }

  const KerasModel& model_;
  Builder builder_;
  std::map<std::string_view, size_t> index_;
  std::vector<std::vector<std::optional<Value>>> values_;
};

}  // namespace

Graph import_keras(const KerasModel& described, const ImportOptions& options) {
  check_supported(described);
  KerasModel model = described;
  for (const KerasLayer& l : model.layers) check_keys(model, l, *find_layer(l.class_name));
  if (!model.weight_groups.empty()) {  // else the caller has put them into the layers
    keras::assign_weights(model,
                          [&](const KerasLayer& l) { return expected_weights(model, l) > 0; });
    keras::apply_pruning_masks(model);
  }
  for (const KerasLayer& l : model.layers) {
    const size_t expected = expected_weights(model, l);
    qloom_check(l.weights.size() == expected, model.describe(l), ": the file has ",
                l.weights.size(), " weights for this layer, expected ", expected);
  }
  keras::check_finite(model);
  if (options.notes != nullptr) {
    options.notes->insert(options.notes->end(), model.notes.begin(), model.notes.end());
  }
  return Importer(model).run(options);
}

void set_weights(KerasModel& model, std::vector<KerasWeight> weights) {
  check_supported(model);
  size_t next = 0;
  for (KerasLayer& l : model.layers) {
    const size_t count = expected_weights(model, l);
    qloom_check(count <= weights.size() - next, model.describe(l), ": expected ", count,
                " weights, only ", weights.size() - next, " are left");
    l.weights.assign(
        std::make_move_iterator(weights.begin() + static_cast<std::ptrdiff_t>(next)),
        std::make_move_iterator(weights.begin() + static_cast<std::ptrdiff_t>(next + count)));
    next += count;
  }
  qloom_check(next == weights.size(), model.file, ": ", weights.size() - next,
              " weights belong to no layer");
  model.weight_groups.clear();
  model.has_weights = true;
}

}  // namespace qloom
