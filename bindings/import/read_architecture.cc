#include "bindings/import/read_architecture.h"

#include <unordered_map>
#include <unordered_set>

#include "bindings/import/inline_models.h"
#include "bindings/import/normalize.h"
#include "bindings/import/places.h"
#include "bindings/import/wiring.h"
#include "graph/support/error.h"

namespace qloom::keras {
namespace {

bool is_model_class(std::string_view name) {
  return name == "Functional" || name == "Model" || name == "Sequential";
}

std::string layer_name(const ConfigView& entry) {
  // config.name is authoritative; entries of very old files have only the outer one.
  ConfigView name = entry["config"]["name"];
  if (!name.exists()) name = entry["name"];
  const std::string& text = name.as_text();
  if (text.empty() || text.find('\0') != std::string::npos) {
    name.fail_expected("a layer name without NUL characters");
  }
  return text;
}

// A wrapper's inner layer takes its place; names in calls and weights are the wrapper's.
bool unwrap(KerasLayer& layer, std::string_view wrapper, const std::string& file) {
  if (layer.class_name != wrapper) return false;
  const ConfigView config(layer.config,
                          file + ": layer '" + layer.name + "' (" + layer.class_name + ")");
  const ConfigView inner = config["layer"];
  (void)inner["config"].as_object();
  const std::string class_name = inner["class_name"].as_text();
  ConfigValue inner_config = inner["config"].value();
  if (is_model_class(class_name)) {
    config.fail("wraps a nested model (" + class_name +
                "), which is not supported; wrap its layers one by one");
  }
  inner_config.set("name", layer.name);
  layer.class_name = class_name;
  layer.config = std::move(inner_config);
  return true;
}

KerasLayer read_layer(const ConfigView& entry, KerasModel& model) {
  KerasLayer layer;
  layer.class_name = entry["class_name"].as_text();
  (void)entry["config"].as_object();
  layer.name = layer_name(entry);
  layer.config = entry["config"].value();
  layer.time_distributed = unwrap(layer, "TimeDistributed", model.file);
  layer.pruned = unwrap(layer, "PruneLowMagnitude", model.file);
  if (layer.pruned) {
    model.notes.push_back("layer '" + layer.name + "' (" + layer.class_name +
                          ") is wrapped for pruning (PruneLowMagnitude): the wrapper is left out, "
                          "its mask is applied to the weights");
  }
  return layer;
}

void check_unique_names(const KerasModel& model) {
  std::unordered_map<std::string_view, const KerasLayer*> known;
  for (const KerasLayer& l : model.layers) {
    const auto [there, is_new] = known.emplace(l.name, &l);
    if (!is_new) {
      throw UserError(model.describe(l) + ": the name is taken by an earlier layer of class " +
                      there->second->class_name);
    }
  }
}

// The shape of the input of a Sequential model without an InputLayer entry, batch axis included:
// the first layer's own, else the model's. Keras 2 and Keras 3 name the key differently.
ConfigValue sequential_input_shape(const ConfigView& config, const ConfigView& layers,
                                   const std::string& file) {
  if (layers.size() > 0) {
    ConfigView first = layers[0]["config"];
    // A nested model: the input of its first layer.
    while (first.value().object() != nullptr && first["layers"].exists() &&
           first["layers"].size() > 0) {
      first = ConfigView(first["layers"][0]["config"]);
    }
    for (const char* key : {"batch_input_shape", "batch_shape"}) {
      if (!first[key].is_none()) return first[key].value();
    }
    if (!first["input_shape"].is_none()) {
      ConfigValue::Array shape(1);  // the batch axis: null
      for (const ConfigValue& extent : first["input_shape"].as_array()) shape.push_back(extent);
      return shape;
    }
  }
  if (config.value().object() != nullptr && !config["build_input_shape"].is_none()) {
    return config["build_input_shape"].value();
  }
  throw UserError(
      file +
      ": the Sequential model has no input shape: no InputLayer, no batch_input_shape or "
      "batch_shape in its first layer, no build_input_shape");
}

KerasLayer make_input_layer(ConfigValue shape, std::string name) {
  KerasLayer input;
  input.name = name;
  input.class_name = "InputLayer";
  ConfigValue::Object config;
  config.emplace_back("batch_input_shape", std::move(shape));
  config.emplace_back("dtype", std::string("float32"));
  config.emplace_back("name", std::move(name));
  input.config = std::move(config);
  return input;
}

void read_sequential(const ConfigView& config, bool is_nested, KerasModel& model,
                     std::vector<std::string>& class_names) {
  // Keras up to 2.2.2 wrote the list of layers itself as the configuration.
  const bool is_list = config.value().array() != nullptr;
  const ConfigView layers = is_list ? config : config["layers"];
  (void)layers.as_array();
  model.name = is_list ? "sequential" : config["name"].text_or("sequential");
  for (size_t k = 0; k < layers.size(); ++k) {
    model.layers.push_back(read_layer(layers[k], model));
    class_names.push_back(layers[k]["class_name"].as_text());
  }
  if (model.layers.empty()) layers.fail("a Sequential model without layers has no output");
  if (model.layers[0].class_name != "InputLayer") {
    std::string name = model.layers[0].name + "_input";
    while (model.find(name) != nullptr) name += "_";
    // The input of a nested model is the caller's tensor.
    ConfigValue shape =
        is_nested ? ConfigValue() : sequential_input_shape(config, layers, model.file);
    model.layers.insert(model.layers.begin(), make_input_layer(std::move(shape), name));
    class_names.insert(class_names.begin(), "InputLayer");
  }
  for (size_t k = 0; k < model.layers.size(); ++k) {
    KerasCall call;
    if (k > 0) call.inputs.push_back({model.layers[k - 1].name, 0, 0});
    call.kwargs = ConfigValue::Object();
    model.layers[k].calls.push_back(std::move(call));
  }
  model.inputs = {{model.layers.front().name, 0, 0}};
  model.outputs = {{model.layers.back().name, 0, 0}};
}

// Keras 2 counts the call that built a nested model as its call 0, though it is not in the file; a
// Sequential model that was built when it was first called has none.
// Source: Keras 2 keras/engine/functional.py, _should_skip_first_node.
void count_nested_calls_from_0(KerasModel& model) {
  std::unordered_set<std::string_view> nested;
  for (const KerasLayer& l : model.layers) {
    const ConfigValue* layers = l.config.find("layers");
    if (!is_model_class(l.class_name) || layers == nullptr) continue;
    bool built_before = l.class_name != "Sequential";
    if (layers->array() != nullptr && !layers->array()->empty()) {
      const ConfigView first(layers->array()->front(), model.describe(l));
      built_before = built_before || first["class_name"].as_text() == "InputLayer" ||
                     first["config"]["batch_input_shape"].exists();
    }
    if (built_before) nested.insert(l.name);
  }
  const auto shift = [&](std::vector<InputRef>& refs) {
    for (InputRef& r : refs) {
      if (r.node > 0 && nested.contains(r.layer)) --r.node;
    }
  };
  for (KerasLayer& l : model.layers) {
    for (KerasCall& c : l.calls) shift(c.inputs);
  }
  shift(model.outputs);
}

void read_functional(const ConfigView& config, KerasModel& model,
                     std::vector<std::string>& class_names) {
  const ConfigView layers = config["layers"];
  (void)layers.as_array();
  model.functional = true;
  model.name = config["name"].text_or("model");
  bool is_keras3 = false;
  for (size_t k = 0; k < layers.size(); ++k) {
    const ConfigView entry = layers[k];
    KerasLayer layer = read_layer(entry, model);
    class_names.push_back(entry["class_name"].as_text());
    if (const ConfigView nodes = entry["inbound_nodes"]; nodes.exists()) {
      layer.calls = read_calls(ConfigView(nodes.value(), model.describe(layer), "inbound_nodes"));
      is_keras3 =
          is_keras3 || (nodes.size() > 0 && nodes.value().array()->front().find("args") != nullptr);
    }
    if (layer.class_name == "InputLayer" && layer.calls.empty()) {
      KerasCall call;
      call.kwargs = ConfigValue::Object();
      layer.calls.push_back(std::move(call));
    }
    model.layers.push_back(std::move(layer));
  }
  model.inputs = read_references(config["input_layers"]);
  model.outputs = read_references(config["output_layers"]);
  if (model.outputs.empty()) config["output_layers"].fail("the model has no output");
  if (!is_keras3) count_nested_calls_from_0(model);
}

// A model and, as layers of it, the models nested in it.
KerasModel read_model(const std::string& class_name, const ConfigView& config, bool is_nested,
                      const std::string& file) {
  KerasModel model;
  model.file = file;
  std::vector<std::string> class_names;
  if (class_name == "Sequential") {
    read_sequential(config, is_nested, model, class_names);
  } else {
    read_functional(config, model, class_names);
  }
  place_layers(model, class_names);
  check_unique_names(model);
  check_references(model);
  inline_models(model, [&](const KerasLayer& layer) {
    return read_model(layer.class_name, ConfigView(layer.config, model.describe(layer)), true,
                      file);
  });
  return model;
}

}  // namespace

KerasModel read_architecture(ConfigValue json, const std::string& file) {
  const ConfigValue normal = [&] {
    // Versions stand beside class_name and are dropped by the normalisation: take them first.
    ConfigValue v = json;
    return normalize(std::move(v));
  }();
  const ConfigView top(normal, file);
  if (json.object() == nullptr) top.fail_expected("an object with class_name and config");
  const std::string& class_name = top["class_name"].as_text();
  const ConfigView config = top["config"];
  if (config.is_none()) config.fail_expected("the configuration of the model");
  if (!is_model_class(class_name)) {
    top["class_name"].fail_expected(
        "'Sequential', 'Functional' or 'Model' (subclassed models cannot be read without their "
        "code)");
  }
  KerasModel model = read_model(class_name, config, false, file);
  if (const ConfigValue* version = json.find("keras_version");
      version != nullptr && version->text() != nullptr) {
    model.keras_version = *version->text();
  } else if (json.find("module") != nullptr) {
    model.keras_version = "3";  // `to_json` of Keras 2 says its version, that of Keras 3 does not
  }
  check_unique_names(model);
  check_references(model);
  model.order = topological_order(model);
  return model;
}

}  // namespace qloom::keras
