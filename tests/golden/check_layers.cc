// tests/golden/check_layers.cc: bundles of single layers, each a small model in Keras's JSON with
// its weights. Each inference call is checked in the interpreter and compiled, built with the
// variables that the calls before left behind. Where there are training calls, or calls leave
// state, all calls are then made in order by the interpreter on graphs that share it, and what is
// left after each is compared too; for stateful layers also by one executor. Gradients are not.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "bindings/import/keras_import.h"
#include "bindings/import/layer.h"
#include "bindings/import/read.h"
#include "graph/support/error.h"
#include "passes/compile.h"
#include "tests/golden/model_case.h"
#include "tests/golden/texts.h"
#include "tests/golden/values.h"

namespace qloom::golden {
namespace {

std::vector<KerasWeight> weights_of(const Bundle& bundle, const Json& c,
                                    const std::map<std::string, Json>& state) {
  std::vector<KerasWeight> weights;
  for (const Json& w : c.at("weights")) {
    const auto name = w.at("name").get<std::string>();
    const auto changed = state.find(name);
    const Tensor value = bundle.f32(changed == state.end() ? w.at("value") : changed->second);
    weights.push_back({name, value.extents(), {value.f32().begin(), value.f32().end()}});
  }
  return weights;
}

/// The state after a call: by name, as an object or as a list of names and values.
void update_state(const Json& call, std::map<std::string, Json>& state) {
  if (!call.contains("state")) return;
  for (const auto& [key, value] : call.at("state").items()) {
    if (Bundle::is_tensor(value))
      state[key] = value;
    else if (value.is_object() && value.contains("name"))
      state[value.at("name").get<std::string>()] = value.at("value");
  }
}

/// True where a quantizer's text in the configuration is one that QKeras accepts and misreads:
/// refusing it is right.
bool misreads(const Json& config) {
  for (const auto& [key, value] : config.items())
    if ((key.ends_with("activation") || key.ends_with("_quantizer")) && value.is_string() &&
        !misread_text(value.get<std::string>()).empty())
      return true;
  return false;
}

// The state of our graphs for each variable of the file, and what it holds at first.
struct Variable {
  std::string state;
  Tensor initial;
};
std::map<std::string, Variable> variables_of(const KerasModel& model) {
  std::map<std::string, Variable> out;
  for (const KerasLayer& layer : model.layers) {
    const auto* def = keras::find_layer(layer.class_name);
    if (def->weights == nullptr) continue;
    const auto names = def->weights(model.view(layer));
    for (size_t i = 0; i < layer.weights.size(); ++i)
      out[layer.weights[i].name] = {keras::state_name(layer, names.at(i)),
                                    Tensor(layer.weights[i].shape, layer.weights[i].values)};
  }
  return out;
}

// What calls left behind: numbers that count equal, others within 1e-5.
std::string compare_state(const Bundle& bundle, const Json& call, const State& state,
                          const std::map<std::string, Variable>& variables) {
  if (!call.contains("state")) return "";
  for (const Json& entry : call.at("state")) {
    const auto name = entry.at("name").get<std::string>();
    const Tensor expected = bundle.f32(entry.at("value"));
    const bool counts = entry.at("value").at("dtype").get<std::string>().starts_with("i");
    const auto variable = variables.find(name);
    const auto kept = state.find(variable == variables.end() ? name : variable->second.state);
    if (kept == state.end() && variable == variables.end())
      return join_text("no state is called '", name, "'");
    const Tensor& got = kept != state.end() ? kept->second : variable->second.initial;
    Tolerance tolerance;
    if (!counts)
      tolerance.absolute = [&](int64_t at) {
        return 1e-5 * std::fabs(expected.f32()[static_cast<size_t>(at)]);
      };
    if (got.size() != expected.size())
      return join_text("state '", name, "' has ", got.size(), " values, expected ",
                       expected.size());
    std::string text = compare(join_text("state '", name, "' "), got.reshaped(expected.extents()),
                               expected, tolerance);
    if (!text.empty()) return text;
  }
  return "";
}

// Arguments that the library does not save, so that the case's architecture lacks them although its
// results were made with them: put back.
struct Unsaved {
  std::string_view case_name, key, value;  // JSON
};
constexpr Unsaved kUnsaved[] = {
    {"adaptive_relu_upper", "relu_upper_bound", "1.5"},
    {"bn_unfused_r4", "fused", "false"},
    {"foldconv_ema_unfused", "fused", "false"},
    {"foldconv_batch_unfused", "fused", "false"},
    {"dwtranspose_activation", "depthwise_activation", "\"quantized_relu(4,1)\""},
    {"septranspose_activations", "depthwise_activation", "\"quantized_relu(4,1)\""},
    {"septranspose_activations", "pointwise_activation", "\"quantized_bits(6,2,1)\""},
};

// The architecture of a case, with what the library does not save.
std::string architecture_of(const Json& c) {
  const auto name = c.at("name").get<std::string>();
  auto text = c.at("json").get<std::string>();
  for (const Unsaved& u : kUnsaved) {
    if (u.case_name != name) continue;
    Json model = Json::parse(text);
    for (Json& layer : model.at("config").at("layers"))
      if (layer.at("config").at("name") == c.at("layer"))
        layer["config"][std::string(u.key)] = Json::parse(u.value);
    text = model.dump();
  }
  return text;
}

bool is_stateful(const Json& c) { return c.at("config").value("stateful", false); }

// What an executor keeps, in the same words as an interpreter's.
State state_of(const runtime::Executor& executor) {
  State state;
  for (const std::string& name : executor.states()) {
    const auto values = executor.state(name);
    state.emplace(name,
                  Tensor({std::ssize(values)}, std::vector<float>(values.begin(), values.end())));
  }
  return state;
}

// All calls in order, by the interpreter, with state.
Outcome check_sequence(const Bundle& bundle, const Json& c, const KerasModel& model,
                       const RunOptions& options) {
  const auto name = c.at("name").get<std::string>();
  const auto build = [&](Phase phase) {
    return import_keras(model,
                        {.evaluation = preset_of(options), .phase = phase, .keep_state = true});
  };
  const Graph inference = build(Phase::inference);
  std::optional<Graph> training;
  const auto variables = variables_of(model);
  // The variance of a single sample is amplified by the square root of epsilon.
  const bool is_folded = c.at("class").get<std::string>().ends_with("DBatchnorm") ||
                         c.at("class").get<std::string>() == "QDenseBatchnorm";
  std::optional<passes::Compilation> compiled;
  std::optional<runtime::Executor> executor;
  if (is_stateful(c) && !options.interpreter_only) {
    compiled.emplace(compiled_case(inference, name, options));
    executor.emplace(compiled->model);
  }
  State state;
  int64_t index = 0;
  for (const Json& call : c.at("calls")) {
    const bool trains = call.at("training").get<bool>();
    if (trains && !training) training = build(Phase::training);
    const double relative = c.at("exact").get<bool>() ? 0 : trains && is_folded ? 2e-5 : 1e-6;
    const Call expected{tensors(bundle, call.at("inputs")), tensors(bundle, call.at("outputs"))};
    std::string text =
        compare_with_state(trains ? *training : inference, expected, relative, state);
    if (text.empty()) text = compare_state(bundle, call, state, variables);
    if (text.empty() && executor) {
      text = compare_with_executor(inference, expected, relative, *executor, compiled->program);
      if (text.empty()) text = compare_state(bundle, call, state_of(*executor), variables);
    }
    if (!text.empty()) return Outcome::fail(name, join_text("call ", index, " with state, ", text));
    ++index;
  }
  return Outcome::pass(name);
}

Outcome check_calls(const Bundle& bundle, const Json& c, const RunOptions& options) {
  const auto name = c.at("name").get<std::string>();
  KerasModel model = parse_keras_architecture(architecture_of(c), name);
  if (const std::string reason = unknown_layers(model); !reason.empty())
    return Outcome::skip(name, reason);
  std::map<std::string, Json> state;
  int64_t index = 0;
  bool has_state = false;
  for (const Json& call : c.at("calls")) {
    has_state = has_state || call.contains("state") || call.at("training").get<bool>();
    if (!call.at("training").get<bool>() && !is_stateful(c)) {
      set_weights(model, weights_of(bundle, c, state));
      std::optional<Graph> graph;
      try {
        graph = import_keras(model, {.evaluation = preset_of(options)});
      } catch (const UserError&) {
        if (misreads(c.at("config"))) return Outcome::pass(name);
        throw;
      }
      const std::string text = compare_call(
          *graph, name, {tensors(bundle, call.at("inputs")), tensors(bundle, call.at("outputs"))},
          c.at("exact").get<bool>(), options);
      if (!text.empty()) return Outcome::fail(name, join_text("call ", index, ", ", text));
    }
    update_state(call, state);
    ++index;
  }
  if (!has_state) return Outcome::pass(name);
  set_weights(model, weights_of(bundle, c, {}));
  return check_sequence(bundle, c, model, options);
}

int64_t first_of(const Json& arguments, const char* key, size_t axis, int64_t fallback) {
  if (!arguments.contains(key)) return fallback;
  const Json& v = arguments[key];
  return (v.is_array() ? v[axis] : v).get<int64_t>();
}

/// Variables of the shapes that the layer would have, so that nothing but the argument in question
/// is wrong.
std::vector<KerasWeight> plausible_weights(const std::string& class_name, const Json& arguments,
                                           const Extents& input) {
  const int64_t channels = input.back();
  std::vector<Extents> shapes;
  std::vector<std::string> names;
  const int64_t k0 = first_of(arguments, "kernel_size", 0, 1);
  const int64_t k1 = first_of(arguments, "kernel_size", 1, 1);
  const int64_t groups = std::max<int64_t>(1, first_of(arguments, "groups", 0, 1));
  const bool bias = arguments.value("use_bias", true);
  if (class_name == "QConv2D") {
    const int64_t filters = arguments.at("filters").get<int64_t>();
    shapes = {{k0, k1, channels / groups, filters}};
    if (bias) shapes.push_back({filters});
    names = {"kernel", "bias"};
  } else if (class_name == "QDense") {
    const int64_t units = arguments.at("units").get<int64_t>();
    shapes = {{channels, units}, {units}};
    names = {"kernel", "bias"};
  } else if (class_name == "QDepthwiseConv2D") {
    shapes = {{k0, k1, channels, 1}};
    if (bias) shapes.push_back({channels});
    names = {"depthwise_kernel", "bias"};
  } else if (class_name == "QConv2DBatchnorm") {
    const int64_t filters = arguments.at("filters").get<int64_t>();
    shapes = {{k0, k1, channels, filters}};
    names = {"kernel"};
    const auto add = [&](const char* name, Extents shape) {
      names.emplace_back(name);
      shapes.push_back(std::move(shape));
    };
    if (bias) add("bias", {filters});
    add("gamma", {filters});
    if (arguments.value("center", true)) add("beta", {filters});
    add("iteration", {});
    add("moving_mean", {filters});
    add("moving_variance", {filters});
  } else if (class_name == "QDepthwiseConv2DTranspose") {
    shapes = {{k0, k1, channels, first_of(arguments, "group_size", 0, 1)}, {channels}};
    names = {"depthwise_kernel", "bias"};
  } else if (class_name.starts_with("QSeparableConv")) {
    const int64_t filters = arguments.at("filters").get<int64_t>();
    shapes = {{k0, channels, 1}, {1, channels, filters}, {filters}};
    names = {"depthwise_kernel", "pointwise_kernel", "bias"};
  } else if (class_name == "QAdaptiveActivation") {
    shapes = {{}, {1}, {1}};
    names = {"step", "ema_min", "ema_max"};
  } else if (class_name == "QBatchNormalization") {
    shapes = {{channels}, {channels}, {channels}, {channels}};
    names = {"gamma", "beta", "moving_mean", "moving_variance"};
  } else if (class_name == "QGRU") {
    const int64_t units = arguments.at("units").get<int64_t>();
    shapes = {{channels, 3 * units}, {units, 3 * units}};
    if (bias) shapes.push_back({3 * units});
    names = {"kernel", "recurrent_kernel", "bias"};
  }
  std::vector<KerasWeight> weights;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const auto n = static_cast<size_t>(element_count(shapes[i]));
    weights.push_back({"t/" + names[i] + ":0", shapes[i], std::vector<float>(n, 0.5f)});
  }
  return weights;
}

/// Layers that say what a case tried whose configuration nobody wrote down: by the case's name and
/// the library's message.
struct StandIn {
  std::string_view case_name, message, class_name, arguments;
};
constexpr StandIn kStandIns[] = {
    {"conv2d_mask_rank1", "", "QConv2D",
     R"json({"filters": 2, "kernel_size": 2, "mask": [1, 0]})json"},
    {"mobile_", "", "Activation", R"json({"activation": "quantized_relu(4,1)"})json"},
    // The function gives its layers arguments that they do not have.
    {"octave_", "'quantizer'", "QAveragePooling2D",
     R"json({"quantizer": "quantized_bits(4,0,1)"})json"},
    {"octave_", "'depthwise_activation'", "QSeparableConv2D",
     R"json({"filters": 2, "kernel_size": 2, "depthwise_activation": "quantized_relu(4)"})json"},
    // A list of scales for a kernel, which an older version of the library takes.
    {"dense_alpha_vector", "", "QDense",
     R"json({"units": 2, "kernel_quantizer": {"class_name": "quantized_bits",
         "config": {"bits": 4, "integer": 0, "symmetric": 1, "alpha": [0.5, 1.0]}}})json"},
};

