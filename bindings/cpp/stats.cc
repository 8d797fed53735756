#include "bindings/cpp/stats.h"

#include <algorithm>

#include "bindings/import/qtools_model.h"
#include "bindings/import/read.h"
#include "bindings/import/unfold_model.h"

namespace qloom {

ModelStats model_stats(const std::string& path, const StatsOptions& options) {
  return model_stats(read_keras_model(path, {.weights = options.weights, .weights_optional = true}),
                     options);
}

ModelStats model_stats(KerasModel described, const StatsOptions& options) {
  KerasModel model = with_assigned_weights(std::move(described));
  const qtools::Process& process = qtools::find_process(options.process);
  const qtools::RuleSet& rules = qtools::find_rules(options.rules);
  ModelStats out;
  out.name = model.name;
  out.rules = rules.name;
  out.process = process.name;
  out.notes = model.notes;
  const bool has_folded = std::ranges::any_of(
      model.layers, [](const KerasLayer& l) { return l.class_name.ends_with("Conv2DBatchnorm"); });
  if (has_folded) out.unfolded = qtools_model_of(unfold_model(model));
  out.model = qtools_model_of(std::move(model));
  if (!has_folded) out.unfolded = out.model;  // tensors are shared
  qtools::MapOptions map_options = options.map;
  map_options.process = &process;
  if (options.fuse_batch_norm) map_options.hardware = qtools::hardware_weights(out.model);
  out.map = rules.map(out.model, map_options);
  qtools::EnergyOptions energy_options = options.energy;
  energy_options.process = &process;
  out.energy = qtools::energy_of(out.model, out.map, energy_options);
  out.roofline = qtools::roofline_of(out.model, out.map);
  return out;
}

}  // namespace qloom
