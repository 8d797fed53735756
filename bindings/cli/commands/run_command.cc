// qloom run: a model on arrays.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "bindings/cli/command.h"
#include "bindings/cli/support/npy.h"
#include "bindings/cli/support/progress.h"
#include "bindings/cpp/load.h"
#include "bindings/golden/compare.h"
#include "bindings/measure/process.h"
#include "bindings/report/table.h"
#include "graph/support/error.h"

namespace qloom::cli::commands {
namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  ModelArguments model;
  std::string input, output, labels;
  int threads = 1;
  bool no_cache = false;
  passes::FloatMode float_mode = passes::FloatMode::reproducible;
  bool tune = false;
};

/// Share of samples whose largest output is the label.
double accuracy_of(const Tensor& output, const Tensor& labels, const std::string& file) {
  const int64_t samples = output.extents()[0];
  qloom_check(labels.size() == samples, file, ": ", labels.size(), " labels for ", samples,
              " samples");
  const int64_t columns = output.size() / std::max<int64_t>(samples, 1);
  for (const float label : labels.f32())
    qloom_check(label >= 0 && label == std::floor(label), file, ": label ", label,
                " is no class; classes are counted from 0");
  int64_t right = 0;
  for (int64_t s = 0; s < samples; ++s) {
    const auto row =
        output.f32().subspan(static_cast<size_t>(s * columns), static_cast<size_t>(columns));
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    right += static_cast<float>(best) == labels.f32()[static_cast<size_t>(s)] ? 1 : 0;
  }
  return samples == 0 ? 0 : static_cast<double>(right) / static_cast<double>(samples);
}

int run(const Arguments& a) {
  const auto start = Clock::now();
  LoadedModel loaded;
  {
    const Progress progress("loading " + a.model.path);
    LoadOptions options;
    options.weights = a.model.weights;
    options.import.evaluation = a.model.evaluation;
    options.use_cache = !a.no_cache;
    options.compile.float_mode = a.float_mode;
    options.tune = a.tune;
    loaded = load_model(a.model.path, options);
  }
  const double load_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  for (const std::string& notice : loaded.notices) fmt::print(stderr, "qloom: {}\n", notice);
  if (!loaded.tuned.empty()) fmt::print(stderr, "qloom: {}\n", loaded.tuned);
  const runtime::Program& program = loaded.model->program();
  std::vector<std::string> input_names;
  for (const runtime::Port& port : program.inputs) input_names.push_back(port.name);
  const std::vector<Tensor> inputs = arrays_for_inputs(read_arrays(a.input), input_names, a.input);
  std::vector<Tensor> outputs;
  const auto begin = Clock::now();
  {
    const Progress progress("running");
    outputs = golden::run_model(loaded.model, inputs, a.threads);
  }
  const double run_ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  const int64_t samples = golden::samples_in(program.inputs[0].shape, inputs[0]);

  NamedArrays named;
  for (size_t i = 0; i < outputs.size(); ++i)
    named.emplace_back(program.outputs[i].name, outputs[i]);
  if (!a.output.empty()) write_arrays(a.output, named);
  nlohmann::ordered_json json{
      {"model", program.model}, {"samples", samples}, {"from_cache", loaded.from_cache},
      {"load_ms", load_ms},     {"run_ms", run_ms},   {"outputs", nlohmann::ordered_json::array()}};
  json["peak_rss_bytes"] = measure::peak_rss_bytes();
  for (const auto& [name, array] : named)
    json["outputs"].push_back({{"name", name}, {"shape", array.extents()}});
  if (!a.labels.empty()) {
    const NamedArrays labels = read_arrays(a.labels);
    qloom_check(labels.size() == 1, a.labels, ": expected one array of labels, found ",
                labels.size());
    json["accuracy"] = accuracy_of(outputs[0], labels[0].second, a.labels);
  }
  if (a.model.json) {
    std::puts(json.dump(2).c_str());
    return kSuccess;
  }
  fmt::print("{}: {} samples in {}, loaded in {} ({})\n", program.model, grouped(samples),
             duration(run_ms * 1e6), duration(load_ms * 1e6),
             loaded.from_cache ? "from the cache" : "compiled");
  if (json.contains("accuracy")) fmt::print("accuracy: {:.4f}\n", json["accuracy"].get<double>());
  if (!a.output.empty()) {
    fmt::print("written: {}\n", a.output);
    return kSuccess;
  }
  for (const auto& [name, array] : named) {
    const int64_t columns = array.size() / std::max<int64_t>(samples, 1);
    fmt::print("{}: first sample", name);
    for (int64_t c = 0; c < std::min<int64_t>(columns, 12) && samples > 0; ++c)
      fmt::print(" {}", array.f32()[static_cast<size_t>(c)]);
    fmt::print("{}\n", columns > 12 ? " …" : "");
  }
  return kSuccess;
}

}  // namespace

extern const CommandDef run_command{
    .name = "run",
    .doc = "Run a model on arrays: .npy, or .npz with several inputs by name",
    .example = "qloom run model.h5 --input x.npy --output y.npy --labels labels.npy --threads 2",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      add_model_arguments(app, a->model);
      app.add_option("--input", a->input,
                     "samples: .npy, or .npz with one array per input, named like it")
          ->required();
      app.add_option("--output", a->output, "where results go: .npy, or .npz for several outputs");
      app.add_option("--labels", a->labels,
                     "class of each sample (.npy): prints the accuracy of the first output");
      app.add_option("--threads", a->threads, "threads that share the batch")
          ->check(CLI::Range(1, 1024))
          ->capture_default_str();
      add_float_mode(app, a->float_mode);
      add_tune_flag(app, a->tune);
      app.add_flag("--no-cache", a->no_cache, "neither read nor write compiled models on disk");
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
