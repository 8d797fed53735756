#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "graph/support/error.h"
#include "graph/text.h"
#include "passes/inference_table.h"
#include "passes/pass.h"

namespace qloom::passes {
namespace {

std::string names_of(std::span<const PassDef* const> passes) {
  std::string all;
  for (const PassDef* pass : passes) {
    if (all.find(pass->name) != std::string::npos) continue;  // the same pass may run twice
    if (!all.empty()) all += ", ";
    all += pass->name;
  }
  return all;
}

void check_disabled(std::span<const PassDef* const> passes, const ManagerOptions& options) {
  for (const std::string& name : options.disabled) {
    const bool known = std::any_of(passes.begin(), passes.end(),
                                   [&](const PassDef* pass) { return pass->name == name; });
    qloom_check(known, "cannot disable pass '", name, "': the passes are ", names_of(passes));
  }
}

/// Writes the graph's text; a failure to write is no reason to fail the compilation.
std::string dump(const Graph& graph, const ManagerOptions& options, size_t index,
                 std::string_view pass, std::string_view when) {
  if (options.dump_directory.empty()) return {};
  std::error_code error;
  std::filesystem::create_directories(options.dump_directory, error);
  const std::string path = join_text(options.dump_directory, "/", index < 10 ? "0" : "", index, "-",
                                     pass, "-", when, ".txt");
  std::ofstream out(path);
  out << to_text(graph);
  return out ? path : std::string();
}

}  // namespace

std::vector<PassRecord> run_passes(Graph& graph, std::span<const PassDef* const> passes,
                                   const ManagerOptions& options, std::vector<std::string>* notes) {
  check_disabled(passes, options);
  const PassContext context{.notes = notes};
  std::vector<PassRecord> records;
  for (size_t i = 0; i < passes.size(); ++i) {
    if (options.stop_after >= 0 && static_cast<int>(i) >= options.stop_after) break;
    const PassDef& pass = *passes[i];
    const bool off = std::find(options.disabled.begin(), options.disabled.end(), pass.name) !=
                     options.disabled.end();
    if (off) continue;
    dump(graph, options, i, pass.name, "before");
    // What a failing pass leaves behind is half done: the graph that shows the failure is the one
    // before it.
    std::optional<Graph> before;
    if (!options.dump_directory.empty()) before = graph.clone();
    const auto start = std::chrono::steady_clock::now();
    PassRecord record{.name = std::string(pass.name)};
    try {
      record.rewrites = pass.run(graph, context);
      if (record.rewrites > 0) {
        graph.remove_dead();
        graph.infer_types();
      }
      if (options.verify && record.rewrites > 0) verify(graph);
    } catch (const std::exception& failure) {
      std::string text = join_text("pass ", i, " '", pass.name, "' failed: ", failure.what());
      if (before) {
        const std::string path = dump(*before, options, i, pass.name, "failed");
        if (!path.empty())
          text += join_text("\n  the graph before it is in ", path,
                            "; replay with stop_after = ", i + 1);
      }
      if (dynamic_cast<const UserError*>(&failure) != nullptr) throw UserError(text);
      throw InternalError(text);
    }
    record.milliseconds =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    records.push_back(std::move(record));
    dump(graph, options, i, pass.name, "after");
  }
  return records;
}

}  // namespace qloom::passes
