// tests/golden/check_qtools_models.cc: data-type maps, gates, energies and roofline numbers of
// whole models.
#include <algorithm>
#include <cmath>
#include <map>

#include "bindings/import/json.h"
#include "bindings/import/qtools_model.h"
#include "bindings/import/read.h"
#include "bindings/import/read_architecture.h"
#include "bindings/report/qtools_json.h"
#include "graph/support/error.h"
#include "passes/analysis/qtools/energy.h"
#include "tests/golden/check_qtools.h"
#include "tests/golden/model_case.h"

namespace qloom::golden {
namespace {

using qtools::DataMap;
using qtools::LearnedScale;
using qtools::MapOptions;
using qtools::QtoolsModel;

std::string text_or_none(const Json& value) {
  return value.is_null() ? std::string() : value.get<std::string>();
}

/// One entry for each quantizer of a layer: null, or its scales.
std::vector<LearnedScale> scales_of(const Json& list) {
  std::vector<LearnedScale> out;
  for (const Json& entry : list) {
    LearnedScale scale;
    if (!entry.is_null()) {
      const auto values = entry.get<std::vector<double>>();
      const auto [low, high] = std::ranges::minmax(values);
      scale = {.known = true, .smallest = low, .largest = high};
    }
    out.push_back(scale);
  }
  return out;
}

/// An unknown process changes no energies: they are those before.
std::string state_of(const Json& run) {
  return run.at("process") == "horowitz" ? "after" : run.value("state_before", "after");
}

MapOptions options_of(const Json& run) {
  const Json& s = run.at("settings");
  MapOptions o;
  // Making a QTools object sets the types, whatever the process is called.
  o.process = &process_of("after");
  if (s.contains("source_quantizers")) {
    const Json& sources = s.at("source_quantizers");
    o.single_source = !sources.is_array();
    o.sources.emplace();
    for (const Json& text : o.single_source ? Json::array({sources}) : sources)
      o.sources->push_back(text_or_none(text));
  }
  o.is_inference = s.value("is_inference", false);
  o.model_weights_already_quantized = s.value("model_weights_already_quantized", true);
  if (s.contains("keras_quantizer")) o.keras_quantizer = text_or_none(s.at("keras_quantizer"));
  if (s.contains("keras_accumulator"))
    o.keras_accumulator = text_or_none(s.at("keras_accumulator"));
  o.for_reference = s.value("for_reference", false);
  if (s.contains("hw_weight_dict")) {
    o.hardware.emplace();
    for (const auto& [layer, record] : s.at("hw_weight_dict").items())
      (*o.hardware)[layer] = {record.value("enable_bn_fusing", false),
                              record.value("fused_bn_layer_name", "")};
  }
  if (run.contains("scales"))
    for (const auto& [layer, list] : run.at("scales").items()) o.scales[layer] = scales_of(list);
  return o;
}

Json gates_of(const DataMap& map) {
  Json out = Json::object();
  const auto put = [&](const std::string& layer, const std::string& key,
                       const qtools::Operation* operation) {
    if (operation != nullptr && operation->gates)
      out[layer][key] = {operation->gates->factor, operation->gates->bits};
  };
  for (const qtools::LayerTypes& l : map.layers) {
    for (const char* key :
         {"multiplier", "internal_divide_quantizer", "internal_multiplier", "pool_avg_multiplier"})
      put(l.name, key, l.operation(key));
    put(l.name, "multiplier", l.merge_operation());
  }
  return out;
}

/// Two decimals; the last may move by one where the sum lies on a tie.
std::string check_energies(const std::map<std::string, qtools::LayerEnergy>& got,
                           const Json& expected) {
  if (got.size() != expected.size())
    return join_text(got.size(), " layers, expected ", expected.size());
  for (const auto& [name, want] : expected.items()) {
    const auto found = got.find(name);
    if (found == got.end()) return join_text(name, " is missing");
    const std::array<double, 4> values = found->second.rounded();
    for (size_t k = 0; k < 5; ++k) {
      const double v = k < 4 ? values[k] : found->second.counted();
      if (std::fabs(v - want[k].get<double>()) > 0.0101)
        return join_text(name, "[", k, "] is ", v, ", expected ", want[k].dump());
    }
  }
  return "";
}

std::string check_energy(const QtoolsModel& model, const DataMap& map, const Json& run,
                         const Json& e) {
  const qtools::EnergyOptions options{
      .process = &process_of(state_of(run)),
      .weights_memory = e.at("weights_on_memory").get<std::string>(),
      .activations_memory = e.at("activations_on_memory").get<std::string>(),
      .min_sram_bits = e.at("min_sram_size").get<int64_t>(),
      .through_sram = e.at("rd_wr_on_io").get<bool>()};
  qtools::EnergyReport report;
  try {
    report = energy_of(model, map, options);
  } catch (const UserError& error) {
    if (!e.contains("error")) throw;
    return e.at("error").at("type") == "AssertionError" ? "" : error.what();
  }
  if (e.contains("error")) return check_refusal(report.refusals, e.at("error"));
  if (!report.refusals.empty()) return "refused: " + report.refusals[0].why;
  std::map<std::string, qtools::LayerEnergy> layers;
  for (const qtools::LayerEnergy& l : report.layers) layers.emplace(l.name, l);
  if (std::string text = check_energies(layers, e.at("layers")); !text.empty()) return text;
  return difference({{"total_cost", report.total_cost()}, {"sum", report.counted_sum()}},
                    {{"total_cost", e.at("total_cost")}, {"sum", e.at("sum")}});
}

std::string check_roofline(const QtoolsModel& model, const DataMap& map, const Json& e) {
  const qtools::Roofline r =
      qtools::roofline_of(model, map, e.at("include_model_input_size").get<bool>(),
                          e.at("default_float_bits").get<int64_t>());
  if (e.contains("error")) return check_refusal(r.refusals, e.at("error"));
  if (!r.refusals.empty()) return "refused: " + r.refusals[0].why;
  return difference({{"ACE", r.ace},
                     {"weight_in_bytes", r.weight_bytes},
                     {"activation_in_bytes", r.activation_bytes},
                     {"ACE_float", r.ace_float},
                     {"weight_in_bytes_float", r.weight_bytes_float},
                     {"activation_in_bytes_float", r.activation_bytes_float}},
                    e.at("numbers"));
}

/// Errors of the arguments, which we refuse too.
bool is_argument_error(const Json& error) {
  return error.at("type") == "WrongInputQuantizerError" || error.at("type") == "ValueError";
}

std::string check_run(const QtoolsModel& model, const Json& run) {
  DataMap map;
  try {
    map = map_types(model, options_of(run));
  } catch (const UserError& error) {
    if (!run.contains("error") || !is_argument_error(run.at("error")))
      return join_text("refused: ", error.what());
    return "";
  }
  if (run.contains("error")) return check_refusal(map.refusals, run.at("error"));
  if (!map.refusals.empty())
    return join_text("refused: ", map.refusals[0].layer, ": ", map.refusals[0].why);
  const Json got = report::to_json(map);
  const Json& expected = run.at("map");
  std::vector<std::string> names[2];
  for (const auto& [key, value] : got.items()) names[0].push_back(key);
  for (const auto& [key, value] : expected.items()) names[1].push_back(key);
  if (std::string text = difference(got, expected, "map"); !text.empty()) return text;
  if (names[0] != names[1]) return "the layers are in another order";
  if (map.is_serializable == run.value("not_serializable", false))
    return "whether QTools can write the map";
  if (std::string text = difference(gates_of(map), run.at("gates"), "gates"); !text.empty())
    return text;
  for (const Json& e : run.at("energy"))
    if (std::string text = check_energy(model, map, run, e); !text.empty())
      return join_text("energy ", e.at("weights_on_memory").dump(), ", ",
                       e.at("activations_on_memory").dump(), ", ", e.at("min_sram_size").dump(),
                       ", ", e.at("rd_wr_on_io").dump(), ": ", text);
  for (const Json& e : run.at("roofline"))
    if (std::string text = check_roofline(model, map, e); !text.empty()) return text;
  return "";
}

/// The variables under the name of the layer that they begin with; one whose name has no layer (the
/// step of QAdaptiveActivation) belongs to the layer of the next.
std::vector<KerasWeightGroup> groups_of(const Bundle& bundle, const Json& weights) {
  std::vector<KerasWeightGroup> groups;
  for (auto w_at = weights.begin(); w_at != weights.end(); ++w_at) {
    const Json& w = *w_at;
    const auto name = w.at("name").get<std::string>();
    auto of_layer = w_at;
    while (of_layer + 1 != weights.end() &&
           of_layer->at("name").get<std::string>().find('/') == std::string::npos)
      ++of_layer;
    const auto named = of_layer->at("name").get<std::string>();
    const std::string layer = named.substr(0, named.find('/'));
    auto group = std::ranges::find(groups, layer, &KerasWeightGroup::name);
    if (group == groups.end()) group = groups.insert(groups.end(), {layer, {}});
    const Tensor value = bundle.f32(w.at("value"));
    group->weights.push_back({name, value.extents(), {value.f32().begin(), value.f32().end()}});
  }
  return groups;
}

}  // namespace

std::vector<std::string> model_files(const Bundle& bundle, const Json& c,
                                     const RunOptions& options) {
  RunOptions beside = options;
  beside.root = bundle.folder() + "../models/";
  std::vector<std::string> paths;
  for (const Json& file : c.at("files")) {
    const auto name = file.get<std::string>();
    std::string path = find_file(bundle, options, name);
    if (path.empty()) path = find_file(bundle, beside, name);
    if (path.empty()) return {};
    paths.push_back(path);
  }
  return paths;
}

KerasModel keras_model_of(const Bundle& bundle, const Json& c, const RunOptions& options) {
  if (c.contains("files")) {
    const std::vector<std::string> paths = model_files(bundle, c, options);
    qloom_check(!paths.empty(), c.at("files").dump(),
                " lie neither beside the bundle nor under --root");
    return read_keras_model(
        paths[0], {.weights = paths.size() > 1 ? paths[1] : "", .weights_optional = true});
  }
  const std::string text = c.at("json").get<std::string>();
  KerasModel model = keras::read_architecture(keras::parse_json(text, "model"), "model");
  if (c.contains("weights")) {
    model.weight_groups = groups_of(bundle, c.at("weights"));
    model.has_weights = true;
  }
  return model;
}

std::string check_qtools_model(const Bundle& bundle, const Json& c, const RunOptions& options) {
  const QtoolsModel model = qtools_model_of(keras_model_of(bundle, c, options));
  size_t number = 0;
  for (const Json& run : c.at("runs")) {
    const std::string text = check_run(model, run);
    if (!text.empty())
      return join_text("run ", number, " ", run.at("settings").dump().substr(0, 160), ": ", text);
    ++number;
  }
  return "";
}

}  // namespace qloom::golden
