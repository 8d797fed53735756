// qloom explain: what became of a model, region by region.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bindings/cli/command.h"
#include "bindings/cli/support/progress.h"
#include "bindings/cli/support/table.h"
#include "graph/text.h"
#include "passes/compile.h"

namespace qloom::cli::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  ModelArguments model;
  bool graph = false, wide = false;
  passes::FloatMode float_mode = passes::FloatMode::reproducible;
};

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

Json to_json(const passes::RegionReport& r) {
  Json candidates = Json::array();
  for (const passes::Candidate& c : r.candidates)
    candidates.push_back({{"kernel", c.kernel},
                          {"verdict", c.matches ? "yes" : "no"},
                          {"reason", c.reason},
                          {"predicted_ns", c.matches ? Json(c.predicted_ns) : Json()}});
  Json accumulator;
  if (r.accumulator) accumulator = {r.accumulator->first, r.accumulator->second};
  return {{"name", r.name},
          {"layers", r.layers},
          {"op", r.op},
          {"inputs", r.inputs},
          {"output", r.output},
          {"accumulator", accumulator},
          {"tail", r.tail_form},
          {"proof", r.tail_proof},
          {"kernel", r.kernel},
          {"variant", r.variant},
          {"emitted", r.emitted},
          {"macs", r.macs},
          {"predicted_ns", r.predicted_ns},
          {"candidates", candidates}};
}

void print_lines(const std::string& text, size_t width) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t indent = std::min<size_t>(line.find_first_not_of(' '), line.size()) + 2;
    fmt::print("{}\n", wrapped(line, width == 0 ? 0 : width - indent, indent));
  }
}

/// A line of a region's page: what, then text that continues under itself.
void line(const char* what, const std::string& text, size_t width) {
  constexpr size_t kIndent = 15;
  fmt::print("  {:<13}{}\n", what, wrapped(text, width == 0 ? 0 : width - kIndent, kIndent));
}

void print(const passes::RegionReport& r, size_t width) {
  fmt::print("{}  ({})\n", r.name, r.op);
  line("layers", joined(r.layers, " → "), width);
  line("inputs", joined(r.inputs, "; "), width);
  line("output", r.output, width);
  if (r.accumulator)
    line("accumulator", fmt::format("{} .. {}", r.accumulator->first, r.accumulator->second),
         width);
  if (!r.tail_form.empty()) line("tail", r.tail_form + ": " + r.tail_proof, width);
  line("kernel",
       fmt::format("{}{}, predicted {} a sample{}", r.kernel,
                   r.variant.empty() ? "" : " " + r.variant, duration(r.predicted_ns),
                   r.macs > 0 ? fmt::format(" ({} MACs)", grouped(r.macs)) : ""),
       width);
  constexpr size_t kIndent = 27;
  for (const passes::Candidate& c : r.candidates)
    fmt::print("    {} {:<20} {}\n", c.matches ? "+" : "-", c.kernel,
               wrapped(c.matches ? duration(c.predicted_ns) : c.reason,
                       width == 0 ? 0 : width - kIndent, kIndent));
  fmt::print("\n");
}

int run(const Arguments& a) {
  Graph graph = a.model.load(false);
  passes::Compilation c;
  {
    const Progress progress("compiling");
    passes::CompileOptions options;
    options.float_mode = a.float_mode;
    c = passes::compile(std::move(graph), options);
  }
  if (a.model.json) {
    Json out{{"model", c.program.model},
             {"nodes", Json::array()},
             {"certificates", Json::array()},
             {"notes", c.notes}};
    for (const passes::RegionReport& r : c.regions) out["nodes"].push_back(to_json(r));
    for (const passes::Certificate& certificate : c.certificates)
      out["certificates"].push_back({{"output", certificate.output},
                                     {"exact", certificate.exact},
                                     {"text", certificate.to_string()}});
    std::puts(out.dump(2).c_str());
    return kSuccess;
  }
  if (a.graph) fmt::print("{}\n", to_text(c.graph, false));
  const size_t width = output_width(a.wide);
  for (const passes::RegionReport& r : c.regions) print(r, width);
  for (const passes::Certificate& certificate : c.certificates)
    print_lines(certificate.to_string(), width);
  for (const std::string& note : c.notes) print_lines("note: " + note, width);
  return kSuccess;
}

}  // namespace

extern const CommandDef explain{
    .name = "explain",
    .doc = "Show what became of a model: regions, proofs, kernels and why not the others",
    .example = "qloom explain model.h5",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      add_model_arguments(app, a->model);
      add_wide_flag(app, a->wide);
      add_float_mode(app, a->float_mode);
      app.add_flag("--graph", a->graph, "print the graph after the passes as well");
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
