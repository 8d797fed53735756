// qloom explain: what became of a model, region by region.
#include "bindings/report/explain.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "bindings/cli/command.h"
#include "bindings/cli/support/progress.h"
#include "bindings/cpp/tuned.h"
#include "bindings/measure/choice.h"
#include "graph/text.h"
#include "passes/compile.h"

namespace qloom::cli::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  ModelArguments model;
  bool graph = false, wide = false, measure = false, tune = false;
  double seconds = 3;
  passes::FloatMode float_mode = passes::FloatMode::reproducible;
  std::string target;
};

Json to_json(const passes::RegionReport& r, const measure::NodeChoice* choice) {
  Json candidates = Json::array();
  for (const passes::Candidate& c : r.candidates) {
    candidates.push_back({{"kernel", c.kernel},
                          {"verdict", c.matches ? "yes" : "no"},
                          {"reason", c.reason},
                          {"predicted_ns", c.matches ? Json(c.predicted_ns) : Json()}});
    if (const double ns = report::measured_ns(choice, c.kernel); ns > 0)
      candidates.back()["measured_ns"] = ns;
  }
  Json alternatives = Json::array();
  for (const passes::LayoutAlternative& a : r.alternatives)
    alternatives.push_back({{"what", a.what}, {"more_ns", a.more_ns}});
  Json accumulator;
  if (r.accumulator) accumulator = {r.accumulator->first, r.accumulator->second};
  Json out{{"name", r.name},
           {"layers", r.layers},
           {"op", r.op},
           {"inputs", r.inputs},
           {"output", r.output},
           {"writes", r.parts},
           {"accumulator", accumulator},
           {"tail", r.tail_form},
           {"proof", r.tail_proof},
           {"kernel", r.kernel},
           {"variant", r.variant},
           {"emitted", r.emitted},
           {"macs", r.macs},
           {"predicted_ns", r.predicted_ns},
           {"tuned", r.tuned},
           {"candidates", candidates},
           {"alternatives", alternatives}};
  if (choice != nullptr) {
    out["measured_ns"] = choice->pick.measured_ns;
    out["ratio_to_fastest"] = choice->ratio();
  }
  return out;
}

int run(const Arguments& a) {
  Graph graph = a.model.load(false);
  passes::Compilation c;
  std::optional<measure::ChoiceReport> measured;
  std::vector<std::string> notes;
  {
    const Progress progress(a.measure ? "measuring" : "compiling");
    passes::CompileOptions options;
    options.float_mode = a.float_mode;
    if (!a.target.empty()) {
      options.target = jit::Target::named(a.target);
      options.in_memory = false;
    }
    jit::Cache cache;
    std::string gained;
    if (a.tune)
      options.times = tune_and_store(graph, options, &cache, a.seconds, gained);
    else
      options.times = stored_times(cache, options.target);
    for (const std::string& notice : cache.notices()) notes.push_back(notice);
    if (!gained.empty()) notes.push_back(gained);
    if (a.measure) measured = measure::measure_choices(graph, {.seconds = a.seconds}, options);
    c = passes::compile(std::move(graph), options);
  }
  for (const std::string& note : notes) std::fprintf(stderr, "qloom: %s\n", note.c_str());
  const measure::ChoiceReport* choices = measured ? &*measured : nullptr;
  if (a.model.json) {
    const jit::Target& target = c.target;
    Json out{{"model", c.program.model},
             {"target",
              {{"triple", target.triple}, {"cpu", target.cpu}, {"rates", target.rates.source}}},
             {"nodes", Json::array()},
             {"chains", Json::array()},
             {"certificates", Json::array()},
             {"notes", c.notes}};
    for (const passes::RegionReport& r : c.regions)
      out["nodes"].push_back(to_json(r, report::choice_of(r, choices)));
    for (const passes::ChainReport& chain : c.chains)
      out["chains"].push_back({{"calls", chain.regions},
                               {"tile", chain.tile},
                               {"scratch_bytes", chain.scratch_bytes},
                               {"fused", chain.fused},
                               {"apart_ns", chain.apart_ns},
                               {"predicted_ns", chain.predicted_ns}});
    for (const passes::Certificate& certificate : c.certificates)
      out["certificates"].push_back({{"output", certificate.output},
                                     {"exact", certificate.exact},
                                     {"text", certificate.to_string()}});
    std::puts(out.dump(2).c_str());
    return kSuccess;
  }
  if (a.graph) fmt::print("{}\n", to_text(c.graph, false));
  std::fputs(report::to_text(c, output_width(a.wide), choices).c_str(), stdout);
  return kSuccess;
}

}  // namespace

extern const CommandDef explain{
    .name = "explain",
    .doc = "Show what became of a model: regions, proofs, kernels and why not the others",
    .example =
        "qloom explain model.h5\n  qloom explain model.h5 --measure\n  qloom explain model.h5 "
        "--target neoverse-n1",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      add_model_arguments(app, a->model);
      add_wide_flag(app, a->wide);
      add_float_mode(app, a->float_mode);
      app.add_flag("--measure", a->measure,
                   "time every matching kernel for every node as well, median of five rounds");
      app.add_option("--seconds", a->seconds,
                     "how long --measure or --tune takes, without compiling")
          ->check(CLI::Range(0.0, 3600.0))
          ->capture_default_str();
      add_tune_flag(app, a->tune);
      app.add_option("--target", a->target,
                     "what another processor would get: kernels chosen by its rates, code made for "
                     "it but not run; zen3, icelake, neoverse-n1, …; a wrong name lists them all")
          ->excludes("--measure")
          ->excludes("--tune");
      app.add_flag("--graph", a->graph, "print the graph after the passes as well");
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
