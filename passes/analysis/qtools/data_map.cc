#include "passes/analysis/qtools/data_map.h"

#include <algorithm>
#include <set>

#include "graph/support/error.h"
#include "passes/analysis/qtools/layer_classes.h"
#include "passes/analysis/qtools/layer_rules.h"

namespace qloom::qtools {
namespace {

std::vector<QtoolsType> source_types(const QtoolsModel& model, const MapOptions& options,
                                     const Context& context) {
  const size_t inputs = model.inputs.size();
  if (!options.sources) return {inputs, int8_type()};
  const QtoolsType fallback = options.process->intermediate_type();
  std::vector<std::string> texts = *options.sources;
  if (options.single_source) {
    const std::string text = texts.at(0);
    const bool is_quantizer = text.find('(') != std::string::npos;
    if (is_quantizer)
      context.refuse("TypeError",
                     "QTools asks one source quantizer for its length; taken for every input");
    texts.assign(inputs, text);
    if (!is_quantizer && text.size() == inputs)  // each letter becomes a name
      for (size_t k = 0; k < inputs; ++k) texts[k] = text.substr(k, 1);
  }
  qloom_check(texts.size() == inputs, model.name, ": ", texts.size(),
              " source types are given, the model has ", inputs, " inputs");
  std::vector<QtoolsType> out;
  for (const std::string& text : texts) out.push_back(convert_text(text, fallback, context));
  return out;
}

}  // namespace

const Part* LayerTypes::find(std::string_view key) const {
  const auto found = std::ranges::find(parts, key, &Part::key);
  return found == parts.end() ? nullptr : &*found;
}

const Operation* LayerTypes::operation(std::string_view key) const {
  const Part* part = find(key);
  return part != nullptr && part->operation ? &*part->operation : nullptr;
}

const Operation* LayerTypes::merge_operation() const {
  return operation(class_name + "_quantizer");
}

const LayerTypes* DataMap::find(std::string_view layer) const {
  const auto found = std::ranges::find(layers, layer, &LayerTypes::name);
  return found == layers.end() ? nullptr : &*found;
}

std::map<std::string, HardwareWeights> hardware_weights(const QtoolsModel& model) {
  std::vector<std::set<size_t>> readers(model.layers.size());
  for (size_t k = 0; k < model.layers.size(); ++k)
    for (const size_t input : model.layers[k].inputs) readers[input].insert(k);
  std::map<std::string, HardwareWeights> out;
  for (const ModelLayer& layer : model.layers)
    if (layer.quantizers) out[layer.name];
  for (size_t k = 0; k < model.layers.size(); ++k) {
    const ModelLayer& layer = model.layers[k];
    if (layer.class_name != "QConv2D" && layer.class_name != "QDepthwiseConv2D") continue;
    if (readers[k].size() != 1) continue;
    const ModelLayer& reader = model.layers[*readers[k].begin()];
    if (reader.class_name != "QBatchNormalization") continue;
    out[layer.name] = {true, reader.name};
    out[reader.name].enable_bn_fusing = true;
  }
  return out;
}

DataMap map_types(const QtoolsModel& model, const MapOptions& options) {
  DataMap map;
  map.sources = source_types(model, options, {map.refusals});
  // A name that is no type is an error whether or not a layer asks for it.
  for (const std::string& name : {options.keras_quantizer, options.keras_accumulator})
    if (!name.empty()) (void)named_type(name);
  Wiring wiring(model, map.sources, {map.refusals});
  for (const size_t layer : wiring.order()) {
    const ModelLayer& l = model.layers[layer];
    const Context context{map.refusals, l.name};
    if (l.is_nested)
      context.refuse("IndexError", "QTools does not see the layers inside a nested model");
    if (l.calls > 1)
      context.refuse("AttributeError",
                     "QTools needs layers that are called once; mapped for the first call");
    map.layers.push_back(LayerWalk(model, options, wiring, layer, context).run());
    LayerTypes& entry = map.layers.back();
    entry.is_first = wiring.is_first(layer);
    entry.is_last = wiring.is_last(layer);
    if (entry.class_name == "QAdaptiveActivation" && !options.for_reference)
      map.is_serializable = false;
    if (LayerWalk::has_no_rule(entry.class_name)) map.passed_through.push_back(l.name);
  }
  return map;
}

}  // namespace qloom::qtools
