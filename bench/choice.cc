// qloom-bench-choice: is the kernel that was chosen for each node near the fastest, and is the cost
// model near the clock?
//
// Every matching kernel in its best predicted variants is timed for every node of the models, in
// rounds that take turns among the alternatives; medians are compared.
#include "bindings/measure/choice.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/support/model_files.h"
#include "bench/support/program.h"
#include "bindings/cpp/load.h"

namespace qloom::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments : ModelArguments {
  std::string json;
  measure::ChoiceOptions choice;
  double ratio = measure::kNearFastest, within = measure::kNearMeasured;
  double share = measure::kShareOfNodes;
};

Json to_json(const measure::Alternative& a) {
  return {{"kernel", a.kernel},
          {"variant", a.variant},
          {"predicted_ns", a.predicted_ns},
          {"measured_ns", a.measured_ns > 0 ? Json(a.measured_ns) : Json()}};
}

Json to_json(const measure::ChoiceReport& report, const Arguments& a) {
  Json nodes = Json::array();
  for (const measure::NodeChoice& n : report.nodes) {
    Json others = Json::array();
    for (const measure::Alternative& other : n.others) others.push_back(to_json(other));
    nodes.push_back({{"node", n.node},
                     {"op", n.op},
                     {"pick", to_json(n.pick)},
                     {"ratio_to_fastest", n.ratio()},
                     {"others", others}});
  }
  return {{"model", report.model},
          {"share_chosen", report.share_chosen(a.ratio)},
          {"share_predicted", report.share_predicted(a.within)},
          {"nodes", nodes}};
}

void print(const measure::ChoiceReport& report, const Arguments& a) {
  fmt::print("{}\n", report.model);
  for (const measure::NodeChoice& n : report.nodes) {
    const bool near = n.ratio() <= a.ratio, right = std::abs(n.prediction() - 1) <= a.within / 100;
    fmt::print("  {}{} {:<22} {:>10.1f} ns {:>6.2f} predicted  {:>5.2f} × fastest  {} {}",
               near ? " " : "c", right ? " " : "p", n.node, n.pick.measured_ns, n.prediction(),
               n.ratio(), n.pick.kernel, n.pick.variant);
    if (n.ratio() > 1.001)
      fmt::print(" (fastest: {} {})", n.others.front().kernel, n.others.front().variant);
    fmt::print("\n");
  }
  fmt::print(
      "  chosen within {:.2f} × of the fastest: {:.0f} %   predicted within {:.0f} %: {:.0f} %\n\n",
      a.ratio, 100 * report.share_chosen(a.ratio), a.within,
      100 * report.share_predicted(a.within));
  std::fflush(stdout);
}

int run(const Arguments& a) {
  Json out = Json::array();
  bool good = true;
  for (const std::string& path : model_files(a.models)) {
    const Graph graph = load_graph(path, "", {.evaluation = a.evaluation});
    const measure::ChoiceReport report = measure::measure_choices(graph, a.choice);
    print(report, a);
    out.push_back(to_json(report, a));
    good = good && report.share_chosen(a.ratio) >= a.share / 100 &&
           report.share_predicted(a.within) >= a.share / 100;
  }
  if (!a.json.empty()) write_file(a.json, out.dump(1) + "\n");
  fmt::print("{}\n", good ? "all models reach the share" : "some model is below the share");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace qloom::bench

int main(int argc, char** argv) {
  qloom::bench::Arguments a;
  CLI::App app{"Times every matching kernel for every node of models", "qloom-bench-choice"};
  add_model_options(app, a);
  app.add_option("--batch", a.choice.batch, "samples a call, predicted and measured")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--rounds", a.choice.rounds, "medians are of so many rounds")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seconds", a.choice.seconds, "how long each model is measured")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--variants", a.choice.variants, "tried of each kernel")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--ratio", a.ratio, "a pick may take so many times as long as the fastest")
      ->check(CLI::Range(1.0, 1000.0))
      ->capture_default_str();
  app.add_option("--within", a.within, "a prediction may be off by so many percent")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  app.add_option("--share", a.share, "of the nodes of each model, in percent")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--json", a.json, "write all times to this file");
  app.footer(
      "Marks: c the pick is too slow, p the prediction is off.\nExit codes: 0 every model reaches "
      "the share in both, 1 some does not, 2 wrong usage or unreadable input");
  return qloom::bench::run_program(app, argc, argv, [&] { return qloom::bench::run(a); });
}
