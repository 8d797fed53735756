// qloom explain: what became of a model, region by region.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

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
  bool graph = false;
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

void print(const passes::RegionReport& r) {
  fmt::print("{}  ({})\n", r.name, r.op);
  fmt::print("  layers       {}\n", joined(r.layers, " → "));
  fmt::print("  inputs       {}\n", joined(r.inputs, "; "));
  fmt::print("  output       {}\n", r.output);
  if (r.accumulator)
    fmt::print("  accumulator  {} .. {}\n", r.accumulator->first, r.accumulator->second);
  if (!r.tail_form.empty()) fmt::print("  tail         {}: {}\n", r.tail_form, r.tail_proof);
  fmt::print("  kernel       {}{}, predicted {} a sample{}\n", r.kernel,
             r.variant.empty() ? "" : " " + r.variant, duration(r.predicted_ns),
             r.macs > 0 ? fmt::format(" ({} MACs)", grouped(r.macs)) : "");
  for (const passes::Candidate& c : r.candidates)
    fmt::print("    {} {:<20} {}\n", c.matches ? "+" : "-", c.kernel,
               c.matches ? duration(c.predicted_ns) : c.reason);
  fmt::print("\n");
}

int run(const Arguments& a) {
  Graph graph = a.model.load(false);
  passes::Compilation c;
  {
    const Progress progress("compiling");
    c = passes::compile(std::move(graph));
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
  for (const passes::RegionReport& r : c.regions) print(r);
  for (const passes::Certificate& certificate : c.certificates)
    fmt::print("{}\n", certificate.to_string());
  for (const std::string& note : c.notes) fmt::print("note: {}\n", note);
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
      app.add_flag("--graph", a->graph, "print the graph after the passes as well");
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
