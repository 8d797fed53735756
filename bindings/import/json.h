#pragma once

#include <string_view>

#include "bindings/import/config_value.h"

namespace qloom::keras {

/// Reads JSON as Python's encoder writes it: RFC 8259 and the bare words NaN, Infinity, -Infinity.
/// A UTF-8 byte order mark in front is skipped; of equal keys in one object the last one counts.
/// Text must be UTF-8. Nesting up to 256 levels, up to 2 million values (about 100 MB).
/// `source` begins every message ("cnn.json", "cnn.h5: model_config").
/// Throws UserError with line and column.
///
/// Written by hand: nlohmann-json takes neither NaN nor Infinity, refuses numbers beyond the range
/// of a double without saying where, and has no depth limit in its own tree.
[[nodiscard]] ConfigValue parse_json(std::string_view text, std::string_view source);

}  // namespace qloom::keras
