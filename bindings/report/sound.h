// bindings/report/sound.h: what the rules `sound` say of a model, as text and JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "passes/analysis/qtools/sound.h"

namespace qloom::report {

/// As `short_text` of the type of QTools: "s12.6", "u4.0", "po2(4)", "ternary", "±1", "0/1", "f32".
[[nodiscard]] std::string short_text(const Numeric& numeric);

/// A row for each layer, more where a layer has several sums, and totals. `title`: the line above.
/// `width`: see Table::to_string.
[[nodiscard]] std::string to_text(const qtools::SoundReport& report, const std::string& title,
                                  size_t width = 0);
/// {"layers": […], "weight_bits", "activation_bits", "operations", "bops", "ebops"}. Types are the
/// texts of value sets with their bits.
[[nodiscard]] nlohmann::ordered_json to_json(const qtools::SoundReport& report);

}  // namespace qloom::report
