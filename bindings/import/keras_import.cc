#include "bindings/import/keras_import.h"

#include <algorithm>
#include <map>
#include <set>

#include "bindings/import/assign_weights.h"
#include "bindings/import/build_call.h"
#include "bindings/import/layer.h"
#include "graph/builder.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

using keras::BuiltValue;
using keras::expected_weights;
using keras::find_layer;

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

// The graph of one model, layer by layer.
class Importer {
 public:
  Importer(const KerasModel& model, keras::BuildMode mode)
      : model_(model), mode_(mode), builder_(model.name), values_(model.layers.size()) {
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
  BuiltValue value(const InputRef& ref, const std::string& owner) const {
    const BuiltValue& all = *values_[index_.at(ref.layer)][static_cast<size_t>(ref.node)];
    if (ref.tensor == 0) return {.id = all.id, .mask = all.mask};
    const size_t outputs = all.more.size() + 1;
    qloom_check(static_cast<uint64_t>(ref.tensor) < outputs, owner, " refers to output ",
                ref.tensor, " of layer '", ref.layer, "', which has ", outputs,
                outputs == 1 ? " output" : " outputs", " (counted from 0)");
    return {.id = all.more[static_cast<size_t>(ref.tensor) - 1]};
  }

  void build(const KerasCallRef& ref) {
    std::optional<BuiltValue>& result = values_[ref.layer][ref.call];
    if (result) return;
    const KerasLayer& layer = model_.layers[ref.layer];
    std::vector<BuiltValue> inputs;
    for (const InputRef& input : layer.calls[ref.call].inputs)
      inputs.push_back(value(input, model_.describe(layer) + ": inbound_nodes"));
    result = keras::build_call(builder_, model_, layer, ref.call, inputs, {}, mode_);
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
  keras::BuildMode mode_;
  Builder builder_;
  std::map<std::string_view, size_t> index_;
  std::vector<std::vector<std::optional<BuiltValue>>> values_;
};

}  // namespace

Graph import_keras(const KerasModel& described, const ImportOptions& options) {
  check_supported(described);
  KerasModel model = described;
  for (const KerasLayer& l : model.layers) keras::check_keys(model, l, *find_layer(l.class_name));
  if (!model.weight_groups.empty()) {  // else the caller has put them into the layers
    keras::assign_weights(model,
                          [&](const KerasLayer& l) { return expected_weights(model, l) > 0; });
    keras::apply_pruning_masks(model);
    keras::order_folded_weights(model);
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
  const bool training = options.phase == Phase::training;
  return Importer(model, {.training = training,
                          .keep_state = training || options.keep_state,
                          .random_seed = options.random_seed})
      .run(options);
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
  keras::order_folded_weights(model);
  model.weight_groups.clear();
  model.has_weights = true;
}

}  // namespace qloom
