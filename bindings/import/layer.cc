#include "bindings/import/layer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "bindings/import/build_call.h"
#include "bindings/import/layers_table.h"
#include "graph/support/error.h"

namespace qloom::keras {
namespace {

// Functions that Keras 2 layers know by name, and what the activation op calls them.
struct KerasFunction {
  std::string_view keras_name;
  std::string_view op_name;
};
constexpr KerasFunction kKerasFunctions[] = {
    {"elu", "elu"},           {"exponential", "exponential"},
    {"gelu", "gelu"},         {"hard_sigmoid", "keras_hard_sigmoid"},
    {"linear", "linear"},     {"mish", "mish"},
    {"relu", "relu"},         {"relu6", "relu6"},
    {"selu", "selu"},         {"sigmoid", "sigmoid"},
    {"silu", "swish"},        {"softmax", "softmax"},
    {"softplus", "softplus"}, {"softsign", "softsign"},
    {"swish", "swish"},       {"tanh", "tanh"},
};

// A composition: see LayerBuilder::activate.
constexpr std::string_view kKeras3HardSigmoid = "keras3_hard_sigmoid";

void append_numbers(const ConfigView& v, AttributeValue::Reals& reals, bool& integral) {
  if (v.value().array() != nullptr) {
    for (size_t k = 0; k < v.size(); ++k) append_numbers(v[k], reals, integral);
  } else {
    integral = integral && v.value().integer() != nullptr;
    reals.push_back(v.as_real());
  }
}

// The shape of a nested list.
AttributeValue::Integers shape_of(ConfigView v) {
  AttributeValue::Integers extents;
  while (v.value().array() != nullptr) {
    extents.push_back(static_cast<int64_t>(v.size()));
    if (v.size() == 0) break;
    v = v[size_t{0}];
  }
  return extents;
}

// Nested lists (a scale of shape [1, 1, 1, C]) keep their shape: {shape=…, values=…}.
AttributeValue to_attribute(const ConfigView& v) {
  const ConfigValue& value = v.value();
  if (value.is_null()) return {};
  if (const bool* b = value.boolean()) return *b;
  if (const int64_t* i = value.integer()) return *i;
  if (value.real() != nullptr) return v.as_real();
  if (const std::string* s = value.text()) return *s;
  if (value.array() == nullptr) v.fail_expected("a number, a text, a list of numbers or null");
  AttributeValue::Reals reals;
  bool integral = true;
  append_numbers(v, reals, integral);
  if (const AttributeValue::Integers extents = shape_of(v); extents.size() > 1) {
    int64_t count = 1;
    for (const int64_t extent : extents) count *= extent;
    if (count != std::ssize(reals)) v.fail_expected("lists of equal length");
    return Attributes{{"shape", extents}, {"values", reals}};
  }
  if (!integral) return reals;
  AttributeValue::Integers integers;
  for (const double r : reals) integers.push_back(static_cast<int64_t>(r));
  return integers;
}

QuantizerOrFunction from_object(const ConfigView& v) {
  const std::string& class_name = v["class_name"].as_text();
  const ConfigView config = v["config"];
  if (find_quantizer(class_name) == nullptr) {
    // The name of a function gives the function; what is neither is refused with the name.
    return parse_quantizer(class_name);
  }
  Attributes arguments;
  if (!config.is_none()) {
    for (const auto& [key, unused] : config.as_object())
      arguments.set(key, to_attribute(config[key]));
  }
  return Quantizer::from_config(class_name, arguments);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string text_of(const Extents& extents) {
  std::string out = "[";
  for (size_t k = 0; k < extents.size(); ++k)
    out += (k == 0 ? "" : ", ") + std::to_string(extents[k]);
  return out + "]";
}

}  // namespace

const LayerDef* find_layer(std::string_view class_name) {
  for (const LayerDef* def : layers::all_layers()) {
    if (std::find(def->class_names.begin(), def->class_names.end(), class_name) !=
        def->class_names.end())
      return def;
  }
  return nullptr;
}

bool is_identity(const QuantizerOrFunction& what) {
  if (std::holds_alternative<std::monostate>(what)) return true;
  const auto* function = std::get_if<ActivationFunction>(&what);
  return function != nullptr && function->name == "linear";
}

LayerBuilder::LayerBuilder(Builder& graph_builder, const KerasModel& model, const KerasLayer& layer,
                           const LayerDef& def, const KerasCall& call, std::vector<ValueId> inputs,
                           std::string name, WeightFill fill, BuildMode mode,
                           std::optional<ValueId> mask)
    : graph(graph_builder),
      model_(model),
      layer_(layer),
      def_(def),
      call_(call),
      config_(model.view(layer)),
      inputs_(std::move(inputs)),
      name_(std::move(name)),
      fill_(std::move(fill)),
      mode_(mode),
      mask_(mask) {}

std::string state_name(const KerasLayer& layer, std::string_view variable) {
  return layer.name + "/" + std::string(variable);
}

LayerBuilder LayerBuilder::part(Builder& into, const KerasLayer& layer, const LayerDef& def,
                                std::vector<ValueId> inputs, std::string prefix,
                                std::optional<ValueId> mask) const {
  WeightFill fill;
  if (fill_)
    fill = [prefix, all = fill_](std::string_view weight_name, const Extents& shape) {
      return all(prefix + std::string(weight_name), shape);
    };
  return {into, model_, layer, def, call_, std::move(inputs), name_, std::move(fill), mode_, mask};
}

KerasLayer LayerBuilder::part_layer(const ConfigView& object, const LayerDef& def,
                                    size_t first_weight, size_t weights) const {
  KerasLayer layer;
  layer.name = layer_.name;
  layer.class_name = object["class_name"].as_text();
  layer.config = object["config"].value();
  layer.origin = layer_.origin;
  check_keys(model_, layer, def);
  if (layer_.weights.empty()) return layer;
  if (first_weight + weights > layer_.weights.size())
    fail(join_text("the file has ", layer_.weights.size(), " weights, expected ",
                   first_weight + weights, " or more"));
  const auto first = layer_.weights.begin() + static_cast<std::ptrdiff_t>(first_weight);
  layer.weights.assign(first, first + static_cast<std::ptrdiff_t>(weights));
  return layer;
}

void LayerBuilder::fail(std::string_view text) const { config_.fail(text); }

std::string LayerBuilder::name(std::string_view part, bool is_last) const {
  return is_last ? name_ : name(part);
}

bool LayerBuilder::any_is_time_major() const {
  return std::ranges::any_of(model_.layers, [&](const KerasLayer& l) {
    const ConfigView config = model_.view(l);
    const ConfigView inner = config["layer"];
    return config["time_major"].bool_or(false) ||
           (!inner.is_none() && inner["config"]["time_major"].bool_or(false));
  });
}

void LayerBuilder::require_rank(int expected) const {
  if (rank(input()) != expected) {
    fail(join_text("its input has shape ", to_string(shape(input())), ", expected ", expected,
                   " axes, the batch axis included"));
  }
}

bool LayerBuilder::channels_first() const {
  const ConfigView format = config_["data_format"];
  return !format.is_none() &&
         format.as_choice({"channels_last", "channels_first"}) == "channels_first";
}

ops::Padding LayerBuilder::padding(bool allow_causal) const {
  const ConfigView padding = config_["padding"];
  if (!padding.exists()) return ops::Padding::valid;
  const std::string word = lower(padding.as_text());
  if (word == "valid") return ops::Padding::valid;
  if (word == "same") return ops::Padding::same;
  if (word == "causal" && allow_causal) return ops::Padding::causal;
  padding.fail_expected(allow_causal ? "'valid', 'same' or 'causal'" : "'valid' or 'same'");
}

Tensor LayerBuilder::weight_value(std::string_view weight_name, const Extents& expected,
                                  std::string_view axes) const {
  const std::vector<std::string_view> names = def_.weights(config_);
  const auto index =
      static_cast<size_t>(std::find(names.begin(), names.end(), weight_name) - names.begin());
  qloom_assert(index < names.size(), "weight ", weight_name, " is not in the list of its layer");
  if (layer_.weights.empty() && fill_) return fill_(weight_name, expected);
  if (index >= layer_.weights.size()) {
    fail(join_text("the file has ", layer_.weights.size(), " weights, expected ", names.size(),
                   "; ", weight_name, " is missing"));
  }
  const KerasWeight& w = layer_.weights[index];
  // A number has the shape [] in files and [1] in lists of variables.
  const bool is_number = expected.empty() && w.values.size() == 1;
  if (w.shape != expected && !is_number) {
    fail(join_text(weight_name, " (", w.name, ") has shape ", text_of(w.shape), ", expected ",
                   text_of(expected), " (", axes, ")"));
  }
  return Tensor(expected, w.values);
}

ValueId LayerBuilder::weight(std::string_view weight_name, const Extents& expected,
                             std::string_view axes) {
  return graph.constant(name(weight_name), weight_value(weight_name, expected, axes));
}

ValueId LayerBuilder::statistic(std::string_view weight_name, const Extents& expected,
                                std::string_view axes) {
  if (!keeps_state()) return weight(weight_name, expected, axes);
  return state(weight_name, weight_value(weight_name, expected, axes));
}

ValueId LayerBuilder::state(std::string_view variable, Tensor initial, bool per_sample) {
  if (body_counter_ != nullptr)
    fail(
        join_text("its state '", variable, "' within each step of another layer is not supported"));
  return graph.variable(state_name(layer_, variable), std::move(initial), per_sample);
}

void LayerBuilder::set_state(std::string_view variable, ValueId value) {
  graph.assign(state_name(layer_, variable), value);
}

QuantizerOrFunction read_quantizer(const ConfigView& v, std::string_view fallback) {
  try {
    if (!v.exists()) return fallback.empty() ? QuantizerOrFunction() : parse_quantizer(fallback);
    // QKeras tests the truth of the argument: "" is none.
    if (v.is_none() || (v.value().text() != nullptr && v.as_text().empty())) return {};
    if (v.value().text() != nullptr) return parse_quantizer(v.as_text());
    if (v.value().object() != nullptr) return from_object(v);
  } catch (const UserError& error) {
    const std::string_view text = error.what();
    if (text.starts_with(v.owner())) throw;
    v.fail(text);
  }
  v.fail_expected("a quantizer: null, text or an object with class_name and config");
}

QuantizerOrFunction LayerBuilder::quantizer(std::string_view key, std::string_view fallback) const {
  return read_quantizer(config_[key], fallback);
}

QuantizerOrFunction LayerBuilder::weight_quantizer(std::string_view key,
                                                   std::string_view fallback) const {
  QuantizerOrFunction what = quantizer(key, fallback);
  if (auto* q = std::get_if<Quantizer>(&what)) q->set_trainable_parameter();
  return what;
}

QuantizerOrFunction LayerBuilder::activation(std::string_view key,
                                             std::string_view fallback) const {
  if (is_quantized()) return quantizer(key, fallback);
  const ConfigView v = config_[key];
  if (v.exists() ? v.is_none() : fallback.empty()) return {};
  // A quantizer object in a Keras layer: Activation(quantized_relu(4)).
  if (v.exists() && v.value().object() != nullptr) return quantizer(key);
  const std::string text = v.exists() ? v.as_text() : std::string(fallback);
  for (const KerasFunction& f : kKerasFunctions) {
    if (f.keras_name != text) continue;
    if (is_keras3() && text == "hard_sigmoid")
      return ActivationFunction{std::string(kKeras3HardSigmoid)};
    return ActivationFunction{std::string(f.op_name)};
  }
  std::string expected = "an activation that Keras knows by name:";
  for (const KerasFunction& f : kKerasFunctions) expected += " " + std::string(f.keras_name);
  v.fail_expected(expected);
}

ValueId LayerBuilder::quantized(ValueId constant, const QuantizerOrFunction& what,
                                std::string_view part) {
  return is_identity(what) ? constant : apply(what, constant, name(part) + "_quantizer");
}

ValueId LayerBuilder::draw_counter() {
  if (body_counter_ != nullptr) {
    if (!body_counter_->id) body_counter_->id = graph.input("draws", {body_counter_->numbers});
    return *body_counter_->id;
  }
  constexpr const char* kCalls = "random/calls";
  if (const Node* known = graph.graph().find(kCalls)) return known->results[0];
  const ValueId calls = graph.variable(kCalls, Tensor({1}, std::vector<float>{0}));
  const ValueId one = graph.constant("random/one", Tensor::scalar(1.0F));
  graph.assign(kCalls, graph.add(calls, one, "random/next"));
  return calls;
}

void LayerBuilder::add_step_counter(const DrawCounter& counter, std::vector<ValueId>& operands,
                                    Builder& body, const std::string& scan) {
  if (!counter.id) return;
  const ValueId first = graph.constant(scan + "/first_step", Tensor({1}, std::vector<float>{0}));
  operands.push_back(graph.concat({draw_counter(), first}, 0, scan + "/draws"));
  std::vector<float> next(static_cast<size_t>(counter.numbers), 0);
  next.back() = 1;
  const ValueId one = body.constant(scan + "/one_step", Tensor({counter.numbers}, std::move(next)));
  body.output("draws", body.add(*counter.id, one, scan + "/next_step"));
}

ValueId LayerBuilder::apply(const QuantizerOrFunction& what, ValueId x,
                            const std::string& node_name) {
  const auto* quantizer = std::get_if<Quantizer>(&what);
  const bool draws = quantizer != nullptr && mode_.random_seed && quantizer->draws() &&
                     (mode_.training || quantizer->name() == "bernoulli");
  if (!draws) return graph.apply(what, x, node_name);
  // Every quantizer its own stream, told apart by the name of its node (FNV-1a).
  uint64_t own = 0xcbf29ce484222325ULL;
  for (const char c : node_name) own = (own ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  const uint64_t seed = Draws::key(static_cast<uint64_t>(*mode_.random_seed), own);
  const ValueId key = graph.random(draw_counter(), static_cast<int64_t>(seed), node_name + "_key");
  return graph.quantize(*quantizer, x, key, node_name);
}

ValueId LayerBuilder::activate(ValueId x, const QuantizerOrFunction& activation,
                               const std::string& node_name) {
  if (is_identity(activation)) return x;
  const auto* function = std::get_if<ActivationFunction>(&activation);
  if (function == nullptr || function->name != kKeras3HardSigmoid)
    return apply(activation, x, node_name);
  // relu6(x + 3) / 6. Source: Keras 3 keras/src/backend/tensorflow/nn.py, hard_sigmoid.
  const ValueId three = graph.constant(name("three"), Tensor::scalar(3.0F));
  const ValueId six = graph.constant(name("six"), Tensor::scalar(6.0F));
  const ops::Activation relu6{.function = "relu", .max_value = 6.0};
  const ValueId y = graph.activation(graph.add(x, three, name("add_three")), relu6, name("relu6"));
  return graph.elementwise(ops::Elementwise::divide, y, six, node_name);
}

ValueId LayerBuilder::named(ValueId x) {
  return graph.activation(x, {.function = "linear"}, name_);
}

ValueId LayerBuilder::to_channels_last(ValueId x) {
  std::vector<int64_t> axes{0};
  for (int k = 2; k < rank(x); ++k) axes.push_back(k);
  axes.push_back(1);
  return graph.permute(x, axes, name("channels_last"));
}

ValueId LayerBuilder::to_channels_first(ValueId x, std::string node_name) {
  std::vector<int64_t> axes{0, rank(x) - 1};
  for (int k = 1; k + 1 < rank(x); ++k) axes.push_back(k);
  return graph.permute(x, axes, std::move(node_name));
}

ValueId LayerBuilder::add_bias_and_activate(ValueId x, int64_t channels, std::string_view axes) {
  const QuantizerOrFunction act = activation();
  const bool is_linear = is_identity(act);
  const bool permute = channels_first();
  if (has_bias()) {
    const ValueId bias =
        quantized(weight("bias", {channels}, axes),
                  is_quantized() ? quantizer("bias_quantizer") : QuantizerOrFunction(), "bias");
    x = graph.add(x, bias, name("bias_add", is_linear && !permute));
  }
  // The activation sees the layout that the layer yields: an automatic scale is one per last axis.
  if (permute) x = to_channels_first(x, name("channels_first", is_linear));
  return activate(x, act);
}

}  // namespace qloom::keras
