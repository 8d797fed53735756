// tests/golden/check_layers.cc: bundles of single layers, each a small model in Keras's JSON with
// its weights. Inference calls are checked, also those after training calls, with the variables
// that these left behind; training calls and gradients are not.
#include <algorithm>
#include <map>
#include <optional>

#include "bindings/import/keras_import.h"
#include "bindings/import/layer.h"
#include "bindings/import/read.h"
#include "graph/support/error.h"
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

Outcome check_calls(const Bundle& bundle, const Json& c, const RunOptions& options) {
  const auto name = c.at("name").get<std::string>();
  KerasModel model = parse_keras_architecture(c.at("json").get<std::string>(), name);
  if (const std::string reason = unknown_layers(model); !reason.empty())
    return Outcome::skip(name, reason);
  std::map<std::string, Json> state;
  int64_t index = 0;
  for (const Json& call : c.at("calls")) {
    if (!call.at("training").get<bool>()) {
      set_weights(model, weights_of(bundle, c, state));
      std::optional<Graph> graph;
      try {
        graph = import_keras(model, {.evaluation = preset_of(options)});
      } catch (const UserError&) {
        if (misreads(c.at("config"))) return Outcome::pass(name);
        if (c.at("config").value("stateful", false))
          return Outcome::skip(name, "state that is kept from call to call");
        throw;
      }
      const std::string text = compare_call(
          *graph, {tensors(bundle, call.at("inputs")), tensors(bundle, call.at("outputs"))},
          c.at("exact").get<bool>(), options);
      if (!text.empty()) return Outcome::fail(name, join_text("call ", index, ", ", text));
    }
    update_state(call, state);
    ++index;
  }
  return Outcome::pass(name);
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
  } else if (class_name == "QDepthwiseConv2D") {
    shapes = {{k0, k1, channels, 1}};
    if (bias) shapes.push_back({channels});
    names = {"depthwise_kernel", "bias"};
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

/// A layer that the library refuses: the configuration is made from its arguments.
Outcome check_refusal(const Bundle&, const Json& c) {
  const auto name = c.at("name").get<std::string>();
  if (c.value("arguments", Json()).is_null() || c.value("class", Json()).is_null())
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
  // Limits and defects of the library, no faults of the model, so that accepting is fine: what
  // TensorFlow's CPU kernels cannot run when called, and a mixture of float32 and float64 in a
  // functional model (powers of two as average_quantizer) that an eager call accepts.
  const Json& error = c.at("error");
  const auto cause = error.at("message").get<std::string>();
  const bool limit = (error.at("stage") == "call" && error.at("type") == "InvalidArgumentError") ||
                     (error.at("type") == "TypeError" &&
                      cause.find("has type float64 that does not match") != std::string::npos) ||
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
