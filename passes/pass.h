#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace qloom::passes {

struct PassContext {
  /// For passes to say what they could not do, with layer, operand, type and reason.
  std::vector<std::string>* notes = nullptr;
};

/// Graph → Graph. Deterministic and idempotent; keeps the value (canonical evaluation) of every
/// output, and its type but for a value set that becomes smaller; returns how many rewrites it
/// made.
struct PassDef {
  std::string_view name, doc;
  int (*run)(Graph&, const PassContext&) = nullptr;
};

struct PassRecord {
  std::string name;
  int rewrites = 0;
  double milliseconds = 0;
};

struct ManagerOptions {
  std::vector<std::string> disabled =
      {};                           ///< names; an unknown one is a UserError that lists the names
  int stop_after = -1;              ///< bisect: run only the first n passes
  std::string dump_directory = {};  ///< graph text before and after each pass
  bool verify = true;
};

/// Runs passes in order; removes dead nodes, infers types, verifies and times after each. When a
/// pass throws, writes the graph before it into dump_directory (if any) and names it in the error.
std::vector<PassRecord> run_passes(Graph& graph, std::span<const PassDef* const> passes,
                                   const ManagerOptions& options,
                                   std::vector<std::string>* notes = nullptr);

/// The passes of inference, in order, each with the reason for its place (passes/pipelines.cc).
[[nodiscard]] std::span<const PassDef* const> inference_pipeline();

}  // namespace qloom::passes
