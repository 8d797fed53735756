// qloom bench: how fast a model is, what it costs to start, and where the time goes.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/command.h"
#include "bindings/cli/support/progress.h"
#include "bindings/cli/support/starts.h"
#include "bindings/cpp/load.h"
#include "bindings/measure/speed.h"
#include "bindings/report/table.h"
#include "graph/support/error.h"

namespace qloom::cli::commands {
namespace {

constexpr int kRounds = 5;             // of the table of regions
constexpr double kRegionShare = 0.25;  // of the time asked for

struct Arguments {
  ModelArguments model;
  measure::SpeedOptions speed;
  passes::FloatMode float_mode = passes::FloatMode::reproducible;
  bool tune = false, no_chains = false, no_concat_in_place = false;
  std::string trace;
};

std::vector<std::string> run_command_of(const Arguments& a) {
  std::vector<std::string> out{"run",          a.model.path,
                               "--evaluation", a.model.evaluation,
                               "--threads",    std::to_string(a.speed.threads),
                               "--float-mode", to_string(a.float_mode)};
  if (!a.model.weights.empty()) out.insert(out.end(), {"--weights", a.model.weights});
  return out;
}

std::string mean_deviation(double measured, double predicted) {
  return measured > 0 ? fmt::format("{:.2f}", predicted / measured) : "-";
}

void print_regions(const runtime::Program& program, const std::vector<measure::CallTime>& times) {
  Table table({"region", "kernel", "predicted", "measured", "ratio", "share"});
  double total = 0, predicted = 0;
  for (const measure::CallTime& time : times) total += time.median;
  for (size_t i = 0; i < times.size(); ++i) {
    const runtime::Call& call = program.calls[i];
    predicted += call.predicted_ns;
    table.add({call.node, call.kernel, duration(call.predicted_ns), duration(times[i].median),
               mean_deviation(times[i].median, call.predicted_ns),
               fmt::format("{:.1f} %", 100 * times[i].median / total)});
  }
  table.add_rule();
  table.add({"all", "", duration(predicted), duration(total), mean_deviation(total, predicted),
             "100.0 %"});
  fmt::print("\nper sample, on one thread (ratio: predicted / measured):\n{}",
             table.to_string(output_width(false)));
}

int run(const Arguments& a) {
  LoadOptions options;
  options.weights = a.model.weights;
  options.import.evaluation = a.model.evaluation;
  options.compile.float_mode = a.float_mode;
  options.compile.chains = !a.no_chains;
  if (a.no_concat_in_place) options.compile.concat_in_place = passes::ConcatInPlace::never;
  options.tune = a.tune;
  // Kernels are chosen and predicted for calls of the size that is measured.
  options.compile.batch = std::min(options.compile.batch, a.speed.batch);
  LoadedModel loaded;
  {
    const Progress progress("loading " + a.model.path);
    loaded = load_model(a.model.path, options);
  }
  for (const std::string& notice : loaded.notices) fmt::print(stderr, "qloom: {}\n", notice);
  if (!loaded.tuned.empty()) fmt::print(stderr, "qloom: {}\n", loaded.tuned);
  const runtime::Program& program = loaded.model->program();
  const measure::Arrays inputs = measure::random_inputs(program, a.speed.batch);

  Starts starts;
  measure::Speed speed;
  std::vector<measure::CallTime> regions;
  {
    const Progress progress("measuring");
    starts = FreshProcesses(run_command_of(a)).measure(program, inputs, a.speed.batch);
    speed = measure::measure_speed(loaded.model, inputs, a.speed);
    if (!a.model.json)
      regions = measure::measure_calls({&loaded.model, 1}, inputs, a.speed.batch, kRounds,
                                       kRegionShare * a.speed.seconds)[0];
  }
  if (!a.trace.empty()) {
    std::ofstream out(a.trace);
    out << measure::chrome_trace(loaded.model, inputs, a.speed.batch, a.speed.threads);
    out.flush();
    qloom_check(out.good(), a.trace, ": cannot be written");
  }
  const measure::Latency& l = speed.latency_ns;
  if (a.model.json) {
    const nlohmann::ordered_json out{
        {"model", program.model},
        {"batch", a.speed.batch},
        {"threads", a.speed.threads},
        {"samples_per_second", speed.samples_per_second},
        {"latency_ns", {{"min", l.min}, {"p50", l.p50}, {"p90", l.p90}, {"p99", l.p99}}},
        {"start_cold_ms", starts.cold_ms},
        {"start_warm_ms", starts.warm_ms},
        {"peak_rss_bytes", starts.peak_rss_bytes},
        {"macs_per_sample", speed.macs_per_sample},
        {"gmacs", speed.gmacs},
        {"fp32_peak_gmacs", speed.fp32_peak_gmacs},
        {"ratio_to_fp32_peak", speed.ratio_to_fp32_peak}};
    std::puts(out.dump(2).c_str());
    return kSuccess;
  }
  fmt::print("{}: batches of {} on {} thread{}\n", program.model, grouped(a.speed.batch),
             a.speed.threads, a.speed.threads == 1 ? "" : "s");
  fmt::print("throughput   {} samples a second (median {})\n",
             grouped(static_cast<int64_t>(speed.samples_per_second)),
             grouped(static_cast<int64_t>(speed.samples_median)));
  fmt::print("latency      {} min, {} P50, {} P90, {} P99 a batch\n", duration(l.min),
             duration(l.p50), duration(l.p90), duration(l.p99));
  fmt::print("arithmetic   {} MACs a sample, {:.1f} GMAC/s, {:.2f} × this core's fp32 peak\n",
             grouped(speed.macs_per_sample), speed.gmacs, speed.ratio_to_fp32_peak);
  fmt::print("fp32 peak    {:.1f} GMAC/s: multiply-adds in registers, in the same seconds\n",
             speed.fp32_peak_gmacs);
  fmt::print("start        {:.0f} ms cold, {:.1f} ms warm: a process, its first sample, its end\n",
             starts.cold_ms, starts.warm_ms);
  fmt::print("memory       {:.1f} MB resident at most, in a fresh warm process\n",
             static_cast<double>(starts.peak_rss_bytes) / 1e6);
  print_regions(program, regions);
  return kSuccess;
}

}  // namespace

extern const CommandDef bench{
    .name = "bench",
    .doc = "Measure a model: speed beside the core's fp32 peak, start, memory, time by region",
    .example = "qloom bench model.h5 --batch 64 --threads 2 --seconds 5 --trace trace.json",
    .add = [](CLI::App& app) -> std::function<int()> {
      auto a = std::make_shared<Arguments>();
      add_model_arguments(app, a->model);
      app.add_option("--batch", a->speed.batch, "samples a call")
          ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
          ->capture_default_str();
      app.add_option("--threads", a->speed.threads, "threads that share a batch")
          ->check(CLI::Range(1, 1024))
          ->capture_default_str();
      app.add_option("--seconds", a->speed.seconds, "how long the speed is measured")
          ->check(CLI::Range(0.01, 600.0))
          ->capture_default_str();
      add_float_mode(app, a->float_mode);
      add_tune_flag(app, a->tune);
      app.add_flag("--no-chains", a->no_chains, "make each call by itself, none by one function");
      app.add_flag("--no-concat-in-place", a->no_concat_in_place,
                   "make concatenations calls of their own");
      app.add_option("--trace", a->trace,
                     "write one run for chrome://tracing to this file, an event per region");
      return [a] { return run(*a); };
    }};

}  // namespace qloom::cli::commands
