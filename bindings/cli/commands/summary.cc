// qloom summary: a model as a table, layer by layer.
#include "bindings/report/summary.h"

#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/command.h"
#include "graph/support/error.h"
#include "graph/text.h"

namespace qloom::cli::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  ModelArguments model;
  std::string dot;
  bool wide = false;
};

Json to_json(const report::SummaryReport& report) {
  Json layers = Json::array();
  for (const report::LayerReport& l : report.layers) {
    Json macs = Json::object(), quantizers = Json::array();
    for (const auto& [widths, count] : l.macs) macs[widths] = count;
    for (const report::QuantizerReport& q : l.quantizers)
      quantizers.push_back(
          {{"of", q.of}, {"quantizer", q.text}, {"scale", q.scale}, {"notes", q.notes}});
    layers.push_back({{"name", l.name},
                      {"class", l.layer_class},
                      {"output_shape", l.output_shape},
                      {"input", l.input_set},
                      {"weights", l.weight_set},
                      {"output", l.output_set},
                      {"parameters", l.parameters},
                      {"macs", macs},
                      {"packed_bytes", l.packed_bytes},
                      {"quantizers", quantizers}});
  }
  return {{"model", report.model},
          {"layers", layers},
          {"parameters", report.parameters},
          {"macs", report.macs},
          {"packed_bytes", report.packed_bytes}};
}

int run(const Arguments& a) {
  const Graph graph = a.model.load(false);
  if (!a.dot.empty()) {
    std::ofstream out(a.dot);
    out << to_dot(graph);
    out.flush();
    qloom_check(out.good(), a.dot, ": cannot be written");
  }
  const report::SummaryReport summary = report::summary_of(graph);
  if (a.model.json) {
    std::puts(to_json(summary).dump(2).c_str());
  } else {
    std::fputs(report::to_text(summary, output_width(a.wide)).c_str(), stdout);
  }
  return kSuccess;
}

}  // namespace

extern const CommandDef summary{
    .name = "summary",
    .doc =
        "Show a model layer by layer: shapes, value sets, parameters, MACs, quantizers as they are",
    .example =
        "qloom summary model.h5 --dot model.dot\n  qloom summary architecture.json --weights "
        "weights.h5",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      add_model_arguments(app, a->model);
      app.add_option("--dot", a->dot, "write the graph for Graphviz to this file");
      add_wide_flag(app, a->wide);
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
