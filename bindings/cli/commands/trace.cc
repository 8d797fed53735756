// qloom trace: what each layer yields on given samples, and how much of its value set it uses.
#include "bindings/report/trace.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "bindings/cli/command.h"
#include "bindings/cli/support/npy.h"
#include "bindings/cli/support/progress.h"
#include "graph/support/error.h"

namespace qloom::cli::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  ModelArguments model;
  std::string input, values;
  bool wide = false, compiled = false;
  int threads = 1;
};

/// A file's name for a layer: a name in a model file must not lead out of the folder.
std::string file_name(const std::string& layer, std::set<std::string>& taken) {
  std::string name = layer;
  for (char& c : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' ||
                       (c == '.' && &c != name.data());
    if (!plain) c = '_';
  }
  std::string unique = name;
  for (int k = 2; !taken.insert(unique).second; ++k) unique = name + "_" + std::to_string(k);
  return unique + ".npy";
}

Json to_json(const report::TraceReport& report) {
  const auto or_null = [](const std::optional<double>& v) { return v ? Json(*v) : Json(); };
  Json layers = Json::array();
  for (const report::LayerTrace& l : report.layers)
    layers.push_back({{"name", l.name},
                      {"class", l.layer_class},
                      {"set", l.set},
                      {"values", l.values},
                      {"min", l.min},
                      {"max", l.max},
                      {"saturated", or_null(l.saturated)},
                      {"unused", or_null(l.unused)},
                      {"zeros", l.zeros},
                      {"nans", l.nans}});
  return {{"model", report.model}, {"samples", report.samples}, {"layers", layers}};
}

int run(const Arguments& a) {
  const Graph graph = a.model.load(false);
  std::vector<std::string> names;
  for (const ValueId input : graph.inputs()) names.push_back(graph.producer(input).name);
  const std::vector<Tensor> inputs = arrays_for_inputs(read_arrays(a.input), names, a.input);
  for (const Tensor& x : inputs) qloom_check(x.size() > 0, a.input, ": holds no samples");
  report::LayerValues write;
  std::set<std::string> taken;
  if (!a.values.empty()) {
    std::error_code error;
    std::filesystem::create_directories(a.values, error);
    qloom_check(!error, a.values, ": cannot be made: ", error.message());
    write = [&](const std::string& layer, const Tensor& values) {
      write_arrays((std::filesystem::path(a.values) / file_name(layer, taken)).string(),
                   {{"", values}});
    };
  }
  const report::TraceReport report = [&] {
    const Progress progress("running");
    return a.compiled ? report::trace_compiled(graph, inputs, a.threads, write)
                      : report::trace_of(graph, inputs, write);
  }();
  const std::string text =
      a.model.json ? to_json(report).dump(2) + "\n" : report::to_text(report, output_width(a.wide));
  std::fputs(text.c_str(), stdout);
  return kSuccess;
}

}  // namespace

extern const CommandDef trace{
    .name = "trace",
    .doc = "Run samples through a model: range, saturation, unused range and zeros of each layer",
    .example = "qloom trace model.h5 --input x.npy --values layers",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      add_model_arguments(app, a->model);
      app.add_option("--input", a->input,
                     "samples: .npy, or .npz with one array per input, named like it")
          ->required();
      app.add_option("--values", a->values,
                     "write what each layer yields (code × step) to this folder, LAYER.npy");
      app.add_flag("--compiled", a->compiled,
                   "run compiled code, every layer an output of its own, in place of the "
                   "interpreter: faster for many samples, and shows what machine code makes");
      app.add_option("--threads", a->threads, "with --compiled: threads to run on")
          ->check(CLI::Range(1, 1024))
          ->capture_default_str();
      add_wide_flag(app, a->wide);
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
