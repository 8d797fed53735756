// qloom summary: a model as a table, layer by layer.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/command.h"
#include "bindings/cli/commands/summary_report.h"
#include "bindings/cli/support/table.h"
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

std::string macs_text(const LayerReport& layer) {
  std::string out;
  for (const auto& [widths, macs] : layer.macs)
    out += (out.empty() ? "" : ", ") + grouped(macs) + (widths.empty() ? "" : " (" + widths + ")");
  return out.empty() ? "-" : out;
}

Json to_json(const SummaryReport& report) {
  Json layers = Json::array();
  for (const LayerReport& l : report.layers) {
    Json macs = Json::object(), quantizers = Json::array();
    for (const auto& [widths, count] : l.macs) macs[widths] = count;
    for (const QuantizerReport& q : l.quantizers)
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

/// Without a limit one row a layer; else its value sets stand below it.
Table layers_table(const SummaryReport& report, size_t width) {
  if (width == 0) {
    Table table({"layer (class)", "output shape", "input", "weights", "output", "parameters",
                 "MACs", "packed bytes"});
    for (const LayerReport& l : report.layers)
      table.add({fmt::format("{} ({})", l.name, l.layer_class), l.output_shape, l.input_set,
                 l.weight_set, l.output_set, grouped(l.parameters), macs_text(l),
                 grouped(l.packed_bytes)});
    return table;
  }
  Table table({"layer (class)", "output shape", "parameters", "MACs", "bytes"});
  for (const LayerReport& l : report.layers) {
    table.add({fmt::format("{} ({})", l.name, l.layer_class), l.output_shape, grouped(l.parameters),
               macs_text(l), grouped(l.packed_bytes)});
    std::string sets = l.input_set;
    if (!l.weight_set.empty()) sets += " × " + l.weight_set;
    sets += (sets.empty() ? "" : " → ") + l.output_set;
    if (!sets.empty()) table.add_note(sets);
  }
  return table;
}

void print(const SummaryReport& report, size_t width) {
  fmt::print("{}\n\n{}", report.model, layers_table(report, width).to_string(width));
  fmt::print("\nparameters: {}   MACs a sample: {}   packed weights: {} bytes\n\n",
             grouped(report.parameters), grouped(report.macs), grouped(report.packed_bytes));
  Table quantizers({"layer", "quantizer of", "quantizer", "scale"});
  std::vector<std::string> notes;
  for (const LayerReport& l : report.layers)
    for (const QuantizerReport& q : l.quantizers) {
      quantizers.add({l.name, q.of, q.text, q.scale});
      for (const std::string& note : q.notes)
        notes.push_back(fmt::format("{}, {}: {}", l.name, q.of, note));
    }
  fmt::print("{}", quantizers.to_string(width));
  for (const std::string& note : notes) fmt::print("{}\n", wrapped("note: " + note, width, 2));
}

int run(const Arguments& a) {
  const Graph graph = a.model.load(false);
  if (!a.dot.empty()) {
    std::ofstream out(a.dot);
    out << to_dot(graph);
    out.flush();
    qloom_check(out.good(), a.dot, ": cannot be written");
  }
  const SummaryReport report = summary_of(graph);
  if (a.model.json) {
    std::puts(to_json(report).dump(2).c_str());
  } else {
    print(report, output_width(a.wide));
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
