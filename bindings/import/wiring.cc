#include "bindings/import/wiring.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "graph/support/error.h"

namespace qloom::keras {
namespace {

constexpr std::string_view kConstant = "_CONSTANT_VALUE";
constexpr std::string_view kKerasTensor = "__keras_tensor__";

// [text, integer, integer] or [text, integer, anything, kwargs]: a reference. In a list of
// references the first element is a list, in a dict it is an object.
bool is_reference(const ConfigValue& v) {
  const ConfigValue::Array* a = v.array();
  return a != nullptr && (a->size() == 3 || a->size() == 4) && (*a)[0].text() != nullptr &&
         (*a)[1].integer() != nullptr;
}

InputRef read_reference(const ConfigView& reference) {
  InputRef ref;
  ref.layer = reference[0].as_text();
  ref.node = reference[1].as_integer();
  ref.tensor = reference[2].as_integer();
  if (ref.node < 0 || ref.tensor < 0)
    reference.fail_expected("[layer, node, tensor] with numbers from 0");
  return ref;
}

// Dicts of structured inputs are flattened in the order of their keys, as TensorFlow does.
std::vector<std::string> sorted_keys(const ConfigValue::Object& object) {
  std::vector<std::string> keys;
  for (const auto& [key, member] : object) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

// References of one Keras 2 call, structures flattened. The keyword arguments are repeated on each
// reference of the call: the first ones are taken.
void collect_keras2(const ConfigView& v, KerasCall& call) {
  if (is_reference(v.value())) {
    if (v[0].as_text() == kConstant) {
      call.constant = v[2].value();
    } else {
      call.inputs.push_back(read_reference(v));
    }
    if (v.size() == 4 && call.kwargs.is_null() && !v[3].is_none()) {
      (void)v[3].as_object();
      call.kwargs = v[3].value();
    }
  } else if (v.value().array() != nullptr) {
    for (size_t k = 0; k < v.size(); ++k) collect_keras2(v[k], call);
  } else if (const ConfigValue::Object* o = v.value().object()) {
    for (const std::string& key : sorted_keys(*o)) collect_keras2(v[key], call);
  } else {
    v.fail_expected("[layer, node, tensor, kwargs]");
  }
}

bool is_keras_tensor(const ConfigValue& v) {
  const ConfigValue* class_name = v.find("class_name");
  return class_name != nullptr && class_name->text() != nullptr &&
         *class_name->text() == kKerasTensor;
}

bool has_keras_tensor(const ConfigValue& v) {
  if (is_keras_tensor(v)) return true;
  if (const ConfigValue::Array* a = v.array()) return std::ranges::any_of(*a, has_keras_tensor);
  const ConfigValue::Object* o = v.object();
  return o != nullptr &&
         std::ranges::any_of(*o, [](const auto& m) { return has_keras_tensor(m.second); });
}

// Tensors anywhere in a positional argument of a Keras 3 call.
void collect_keras3(const ConfigView& v, KerasCall& call) {
  if (is_keras_tensor(v.value())) {
    call.inputs.push_back(read_reference(v["config"]["keras_history"]));
  } else if (const ConfigValue::Object* o = v.value().object()) {
    for (const std::string& key : sorted_keys(*o)) collect_keras3(v[key], call);
  } else if (v.value().array() != nullptr) {
    for (size_t k = 0; k < v.size(); ++k) collect_keras3(v[k], call);
  }
}

// The positional arguments of a Keras 3 call: tensors, structures of tensors, constants.
void collect_arguments(const ConfigView& arguments, KerasCall& call) {
  for (size_t k = 0; k < arguments.size(); ++k) {
    const ConfigView argument = arguments[k];
    if (argument.is_none()) continue;
    if (has_keras_tensor(argument.value())) {
      collect_keras3(argument, call);
    } else if (k == 0) {
      call.constant = argument.value();
    } else {
      call.kwargs.set("#" + std::to_string(k), argument.value());
    }
  }
}

// Tensors among the keyword arguments become inputs.
void collect_keyword_tensors(const ConfigView& keywords, KerasCall& call) {
  for (const auto& [key, value] : keywords.as_object()) {
    const ConfigView argument = keywords[key];
    const bool is_keras3 = is_keras_tensor(value);
    if (!is_keras3 && !is_reference(value)) {
      call.kwargs.set(key, value);
      continue;
    }
    const auto index = static_cast<int64_t>(call.inputs.size());
    call.inputs.push_back(
        read_reference(is_keras3 ? argument["config"]["keras_history"] : argument));
    call.kwargs.set(key, ConfigValue::Object{{"input", index}});
  }
}

void collect_references(const ConfigView& v, std::vector<InputRef>& out) {
  if (is_reference(v.value())) {
    out.push_back(read_reference(v));
  } else if (v.value().array() != nullptr) {
    for (size_t k = 0; k < v.size(); ++k) collect_references(v[k], out);
  } else if (const ConfigValue::Object* o = v.value().object()) {
    for (const std::string& key : sorted_keys(*o)) collect_references(v[key], out);
  } else {
    v.fail_expected("[layer, node, tensor]");
  }
}

using LayerIndex = std::unordered_map<std::string_view, size_t>;

LayerIndex index_layers(const KerasModel& model) {
  LayerIndex index;
  for (size_t k = 0; k < model.layers.size(); ++k) index.emplace(model.layers[k].name, k);
  return index;
}

void check_reference(const KerasModel& model, const LayerIndex& index, const InputRef& ref,
                     const std::string& owner) {
  const auto layer = index.find(ref.layer);
  if (layer == index.end()) {
    throw UserError(owner + " refers to layer '" + ref.layer + "', which does not exist");
  }
  const size_t calls = model.layers[layer->second].calls.size();
  if (static_cast<uint64_t>(ref.node) >= calls) {
    throw UserError(owner + " refers to call " + std::to_string(ref.node) + " of layer '" +
                    ref.layer + "', which has " + std::to_string(calls) + " (counted from 0)");
  }
}

// Depth-first search without recursion; nodes are calls, numbered through all layers.
class Sorter {
 public:
  explicit Sorter(const KerasModel& model) : model_(model), index_(index_layers(model)) {
    for (const KerasLayer& l : model.layers) {
      first_.push_back(total_);
      total_ += l.calls.size();
    }
    state_.resize(total_);
  }

  std::vector<KerasCallRef> run() {
    for (size_t l = 0; l < model_.layers.size(); ++l) {
      for (size_t c = 0; c < model_.layers[l].calls.size(); ++c) visit({l, c});
    }
    return std::move(order_);
  }

 private:
  enum class State : uint8_t { unseen, open, done };
  struct Frame {
    KerasCallRef call;
    size_t next_input = 0;
  };

  State& state(const KerasCallRef& c) { return state_[first_[c.layer] + c.call]; }
  [[nodiscard]] const KerasCall& call(const KerasCallRef& c) const {
    return model_.layers[c.layer].calls[c.call];
  }

  void visit(const KerasCallRef& start) {
    if (state(start) != State::unseen) return;
    std::vector<Frame> stack{{start}};
    state(start) = State::open;
    while (!stack.empty()) {
      Frame& frame = stack.back();
      const std::vector<InputRef>& inputs = call(frame.call).inputs;
      if (frame.next_input == inputs.size()) {
        state(frame.call) = State::done;
        order_.push_back(frame.call);
        stack.pop_back();
        continue;
      }
      const InputRef& ref = inputs[frame.next_input++];
      const KerasCallRef next{index_.at(ref.layer), static_cast<size_t>(ref.node)};
      if (state(next) == State::open) fail_cycle(stack, next);
      if (state(next) == State::unseen) {
        state(next) = State::open;
        stack.push_back({next});
      }
    }
  }

  [[noreturn]] void fail_cycle(const std::vector<Frame>& stack, const KerasCallRef& closing) const {
    size_t from = 0;
    while (stack[from].call.layer != closing.layer || stack[from].call.call != closing.call) ++from;
    std::string text = model_.file + ": the layers form a cycle: ";
    // The stack runs against the data: print it backwards.
    text += "'" + model_.layers[closing.layer].name + "'";
    constexpr size_t kShown = 12;
    size_t shown = 0;
    for (size_t k = stack.size(); k-- > from && shown < kShown; ++shown) {
      text += " → '" + model_.layers[stack[k].call.layer].name + "'";
    }
    throw UserError(text);
  }

  const KerasModel& model_;
  LayerIndex index_;
  std::vector<size_t> first_;
  size_t total_ = 0;
  std::vector<State> state_;
  std::vector<KerasCallRef> order_;
};

}  // namespace

std::vector<KerasCall> read_calls(const ConfigView& inbound_nodes) {
  std::vector<KerasCall> calls;
  for (size_t k = 0; k < inbound_nodes.size(); ++k) {
    const ConfigView node = inbound_nodes[k];
    KerasCall call;
    if (node.value().find("args") != nullptr) {
      call.kwargs = ConfigValue::Object();
      collect_arguments(node["args"], call);
      if (!node["kwargs"].is_none()) collect_keyword_tensors(node["kwargs"], call);
    } else {
      collect_keras2(node, call);
      const ConfigValue keywords = std::move(call.kwargs);
      call.kwargs = ConfigValue::Object();
      if (!keywords.is_null()) {
        collect_keyword_tensors(
            ConfigView(keywords, inbound_nodes.owner(), node.path() + ": arguments"), call);
      }
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

std::vector<InputRef> read_references(const ConfigView& references) {
  std::vector<InputRef> out;
  collect_references(references, out);
  return out;
}

void check_references(const KerasModel& model) {
  const LayerIndex index = index_layers(model);
  for (const KerasLayer& l : model.layers) {
    for (const KerasCall& c : l.calls) {
      for (const InputRef& ref : c.inputs)
        check_reference(model, index, ref, model.describe(l) + ": inbound_nodes");
    }
  }
  for (const InputRef& ref : model.inputs)
    check_reference(model, index, ref, model.file + ": input_layers");
  for (const InputRef& ref : model.outputs)
    check_reference(model, index, ref, model.file + ": output_layers");
}

std::vector<KerasCallRef> topological_order(const KerasModel& model) { return Sorter(model).run(); }

}  // namespace qloom::keras
