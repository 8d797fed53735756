// bindings/report/stats.h: the statistics of a model as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bindings/cpp/stats.h"

namespace qloom::report {

/// "s8.1": signed, 8 bits, 1 of them integer (the sign included); "u4.1": unsigned; "po2(4)" and
/// "relu_po2(4)": powers of two; "ternary", "±1", "0/1", "f32".
[[nodiscard]] std::string short_text(const qtools::QtoolsType& type);

/// pJ with two decimals and grouped thousands.
[[nodiscard]] std::string picojoules(double value);

/// By the rules that were chosen: a row for each layer, totals, and what QTools would refuse.
/// `width`: see Table::to_string.
[[nodiscard]] std::string to_text(const ModelStats& stats, size_t width = 0);
/// The four costs of each layer in pJ.
[[nodiscard]] std::string energy_text(const ModelStats& stats, size_t width = 0);
/// The four blocks of QKeras's print_qstats.
[[nodiscard]] std::string qstats_text(const ModelStats& stats);
/// Of `analyze_accumulator` for inputs in [low, high].
[[nodiscard]] std::string to_text(const qtools::AccumulatorBits& accumulators, double low,
                                  double high, size_t width = 0);
/// What each layer of a pipeline gets.
[[nodiscard]] std::string to_text(const qtools::Parallelism& parallelism, size_t width = 0);
/// All of it: the rules' own report under "sound" where these were chosen; QTools's map and
/// energies, roofline numbers, refusals; with `qstats` the older statistics, which quantize all
/// weights.
[[nodiscard]] nlohmann::ordered_json to_json(const ModelStats& stats, bool qstats = false);
[[nodiscard]] nlohmann::ordered_json to_json(const qtools::Parallelism& parallelism);
[[nodiscard]] nlohmann::ordered_json to_json(const qtools::AccumulatorBits& accumulators);

}  // namespace qloom::report
