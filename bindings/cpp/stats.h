// bindings/cpp/stats.h: what the hardware for a model needs and costs: by our own rules, read off
// its graph, and as QKeras's QTools and its older statistics say it. For the latter nothing is run
// and no graph is built: any Keras model whose layers have known shapes will do, with or without
// weights.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bindings/import/keras_description.h"
#include "passes/analysis/qtools/energy.h"
#include "passes/analysis/qtools/estimate.h"
#include "passes/analysis/qtools/parallelism.h"
#include "passes/analysis/qtools/rules.h"
#include "passes/analysis/qtools/sound.h"

namespace qloom {

struct StatsOptions {
  std::string weights = {};  ///< weights file that goes with an architecture JSON
  /// "sound", "qkeras" (see qtools::rule_sets), or "": sound where a graph can be built and no
  /// option is given that only QTools has, else qkeras, which `notes` says.
  std::string rules = {};
  std::string evaluation = "predict";  ///< of the graph, for scales that come from weights
  std::string process = "horowitz";    ///< see qtools::processes
  bool fuse_batch_norm = false;        ///< map.hardware as `qtools::hardware_weights` finds it
  qtools::MapOptions map = {};         ///< types of inputs, of unquantized layers, …
  qtools::EnergyOptions energy = {};
};

struct ModelStats {
  std::string name;
  std::string rules, process;
  std::vector<std::string> notes;  ///< of reading: weights that are not used, …; of the rules
  std::optional<qtools::SoundReport> sound = {};  ///< where `rules` is "sound"
  qtools::QtoolsModel model;                      ///< what is known of each layer
  qtools::DataMap map;          ///< types, operations; always by the rules of QTools
  qtools::EnergyReport energy;  ///< pJ a sample
  qtools::Roofline roofline;    ///< bytes and bit operations
  /// The model without folded layers, for `estimate_operations` and `sparsity_of`.
  qtools::QtoolsModel unfolded;
};

/// Of a file. Throws UserError as reading does, for layers of unknown classes, and for options that
/// do not fit.
[[nodiscard]] ModelStats model_stats(const std::string& path, const StatsOptions& options = {});
/// Of a description.
[[nodiscard]] ModelStats model_stats(KerasModel model, const StatsOptions& options = {});

}  // namespace qloom
