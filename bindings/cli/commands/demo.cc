// qloom demo: one trained network, end to end: read, compared with QKeras, measured.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "bindings/cli/command.h"
#include "bindings/cli/support/progress.h"
#include "bindings/cli/support/starts.h"
#include "bindings/cpp/load.h"
#include "bindings/golden/compare.h"
#include "bindings/measure/speed.h"
#include "bindings/report/table.h"
#include "graph/support/error.h"

namespace qloom::cli::commands {
namespace {

constexpr int64_t kBatch = 2048;  // samples a call, repeating the test images

struct Arguments {
  ModelArguments model;
  std::string golden;
  double seconds = 2;
};

/// The test images over and over, as one batch.
std::vector<float> repeated(const Tensor& images, int64_t samples) {
  const int64_t size = images.size() / images.extents()[0];
  std::vector<float> out;
  out.reserve(static_cast<size_t>(samples * size));
  for (int64_t s = 0; s < samples; ++s) {
    const auto image = images.f32().subspan(static_cast<size_t>((s % images.extents()[0]) * size),
                                            static_cast<size_t>(size));
    out.insert(out.end(), image.begin(), image.end());
  }
  return out;
}

std::vector<std::string> run_command_of(const Arguments& a) {
  std::vector<std::string> out{"run", a.model.path, "--evaluation", a.model.evaluation};
  if (!a.model.weights.empty()) out.insert(out.end(), {"--weights", a.model.weights});
  return out;
}

double accuracy(const Tensor& output, const std::vector<int64_t>& labels) {
  const int64_t columns = output.size() / static_cast<int64_t>(labels.size());
  int64_t right = 0;
  for (size_t s = 0; s < labels.size(); ++s) {
    const auto row =
        output.f32().subspan(s * static_cast<size_t>(columns), static_cast<size_t>(columns));
    right += std::max_element(row.begin(), row.end()) - row.begin() == labels[s] ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

int run(const Arguments& a) {
  const golden::Bundle bundle(a.golden);
  const golden::Json& one_case = bundle.cases().at(0);
  const golden::Expected expected = golden::expected_of(bundle, one_case);
  qloom_check(one_case.contains("labels"), a.golden, ": the demo needs a model with `labels`");
  const Tensor label_values = bundle.i64(one_case["labels"]);
  const std::vector<int64_t> labels(label_values.i64().begin(), label_values.i64().end());

  const Graph graph = a.model.load(true);
  golden::Comparison comparison;
  {
    const Progress progress("compiling and comparing");
    comparison = golden::compare(graph, expected);
  }
  LoadOptions options;
  options.weights = a.model.weights;
  options.import.evaluation = a.model.evaluation;
  const LoadedModel loaded = load_model(a.model.path, options);
  const Tensor output = golden::run_model(loaded.model, expected.inputs, 1)[0];
  const Tensor& images = expected.inputs[0];
  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const measure::Arrays batch{repeated(images, kBatch)};

  measure::Speed one, all;
  Starts starts;
  {
    const Progress progress("measuring");
    starts = FreshProcesses(run_command_of(a)).measure(loaded.model->program(), batch, 1);
    one = measure::measure_speed(loaded.model, batch, {kBatch, 1, a.seconds});
    all = measure::measure_speed(loaded.model, batch, {kBatch, threads, a.seconds});
  }
  const golden::OutputComparison& logits = comparison.compiled.back();
  if (a.model.json) {
    const nlohmann::ordered_json out{{"model", comparison.model},
                                     {"images", images.extents()[0]},
                                     {"accuracy", accuracy(output, labels)},
                                     {"logits", logits.values},
                                     {"logits_bit_equal", logits.equal_values},
                                     {"samples_per_second", one.samples_per_second},
                                     {"samples_per_second_median", one.samples_median},
                                     {"threads", threads},
                                     {"samples_per_second_all_threads", all.samples_per_second},
                                     {"macs_per_sample", one.macs_per_sample},
                                     {"gmacs", one.gmacs},
                                     {"fp32_peak_gmacs", one.fp32_peak_gmacs},
                                     {"ratio_to_fp32_peak", one.ratio_to_fp32_peak},
                                     {"start_cold_ms", starts.cold_ms},
                                     {"start_warm_ms", starts.warm_ms}};
    std::puts(out.dump(2).c_str());
  } else {
    const auto rate = [](double r) { return grouped(static_cast<int64_t>(r)); };
    fmt::print("{}: accuracy {:.4f} on {} test images\n", comparison.model,
               accuracy(output, labels), images.extents()[0]);
    fmt::print("{} of {} {} bit-equal to QKeras\n", grouped(logits.equal_values),
               grouped(logits.values), logits.name);
    fmt::print("{} samples a second on one thread (median {}), {} on {} threads\n",
               rate(one.samples_per_second), rate(one.samples_median), rate(all.samples_per_second),
               threads);
    fmt::print(
        "that is {:.1f} GMAC/s, {:.2f} times this core's fp32 FMA peak of {:.1f} GMAC/s in the "
        "same run\n",
        one.gmacs, one.ratio_to_fp32_peak, one.fp32_peak_gmacs);
    fmt::print("start to first result: {:.0f} ms cold, {:.1f} ms warm\n", starts.cold_ms,
               starts.warm_ms);
    fmt::print(
        "\nTry next:\n  {0} summary {1}\n  {0} explain {1}\n  {0} compare {1} --golden {2}\n"
        "  {0} quantize \"quantized_bits(4,0,1,alpha=1)\" -- 0.1 -0.3 0.9\n",
        "build/release/bin/qloom", a.model.path, a.golden);
  }
  return comparison.within_contract && logits.bit_equal() ? kSuccess : kNo;
}

}  // namespace

extern const CommandDef demo{
    .name = "demo",
    .doc = "One trained network end to end: accuracy, exactness, speed, start-up time",
    .example = "qloom demo model.h5 --golden model_ref.json",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      a->model.evaluation = "eager";
      add_model_arguments(app, a->model);
      app.add_option("--golden", a->golden,
                     "bundle with the model's inputs, labels and reference logits")
          ->required();
      app.add_option("--seconds", a->seconds, "how long each speed is measured")
          ->check(CLI::Range(0.05, 600.0))
          ->capture_default_str();
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
