#include "bindings/cpp/network.h"

#include <algorithm>
#include <ostream>

#include "bindings/cpp/network_state.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/layers_table.h"
#include "bindings/import/places.h"
#include "bindings/report/summary.h"
#include "graph/support/error.h"

namespace qloom {
namespace cpp {
namespace {

std::string known_classes() {
  std::string names;
  for (const keras::LayerDef* def : keras::layers::all_layers())
    for (const std::string_view name : def->class_names)
      names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

KerasCall empty_call() {
  KerasCall call;
  call.kwargs = ConfigValue::Object();
  return call;
}

}  // namespace

std::string place_of(const Where& where) {
  const std::string_view path = where.file_name();
  return std::string(path.substr(path.rfind('/') + 1)) + ":" +  // npos + 1 is 0
         std::to_string(where.line());
}

std::string NetworkState::describe(size_t layer, const Where& where) const {
  const KerasLayer& l = model.layers[layer];
  return place_of(where) + ": layer '" + l.name + "' (" + l.class_name + ")";
}

std::string NetworkState::fresh_name(std::string_view stem, bool always_counted) const {
  std::string name(stem);
  if (always_counted) name += "_1";
  for (int k = always_counted ? 2 : 1; model.find(name) != nullptr; ++k)
    name = std::string(stem) + "_" + std::to_string(k);
  return name;
}

void NetworkState::check_name(const std::string& name, const std::string& owner) const {
  qloom_check(name.find('\0') == std::string::npos, owner, ": a name has no NUL characters");
  const KerasLayer* known = model.find(name);
  if (known != nullptr)
    throw UserError(join_text(owner, ": the name is taken by the layer of class ",
                              known->class_name, " of ", known->origin));
}

size_t NetworkState::add_layer(Layer layer, std::string name, const Where& where) {
  if (name.empty())
    name =
        fresh_name(layer.class_name == "InputLayer" ? "input" : keras::snake_case(layer.class_name),
                   layer.class_name == "InputLayer");
  KerasLayer described;
  described.name = name;
  described.class_name = std::move(layer.class_name);
  described.origin = place_of(where);
  described.config = std::move(layer.config);
  described.config.set("name", name);
  const std::string owner = model.describe(described);
  check_name(name, owner);
  const keras::LayerDef* def = keras::find_layer(described.class_name);
  qloom_check(def != nullptr, owner, ": there is no such class of layers; there are ",
              known_classes());
  keras::check_keys(model, described, *def);
  LayerState state;
  if (def->weights != nullptr)
    for (const std::string_view variable : def->weights(model.view(described)))
      state.variables.push_back({std::string(variable), {}, false, {}});
  model.layers.push_back(std::move(described));
  layers.push_back(std::move(state));
  return layers.size() - 1;
}

InputRef NetworkState::reference(const Symbol& symbol, const std::string& owner) const {
  qloom_check(symbol.network_ == this, owner, ": an input belongs to another network");
  return {name_of(symbol), static_cast<int64_t>(symbol.call_), 0};
}

Tensor NetworkState::fill(size_t layer, std::string_view variable, const Extents& shape) {
  std::vector<Variable>& variables = layers[layer].variables;
  const auto found = std::ranges::find(variables, variable, &Variable::name);
  qloom_assert(found != variables.end(), "variable ", variable, " is not in the list of its layer");
  qloom_check(!found->has_shape || found->shape == shape, variable, " has shape ",
              to_string(Shape(found->shape.begin(), found->shape.end())),
              " from the first call of the layer, this call expects ",
              to_string(Shape(shape.begin(), shape.end())));
  found->shape = shape;
  found->has_shape = true;
  return initial_value(variable, shape, 1);
}

Symbol NetworkState::call_layer(size_t layer, std::span<const Symbol> inputs, KerasCall call,
                                const Where& where) {
  const std::string owner = describe(layer, where);
  std::vector<keras::BuiltValue> built;
  for (const Symbol& s : inputs) {
    call.inputs.push_back(reference(s, owner));
    built.push_back(layers[s.layer_].values[s.call_]);
  }
  KerasLayer& described = model.layers[layer];
  const std::string origin = described.origin;
  described.origin = place_of(where);
  described.calls.push_back(std::move(call));
  const size_t index = described.calls.size() - 1;
  try {
    layers[layer].values.push_back(keras::build_call(
        probe, model, described, index, built,
        [&](std::string_view name, const Extents& shape) { return fill(layer, name, shape); }));
  } catch (const UserError&) {
    described.calls.pop_back();
    described.origin = origin;
    throw;
  }
  described.origin = origin;
  model.order.push_back({layer, index});
  return {*this, layer, index};
}

Symbol NetworkState::add(Layer layer, std::span<const Symbol> inputs, KerasCall call,
                         std::string name, const Where& where) {
  const size_t index = add_layer(std::move(layer), std::move(name), where);
  try {
    return call_layer(index, inputs, std::move(call), where);
  } catch (const UserError&) {
    model.layers.pop_back();
    layers.pop_back();
    throw;
  }
}

size_t NetworkState::find(std::string_view layer, const Where& where) const {
  std::string names;
  for (size_t k = 0; k < model.layers.size(); ++k) {
    if (model.layers[k].name == layer) return k;
    names += (k == 0 ? "'" : ", '") + model.layers[k].name + "'";
  }
  throw UserError(join_text(place_of(where), ": there is no layer '", layer,
                            "'; the layers: ", names.empty() ? "none" : names));
}

void NetworkState::output(const Symbol& symbol, const Where& where) {
  const InputRef ref = reference(symbol, place_of(where) + ": output");
  qloom_check(std::ranges::find(model.outputs, ref) == model.outputs.end(),
              describe(symbol.layer_, where), ": is an output already");
  model.outputs.push_back(ref);
}

KerasModel NetworkState::described(const Where& where, std::string* missing) const {
  qloom_check(!model.outputs.empty(), place_of(where), ": network '", model.name,
              "' has no output; make a symbol one with output()");
  KerasModel complete = model;
  for (size_t k = 0; k < layers.size(); ++k) {
    std::string variables;
    for (const Variable& v : layers[k].variables) {
      if (v.value)
        complete.layers[k].weights.push_back(
            {v.name, v.shape, {v.value->f32().begin(), v.value->f32().end()}});
      else
        variables += (variables.empty() ? "" : ", ") + v.name + " " +
                     to_string(Shape(v.shape.begin(), v.shape.end()));
    }
    if (variables.empty()) continue;
    complete.layers[k].weights.clear();
    if (missing != nullptr && !model.layers[k].calls.empty())
      *missing += "\n  " + model.describe(model.layers[k]) + ": " + variables;
  }
  std::erase_if(complete.layers, [](const KerasLayer& l) { return l.calls.empty(); });
  // Layers that were never called are gone: positions of the others change.
  for (KerasCallRef& ref : complete.order) {
    const std::string& name = model.layers[ref.layer].name;
    ref.layer = static_cast<size_t>(complete.find(name) - complete.layers.data());
  }
  return complete;
}

Graph NetworkState::graph(const std::string& evaluation, const Where& where) const {
  std::string missing;
  const KerasModel complete = described(where, &missing);
  qloom_check(
      missing.empty(), place_of(where), ": network '", model.name,
      "' has variables without values; use set_weights, load_weights or initialize:", missing);
  return at(where, model, [&] { return import_keras(complete, {.evaluation = evaluation}); });
}

}  // namespace cpp

using cpp::NetworkState;
using cpp::place_of;

const std::string& Symbol::layer() const { return network_->name_of(*this); }
const Shape& Symbol::shape() const { return type().shape; }
const TensorType& Symbol::type() const { return network_->type_of(*this); }

std::ostream& operator<<(std::ostream& out, const Symbol& s) {
  return out << s.layer() << ": " << s.type();
}

Symbol SharedLayer::operator()(const Symbols& inputs, std::source_location where) const {
  return network_->call_layer(layer_, inputs.all(), cpp::empty_call(), where);
}

Network::Network(std::string name, NetworkOptions options)
    : state_(std::make_unique<NetworkState>(std::move(name))) {
  state_->model.functional = true;
  state_->model.keras_version = std::move(options.keras_version);
}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;

Symbol Network::input(const Extents& shape, std::string name, Where where) {
  ConfigValue::Array extents(1);  // the batch axis: null
  for (const int64_t extent : shape) extents.emplace_back(extent);
  const Symbol s = state_->add({"InputLayer", {{"batch_input_shape", std::move(extents)}}}, {},
                               cpp::empty_call(), std::move(name), where);
  state_->model.inputs.push_back({s.layer(), 0, 0});
  return s;
}

Symbol Network::add(const Layer& layer, const Symbols& inputs, std::string name, Where where) {
  return state_->add(layer, inputs.all(), cpp::empty_call(), std::move(name), where);
}

SharedLayer Network::share(const Layer& layer, std::string name, Where where) {
  return {*state_, state_->add_layer(layer, std::move(name), where)};
}

void Network::output(const Symbol& symbol, Where where) { state_->output(symbol, where); }

const std::vector<std::string>& Network::notes() const { return state_->notes; }

std::vector<std::string> Network::layers() const {
  std::vector<std::string> names;
  for (const KerasLayer& layer : state_->model.layers) names.push_back(layer.name);
  return names;
}

Graph Network::graph(const std::string& evaluation, Where where) const {
  return state_->graph(evaluation, where);
}

KerasModel Network::description(Where where) const { return state_->described(where); }

CompiledNetwork Network::compile(const passes::CompileOptions& options, Where where) const {
  Graph graph = state_->graph("predict", where);
  return cpp::at(where, state_->model, [&] { return CompiledNetwork(std::move(graph), options); });
}

std::string Network::summary(Where where) const {
  return report::to_text(report::summary_of(state_->graph("predict", where)));
}

std::ostream& operator<<(std::ostream& out, const Network& net) {
  const NetworkState& state = *net.state_;
  out << "network " << state.model.name << "\n";
  for (const KerasCallRef& ref : state.model.order) {
    const KerasLayer& layer = state.model.layers[ref.layer];
    out << "  " << layer.name << " = " << layer.class_name << "(";
    const std::vector<InputRef>& inputs = layer.calls[ref.call].inputs;
    for (size_t k = 0; k < inputs.size(); ++k) out << (k == 0 ? "" : ", ") << inputs[k].layer;
    const TensorType& type = state.probe.type(state.layers[ref.layer].values[ref.call].id);
    out << "): " << type << "\n";
  }
  for (const InputRef& ref : state.model.outputs) out << "  output " << ref.layer << "\n";
  return out;
}

namespace {

// Sums, differences and products are TFOpLambda layers, as in Keras 2.
Symbol expression(const SymbolOperand& a, const char* name, const char* function,
                  std::span<const Symbol> inputs, KerasCall call) {
  NetworkState& state = NetworkState::of(a.symbol);
  std::string fresh = name;
  for (int k = 1; state.model.find(fresh) != nullptr; ++k) fresh = name + ("_" + std::to_string(k));
  return state.add({"TFOpLambda", {{"function", std::string(function)}}}, inputs, std::move(call),
                   std::move(fresh), a.where);
}

Symbol of_symbols(const SymbolOperand& a, const Symbol& b, const char* name, const char* function) {
  const Symbol inputs[] = {a.symbol, b};
  return expression(a, name, function, inputs, cpp::empty_call());
}

Symbol of_number(const SymbolOperand& a, double b, const char* name, const char* function) {
  KerasCall call = cpp::empty_call();
  call.kwargs.set("y", b);
  return expression(a, name, function, {&a.symbol, 1}, std::move(call));
}

}  // namespace

Symbol operator+(const SymbolOperand& a, const Symbol& b) {
  return of_symbols(a, b, "add", "__operators__.add");
}
Symbol operator-(const SymbolOperand& a, const Symbol& b) {
  return of_symbols(a, b, "subtract", "math.subtract");
}
Symbol operator*(const SymbolOperand& a, const Symbol& b) {
  return of_symbols(a, b, "multiply", "math.multiply");
}
Symbol operator+(const SymbolOperand& a, double b) {
  return of_number(a, b, "add", "__operators__.add");
}
Symbol operator-(const SymbolOperand& a, double b) {
  return of_number(a, b, "subtract", "math.subtract");
}
Symbol operator*(const SymbolOperand& a, double b) {
  return of_number(a, b, "multiply", "math.multiply");
}

}  // namespace qloom