/// A layer that the library refuses: the configuration is made from its arguments.
Outcome check_refusal(const Bundle&, const Json& original) {
  Json c = original;
  const auto name = c.at("name").get<std::string>();
  for (const StandIn& s : kStandIns) {
    if (c.contains("arguments") || !name.starts_with(s.case_name) ||
        c.at("error").at("message").get<std::string>().find(s.message) == std::string::npos)
      continue;
    c["class"] = std::string(s.class_name);
    c["arguments"] = Json::parse(s.arguments);
    c["input_shapes"] = Json::array({Json::array({4, 4, 3})});
  }
  if (!c.contains("arguments"))
    return Outcome::skip(name, "the library refused before there was a configuration");
  const auto class_name = c.at("class").get<std::string>();
  if (keras::find_layer(class_name) == nullptr) return Outcome::skip(name, "layers: " + class_name);
  Json config = c.at("arguments");
  config["name"] = "t";
  Json input_shape = c.at("input_shapes")[0];
  input_shape.insert(input_shape.begin(), nullptr);
  const Json model = {
      {"class_name", "Sequential"},
      {"config",
       {{"name", "m"},
        {"layers",
         {{{"class_name", "InputLayer"},
           {"config", {{"name", "x0"}, {"batch_input_shape", input_shape}, {"dtype", "float32"}}}},
          {{"class_name", class_name}, {"config", config}}}}}}};
  // Limits of the library, no faults of the model, so that accepting is fine: what TensorFlow's CPU
  // kernels cannot run when called, a mixture of float32 and float64 in a functional model (powers
  // of two as average_quantizer) that an eager call accepts, a helper of Keras called without its
  // argument (causal padding of separable convolutions), a list whose truth is asked for.
  const Json& error = c.at("error");
  const auto cause = error.at("message").get<std::string>();
  const bool limit = (error.at("stage") == "call" && error.at("type") == "InvalidArgumentError") ||
                     cause.find("has type float64 that does not match") != std::string::npos ||
                     cause.find("missing 1 required positional argument") != std::string::npos ||
                     cause.find("truth value of an array") != std::string::npos ||
                     // A defect: without a recurrent quantizer the input kernel takes the place of
                     // the recurrent one.
                     (class_name == "QGRU" && c.at("arguments").contains("recurrent_quantizer") &&
                      c.at("arguments").at("recurrent_quantizer").is_null());
  std::string message;
  try {
    KerasModel described = parse_keras_architecture(model.dump(), name);
    set_weights(described, plausible_weights(class_name, c.at("arguments"),
                                             c.at("input_shapes")[0].get<Extents>()));
    static_cast<void>(import_keras(described, {.evaluation = "eager"}));
    if (limit) return Outcome::pass(name);
    return Outcome::fail(name, join_text("accepted; the library refuses: ", cause));
  } catch (const UserError& refusal) {
    message = refusal.what();
  }
  // The refusal names the layer and one of the arguments.
  bool argument = false;
  for (const auto& [key, value] : c.at("arguments").items())
    argument = argument || message.find(key) != std::string::npos;
  if (message.find("'t'") == std::string::npos || !argument)
    return Outcome::fail(name,
                         join_text("the refusal does not name layer and argument: ", message));
  return Outcome::pass(name);
}

}  // namespace

std::vector<Outcome> check_layers(const Bundle& bundle, const RunOptions& options,
                                  const Listener& listener) {
  std::vector<Outcome> outcomes;
  for (const Json& c : bundle.cases()) {
    const auto name = c.at("name").get<std::string>();
    try {
      outcomes.push_back(c.contains("note")    ? Outcome::skip(name, "a defect of the library")
                         : c.contains("error") ? check_refusal(bundle, c)
                                               : check_calls(bundle, c, options));
    } catch (const std::exception& error) {
      outcomes.push_back(Outcome::fail(name, join_text("unexpected error: ", error.what())));
    }
    if (listener) listener(outcomes.back());
  }
  return outcomes;
}

}  // namespace qloom::golden
