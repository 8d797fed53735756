// qloom-bench-models: whole networks, one after the other.
//
// Each is measured by `qloom bench` in a process of its own (start, memory, one thread), then here
// with a single sample a call and on all threads.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/support/machine.h"
#include "bench/support/model_files.h"
#include "bench/support/program.h"
#include "bindings/cpp/load.h"
#include "bindings/measure/process.h"
#include "bindings/measure/speed.h"
#include "graph/support/error.h"

namespace qloom::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments : ModelArguments {
  std::string float_mode = "reproducible", json;
  int64_t batch = 64;
  int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  double seconds = 1;
};

Json latency_json(const measure::Latency& l) {
  return {{"min", l.min}, {"p50", l.p50}, {"p90", l.p90}, {"p99", l.p99}};
}

Json measure_model(const std::string& path, const Arguments& a) {
  const std::string qloom =
      std::filesystem::path(measure::own_executable()).parent_path() / "qloom";
  const measure::Finished finished = measure::run_process(
      {qloom, "bench", path, "--json", "--batch", std::to_string(a.batch), "--seconds",
       fmt::format("{}", a.seconds), "--evaluation", a.evaluation, "--float-mode", a.float_mode});
  qloom_check(finished.exit_code == 0, path, ": not measured");
  Json out = Json::parse(finished.out);
  LoadOptions options;
  options.import.evaluation = a.evaluation;
  options.compile.float_mode =
      a.float_mode == "fast" ? passes::FloatMode::fast : passes::FloatMode::reproducible;
  const LoadedModel loaded = load_model(path, options);
  const runtime::Program& program = loaded.model->program();
  LoadOptions for_one = options;
  for_one.compile.batch = 1;
  const measure::Speed single = measure::measure_speed(
      load_model(path, for_one).model, measure::random_inputs(program, 1), {1, 1, a.seconds / 2});
  out["batch_1_latency_ns"] = latency_json(single.latency_ns);
  const measure::Speed all = measure::measure_speed(
      loaded.model, measure::random_inputs(program, a.batch), {a.batch, a.threads, a.seconds});
  out["all_threads"] = {{"threads", a.threads}, {"samples_per_second", all.samples_per_second}};
  return out;
}

int run(const Arguments& a) {
  Json models = Json::array();
  int failed = 0;
  fmt::print("{:<20} {:>12} {:>12} {:>12} {:>8} {:>7} {:>7} {:>7} {:>7}\n", "network", "samples/s",
             fmt::format("{} threads", a.threads), "1 sample, µs", "GMAC/s", "× fp32", "cold ms",
             "warm ms", "MB");
  for (const std::string& path : model_files(a.models)) {
    Json m;
    try {
      m = measure_model(path, a);
    } catch (const UserError& error) {
      fmt::print("{:<20} {}\n", std::filesystem::path(path).stem().string(), error.what());
      ++failed;
      continue;
    }
    fmt::print(
        "{:<20} {:>12.0f} {:>12.0f} {:>12.2f} {:>8.1f} {:>7.2f} {:>7.0f} {:>7.1f} {:>7.1f}\n",
        m["model"].get<std::string>(), m["samples_per_second"].get<double>(),
        m["all_threads"]["samples_per_second"].get<double>(),
        m["batch_1_latency_ns"]["min"].get<double>() / 1e3, m["gmacs"].get<double>(),
        m["ratio_to_fp32_peak"].get<double>(), m["start_cold_ms"].get<double>(),
        m["start_warm_ms"].get<double>(), m["peak_rss_bytes"].get<double>() / 1e6);
    std::fflush(stdout);
    models.push_back(std::move(m));
  }
  if (!a.json.empty())
    write_file(a.json,
               Json{{"machine", Json::parse(machine_json())}, {"models", models}}.dump(1) + "\n");
  return models.empty() ? 2 : failed > 0 ? 1 : 0;
}

}  // namespace
}  // namespace qloom::bench

int main(int argc, char** argv) {
  qloom::bench::Arguments a;
  CLI::App app{"Measures whole networks", "qloom-bench-models"};
  add_model_options(app, a);
  app.add_option("--float-mode", a.float_mode, "whether float sums may be reordered")
      ->check(CLI::IsMember({"reproducible", "fast"}))
      ->capture_default_str();
  app.add_option("--batch", a.batch, "samples a call")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--threads", a.threads, "threads of the column with several")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seconds", a.seconds, "how long each is measured")
      ->check(CLI::Range(0.01, 600.0))
      ->capture_default_str();
  app.add_option("--json", a.json, "write machine and figures to this file");
  app.footer("Exit codes: 0 all measured, 1 some could not be, 2 none, or wrong usage");
  return qloom::bench::run_program(app, argc, argv, [&] { return qloom::bench::run(a); });
}
