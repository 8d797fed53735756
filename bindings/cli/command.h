// bindings/cli/command.h: a command of `qloom`. One file each in commands/, one line in the list.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "bindings/import/keras_import.h"
#include "bindings/report/table.h"
#include "graph/graph.h"
#include "passes/compile.h"

namespace qloom::cli {

using report::duration;
using report::grouped;
using report::Table;
using report::wrapped;

/// Exit codes: the answer is yes, the answer is no, wrong usage or unreadable input.
inline constexpr int kSuccess = 0, kNo = 1, kUsage = 2;

struct CommandDef {
  std::string_view name;
  std::string_view doc;      ///< one line
  std::string_view example;  ///< what `--help` ends with
  /// Adds options to the subcommand; returns what runs after parsing and gives the exit code.
  std::function<int()> (*add)(CLI::App&) = nullptr;
};

/// A model on the command line: MODEL, --weights, --evaluation.
struct ModelArguments {
  std::string path, weights;
  std::string evaluation = "predict";
  bool json = false;
  [[nodiscard]] Graph load(bool split_softmax) const;
};
void add_model_arguments(CLI::App& app, ModelArguments& arguments);
/// --float-mode reproducible | fast
void add_float_mode(CLI::App& app, passes::FloatMode& mode);
[[nodiscard]] std::string to_string(passes::FloatMode mode);
/// --tune
void add_tune_flag(CLI::App& app, bool& tune);
/// --wide: lines as long as they get
void add_wide_flag(CLI::App& app, bool& wide);
/// Columns for text on standard output: 0 (no limit) when `wide`; the terminal's; else 80.
[[nodiscard]] size_t output_width(bool wide);
/// --json
void add_json_flag(CLI::App& app, bool& json);

}  // namespace qloom::cli
