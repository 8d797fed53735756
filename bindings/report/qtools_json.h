// bindings/report/qtools_json.h: what QTools's analysis says, as the JSON that QTools writes.
#pragma once

#include <nlohmann/json.hpp>

#include "passes/analysis/qtools/data_map.h"
#include "passes/analysis/qtools/energy.h"

namespace qloom::report {

/// A type: {"quantizer_type", "bits", …}, the keys by its mode; int_bits includes the sign.
/// Source: qkeras/qtools/interface.py, populate_quantizer.
[[nodiscard]] nlohmann::ordered_json to_json(const qtools::QtoolsType& type);
/// The type of the result, with "op_type".
[[nodiscard]] nlohmann::ordered_json to_json(const qtools::Operation& operation);

/// The file that `qtools_stats_to_json` writes: "source_quantizers", then an entry for each layer.
/// Source: qkeras/qtools/interface.py, map_to_json.
[[nodiscard]] nlohmann::ordered_json to_json(const qtools::DataMap& map);
/// The dictionary that `pe` gives: for each layer its class and four energies in pJ to two
/// decimals, and "total_cost".
[[nodiscard]] nlohmann::ordered_json to_json(const qtools::EnergyReport& report);

}  // namespace qloom::report
