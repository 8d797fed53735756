// qloom explain: what became of a model, region by region.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "bindings/cli/command.h"
#include "bindings/cli/support/progress.h"
#include "bindings/cli/support/table.h"
#include "bindings/measure/choice.h"
#include "graph/text.h"
#include "passes/compile.h"

namespace qloom::cli::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  ModelArguments model;
  bool graph = false, wide = false, measure = false;
  double seconds = 3;
  passes::FloatMode float_mode = passes::FloatMode::reproducible;
};

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

/// Fastest measured time of a kernel for a node; 0 where it was not measured.
double measured_ns(const measure::NodeChoice* choice, const std::string& kernel) {
  if (choice == nullptr) return 0;
  double out = choice->pick.kernel == kernel ? choice->pick.measured_ns : 0;
  for (const measure::Alternative& other : choice->others)
    if (other.kernel == kernel && other.measured_ns > 0 && (out == 0 || other.measured_ns < out))
      out = other.measured_ns;
  return out;
}

Json to_json(const passes::RegionReport& r, const measure::NodeChoice* choice) {
  Json candidates = Json::array();
  for (const passes::Candidate& c : r.candidates) {
    candidates.push_back({{"kernel", c.kernel},
                          {"verdict", c.matches ? "yes" : "no"},
                          {"reason", c.reason},
                          {"predicted_ns", c.matches ? Json(c.predicted_ns) : Json()}});
    if (const double ns = measured_ns(choice, c.kernel); ns > 0)
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
           {"accumulator", accumulator},
           {"tail", r.tail_form},
           {"proof", r.tail_proof},
           {"kernel", r.kernel},
           {"variant", r.variant},
           {"emitted", r.emitted},
           {"macs", r.macs},
           {"predicted_ns", r.predicted_ns},
           {"candidates", candidates},
           {"alternatives", alternatives}};
  if (choice != nullptr) {
    out["measured_ns"] = choice->pick.measured_ns;
    out["ratio_to_fastest"] = choice->ratio();
  }
  return out;
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

void print(const passes::RegionReport& r, const measure::NodeChoice* choice, size_t width) {
  fmt::print("{}  ({})\n", r.name, r.op);
  line("layers", joined(r.layers, " → "), width);
  line("inputs", joined(r.inputs, "; "), width);
  line("output", r.output, width);
  if (r.accumulator)
    line("accumulator", fmt::format("{} .. {}", r.accumulator->first, r.accumulator->second),
         width);
  if (!r.tail_form.empty()) line("tail", r.tail_form + ": " + r.tail_proof, width);
  line("kernel",
       fmt::format("{}{}, predicted {}{} a sample{}", r.kernel,
                   r.variant.empty() ? "" : " " + r.variant, duration(r.predicted_ns),
                   choice == nullptr ? "" : ", measured " + duration(choice->pick.measured_ns),
                   r.macs > 0 ? fmt::format(" ({} MACs)", grouped(r.macs)) : ""),
       width);
  constexpr size_t kIndent = 27;
  for (const passes::Candidate& c : r.candidates) {
    std::string text = c.matches ? duration(c.predicted_ns) : c.reason;
    if (const double ns = measured_ns(choice, c.kernel); ns > 0)
      text += " predicted, " + duration(ns) + " measured";
    fmt::print("    {} {:<20} {}\n", c.matches ? "+" : "-", c.kernel,
               wrapped(text, width == 0 ? 0 : width - kIndent, kIndent));
  }
  for (const passes::LayoutAlternative& a : r.alternatives)
    line("instead", fmt::format("{}: the network takes {} more", a.what, duration(a.more_ns)),
         width);
  fmt::print("\n");
}

int run(const Arguments& a) {
  Graph graph = a.model.load(false);
  passes::Compilation c;
  std::optional<measure::ChoiceReport> measured;
  {
    const Progress progress(a.measure ? "measuring" : "compiling");
    passes::CompileOptions options;
    options.float_mode = a.float_mode;
    if (a.measure) measured = measure::measure_choices(graph, {.seconds = a.seconds}, options);
    c = passes::compile(std::move(graph), options);
  }
  const auto choice_of = [&](const passes::RegionReport& r) -> const measure::NodeChoice* {
    if (!measured) return nullptr;
    const auto found = std::ranges::find(measured->nodes, r.name, &measure::NodeChoice::node);
    return found == measured->nodes.end() ? nullptr : &*found;
  };
  if (a.model.json) {
    Json out{{"model", c.program.model},
             {"nodes", Json::array()},
             {"certificates", Json::array()},
             {"notes", c.notes}};
    for (const passes::RegionReport& r : c.regions)
      out["nodes"].push_back(to_json(r, choice_of(r)));
    for (const passes::Certificate& certificate : c.certificates)
      out["certificates"].push_back({{"output", certificate.output},
                                     {"exact", certificate.exact},
                                     {"text", certificate.to_string()}});
    std::puts(out.dump(2).c_str());
    return kSuccess;
  }
  if (a.graph) fmt::print("{}\n", to_text(c.graph, false));
  const size_t width = output_width(a.wide);
  for (const passes::RegionReport& r : c.regions) print(r, choice_of(r), width);
  if (measured)
    fmt::print(
        "{:.0f} % of the nodes predicted within 30 % of measured\n"
        "{:.0f} % of the picks within 1.25 × the fastest\n\n",
        100 * measured->share_predicted(30), 100 * measured->share_chosen(1.25));
  for (const passes::Certificate& certificate : c.certificates)
    print_lines(certificate.to_string(), width);
  for (const std::string& note : c.notes) print_lines("note: " + note, width);
  return kSuccess;
}

}  // namespace

extern const CommandDef explain{
    .name = "explain",
    .doc = "Show what became of a model: regions, proofs, kernels and why not the others",
    .example = "qloom explain model.h5\n  qloom explain model.h5 --measure",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      add_model_arguments(app, a->model);
      add_wide_flag(app, a->wide);
      add_float_mode(app, a->float_mode);
      app.add_flag("--measure", a->measure,
                   "time every matching kernel for every node as well, median of five rounds");
      app.add_option("--seconds", a->seconds, "how long --measure takes, without compiling")
          ->check(CLI::Range(0.0, 3600.0))
          ->capture_default_str();
      app.add_flag("--graph", a->graph, "print the graph after the passes as well");
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
