#include "bindings/import/inline_models.h"

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

// Models called twice in models called twice … grow beyond any real network.
constexpr size_t kMaxCalls = 100000;

bool is_nested(const KerasLayer& layer) {
  return (layer.class_name == "Functional" || layer.class_name == "Model" ||
          layer.class_name == "Sequential") &&
         layer.config.find("layers") != nullptr;
}

struct NestedModel {
  KerasModel model;
  // Position among the model's inputs, and number of calls, by layer.
  std::unordered_map<std::string_view, size_t> input_index = {};
  std::unordered_map<std::string_view, size_t> calls = {};
};

class Inliner {
 public:
  Inliner(KerasModel& model, const std::function<KerasModel(const KerasLayer&)>& read)
      : model_(model) {
    size_t total = 0;
    for (size_t k = 0; k < model.layers.size(); ++k) {
      const KerasLayer& layer = model.layers[k];
      index_.emplace(layer.name, k);
      if (!is_nested(layer)) {
        total += layer.calls.size();
        continue;
      }
      NestedModel& nested = nested_.emplace(layer.name, NestedModel{read(layer)}).first->second;
      for (size_t i = 0; i < nested.model.inputs.size(); ++i)
        nested.input_index.emplace(nested.model.inputs[i].layer, i);
      for (const KerasLayer& inner : nested.model.layers) {
        nested.calls.emplace(inner.name, inner.calls.size());
        total += inner.calls.size() * layer.calls.size();
        if (total > kMaxCalls) {
          throw UserError(
              join_text(model.file, ": nested models make more than ", kMaxCalls, " calls"));
        }
      }
      check_calls(layer, nested);
    }
  }

  void run() {
    if (nested_.empty()) return;
    std::vector<KerasLayer> out;
    for (const KerasLayer& layer : model_.layers) {
      const auto nested = nested_.find(layer.name);
      if (nested == nested_.end()) {
        out.push_back(layer);
        for (KerasCall& call : out.back().calls) resolve(call.inputs);
      } else {
        add_layers(layer, nested->second, out);
        const std::vector<std::string>& notes = nested->second.model.notes;
        model_.notes.insert(model_.notes.end(), notes.begin(), notes.end());
      }
    }
    std::vector<InputRef> outputs = model_.outputs;
    resolve(outputs);
    model_.outputs = std::move(outputs);
    model_.layers = std::move(out);
  }

 private:
  void check_calls(const KerasLayer& layer, const NestedModel& nested) const {
    const std::string owner = model_.describe(layer) + ": inbound_nodes";
    for (const KerasCall& call : layer.calls) {
      if (call.inputs.size() != nested.model.inputs.size()) {
        throw UserError(join_text(owner, ": the model is called with ", call.inputs.size(),
                                  " inputs, expected ", nested.model.inputs.size()));
      }
      for (const auto& [key, value] : *call.kwargs.object()) {
        const bool is_inference =
            key == "training" && value.boolean() != nullptr && !*value.boolean();
        if (value.is_null() || is_inference) continue;
        throw UserError(owner + ": the call argument " + key + "=" + value.to_string() +
                        " is not supported");
      }
    }
    for (const KerasLayer& inner : nested.model.layers) {
      if (inner.class_name == "InputLayer" && !nested.input_index.contains(inner.name))
        throw UserError(model_.describe(layer) + ": its input '" + inner.name +
                        "' is not among input_layers");
    }
  }

  static InputRef inner_ref(const std::string& outer, const NestedModel& nested, int64_t outer_call,
                            const InputRef& ref) {
    const auto calls = static_cast<int64_t>(nested.calls.at(ref.layer));
    return {outer + "/" + ref.layer, outer_call * calls + ref.node, ref.tensor};
  }

  // What a reference between the layers of this model is among the new layers.
  InputRef resolve(InputRef ref) const {
    // A model may hand an input through: follow it. More steps than calls are a cycle.
    for (size_t steps = 0; steps <= kMaxCalls; ++steps) {
      const auto there = nested_.find(ref.layer);
      if (there == nested_.end()) return ref;
      const NestedModel& nested = there->second;
      const KerasLayer& layer = model_.layers[index_.at(ref.layer)];
      if (static_cast<size_t>(ref.tensor) >= nested.model.outputs.size()) {
        throw UserError(join_text(model_.file, ": a reference names output ", ref.tensor,
                                  " of model '", ref.layer, "', which has ",
                                  nested.model.outputs.size(), " (counted from 0)"));
      }
      const InputRef& output = nested.model.outputs[static_cast<size_t>(ref.tensor)];
      const auto input = nested.input_index.find(output.layer);
      if (input == nested.input_index.end()) return inner_ref(layer.name, nested, ref.node, output);
      ref = layer.calls[static_cast<size_t>(ref.node)].inputs[input->second];
    }
    throw UserError(model_.file + ": the layers form a cycle through model '" + ref.layer + "'");
  }

  void resolve(std::vector<InputRef>& refs) const {
    for (InputRef& ref : refs) ref = resolve(std::move(ref));
  }

  void add_layers(const KerasLayer& outer, const NestedModel& nested,
                  std::vector<KerasLayer>& out) const {
    for (const KerasLayer& inner : nested.model.layers) {
      if (nested.input_index.contains(inner.name)) continue;
      KerasLayer layer = inner;
      layer.name = outer.name + "/" + inner.name;
      layer.places.insert(layer.places.begin(), outer.places.begin(), outer.places.end());
      layer.calls.clear();
      for (size_t k = 0; k < outer.calls.size(); ++k) {
        for (const KerasCall& inner_call : inner.calls) {
          KerasCall call = inner_call;
          for (InputRef& ref : call.inputs) {
            const auto input = nested.input_index.find(ref.layer);
            ref = input == nested.input_index.end()
                      ? inner_ref(outer.name, nested, static_cast<int64_t>(k), ref)
                      : resolve(outer.calls[k].inputs[input->second]);
          }
          layer.calls.push_back(std::move(call));
        }
      }
      out.push_back(std::move(layer));
    }
  }

  KerasModel& model_;
  std::unordered_map<std::string_view, size_t> index_;
  std::unordered_map<std::string, NestedModel> nested_;
};

}  // namespace

void inline_models(KerasModel& model, const std::function<KerasModel(const KerasLayer&)>& read) {
  Inliner(model, read).run();
}

}  // namespace qloom::keras
