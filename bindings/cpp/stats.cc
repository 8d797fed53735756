#include "bindings/cpp/stats.h"

#include <algorithm>

#include "bindings/import/keras_import.h"
#include "bindings/import/qtools_model.h"
#include "bindings/import/read.h"
#include "bindings/import/unfold_model.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

constexpr std::string_view kSound = "sound";

/// What was asked for that only QTools has; "" if nothing.
std::string only_in_qtools(const StatsOptions& options) {
  const qtools::MapOptions defaults, &map = options.map;
  if (map.for_reference) return "a reference without quantizers";
  if (map.keras_quantizer != defaults.keras_quantizer) return "a type of unquantized weights";
  if (map.keras_accumulator != defaults.keras_accumulator) return "a type of unquantized sums";
  if (map.is_inference) return "counting the values of trained weights";
  if (map.scales_from_weights || !map.scales.empty()) return "learned scales";
  if (map.hardware || options.fuse_batch_norm) return "merging batch normalisations";
  return "";
}

qtools::SoundReport sound_report_of(const KerasModel& model, const StatsOptions& options,
                                    const qtools::EnergyOptions& energy) {
  // Before importing: without weights there are no scales and no exact sums.
  Graph graph = import_keras(model, {.evaluation = options.evaluation});
  if (options.map.sources) {
    std::vector<std::string> sources = *options.map.sources;
    // One text for all inputs, as QTools documents it.
    if (options.map.single_source && sources.size() == 1)
      sources.resize(graph.inputs().size(), sources[0]);
    qtools::quantize_inputs(graph, sources);
  }
  return qtools::sound_report(graph, energy);
}

}  // namespace

ModelStats model_stats(const std::string& path, const StatsOptions& options) {
  return model_stats(read_keras_model(path, {.weights = options.weights, .weights_optional = true}),
                     options);
}

ModelStats model_stats(KerasModel described, const StatsOptions& options) {
  KerasModel model = with_assigned_weights(std::move(described));
  const qtools::Process& process = qtools::find_process(options.process);
  const bool undecided = options.rules.empty();
  const std::string why_qtools = only_in_qtools(options);
  bool sound = options.rules == kSound || undecided;
  if (!undecided) (void)qtools::find_rules(options.rules);
  if (sound && !why_qtools.empty()) {
    qloom_check(undecided, "the rules 'sound' do not know ", why_qtools,
                ": take the rules 'qkeras'");
    sound = false;
  }
  ModelStats out;
  out.name = model.name;
  out.process = process.name;
  out.notes = model.notes;
  qtools::EnergyOptions energy_options = options.energy;
  energy_options.process = &process;
  if (sound) try {
      out.sound = sound_report_of(model, options, energy_options);
    } catch (const UserError& error) {
      if (!undecided) throw;
      out.notes.push_back(
          join_text("types by the rules of qkeras, since no graph can be built: ", error.what()));
    }
  out.rules = out.sound ? kSound : "qkeras";
  const bool has_folded = std::ranges::any_of(
      model.layers, [](const KerasLayer& l) { return l.class_name.ends_with("Conv2DBatchnorm"); });
  if (has_folded) out.unfolded = qtools_model_of(unfold_model(model));
  out.model = qtools_model_of(std::move(model));
  if (!has_folded) out.unfolded = out.model;  // tensors are shared
  qtools::MapOptions map_options = options.map;
  map_options.process = &process;
  if (options.fuse_batch_norm) map_options.hardware = qtools::hardware_weights(out.model);
  out.map = qtools::map_types(out.model, map_options);
  out.energy = qtools::energy_of(out.model, out.map, energy_options);
  out.roofline = qtools::roofline_of(out.model, out.map);
  return out;
}

}  // namespace qloom
