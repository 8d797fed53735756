// qloom-bench-kernels: whole layers, one row for each layer and pair of widths of a suite.
//
// A row is a layer as it stands in a network (bench/support/layer.h), on one thread. Its time is
// the best of many repetitions of at least 50 µs, spread over --seconds and taking turns with the
// fp32 loop; the outputs of the last repetition are compared with the reference interpreter.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/support/layer.h"
#include "bench/support/program.h"
#include "bindings/measure/peak.h"
#include "graph/support/error.h"

namespace qloom::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr double kRepetitionNs = 5e4, kPeakUs = 200;
constexpr int kRepetitionsATurn = 8;  // of the layer, then the fp32 loop

double ns_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

struct Row {
  LayerSpec spec;
  std::string kernel;
  int64_t macs = 0, bytes = 0, mismatches = 0;  ///< macs per sample; bytes per run
  double time_ns = 0, predicted_ns = 0;         ///< per sample
  double peak_gmacs = 0;
  bool done = false;

  [[nodiscard]] double gmacs() const { return static_cast<double>(macs) / time_ns; }
  [[nodiscard]] double bytes_per_second() const {
    return static_cast<double>(bytes) / (time_ns * static_cast<double>(spec.batch)) * 1e9;
  }
};

/// One run of a layer, in nanoseconds, as the mean of a repetition.
double repetition(const Layer& layer) {
  const auto start = Clock::now();
  int runs = 0;
  double passed = 0;
  do {
    layer.run();
    ++runs;
    passed = ns_since(start);
  } while (passed < kRepetitionNs);
  return passed / runs;
}

void measure(Row& row, double seconds) {
  const Layer layer(row.spec);
  row.kernel = layer.kernel();
  row.macs = layer.macs();
  row.bytes = layer.bytes();
  row.predicted_ns = layer.predicted_ns();
  layer.run();
  double best = repetition(layer);
  const auto start = Clock::now();
  do {
    for (int i = 0; i < kRepetitionsATurn; ++i) best = std::min(best, repetition(layer));
    row.peak_gmacs = std::max(row.peak_gmacs, measure::fp32_peak_gmacs(kPeakUs));
  } while (ns_since(start) < seconds * 1e9);
  row.time_ns = best / static_cast<double>(row.spec.batch);
  row.mismatches = layer.mismatches();
  row.done = true;
}

/// A row of the table, as soon as it is measured.
class Reporter : public benchmark::BenchmarkReporter {
 public:
  explicit Reporter(const std::vector<Row>& rows) : rows_(rows) {
    for (const Row& row : rows) width_ = std::max(width_, static_cast<int>(row.spec.name.size()));
  }
  bool ReportContext(const Context&) override {
    fmt::print("{:<{}}  {:>9} {:>8} {:>7} {:>7} {:>9} {:>6}  {}\n", "layer/widths", width_,
               "time, µs", "GMAC/s", "× fp32", "GB/s", "predicted", "wrong", "kernel");
    return true;
  }
  void ReportRuns(const std::vector<Run>& report) override {
    for (const Run& run : report) {
      if (run.run_type != Run::RT_Iteration) continue;
      const auto row = std::ranges::find(rows_, run.run_name.function_name,
                                         [](const Row& r) { return r.spec.name; });
      if (row == rows_.end() || !row->done) {
        fmt::print("{:<{}}  {}\n", run.run_name.function_name, width_, run.error_message);
        continue;
      }
      fmt::print("{:<{}}  {:>9.3f} {:>8.1f} {:>7.2f} {:>7.2f} {:>9.2f} {:>6}  {}\n", row->spec.name,
                 width_, row->time_ns / 1e3, row->gmacs(), row->gmacs() / row->peak_gmacs,
                 row->bytes_per_second() / 1e9, row->predicted_ns / row->time_ns, row->mismatches,
                 row->kernel);
      std::fflush(stdout);
    }
  }

 private:
  const std::vector<Row>& rows_;
  int width_ = 12;
};

Json to_json(const Row& row) {
  const LayerSpec& s = row.spec;
  return {
      {"name", s.name},
      {"class", s.class_name},
      {"shape",
       {{"h", s.h}, {"w", s.w}, {"c", s.c}, {"n", s.n}, {"kh", s.kernel_h}, {"kw", s.kernel_w}}},
      {"macs", row.macs},
      {"time_ns", row.time_ns},
      {"gmacs", row.gmacs()},
      {"fp32_peak_gmacs", row.peak_gmacs},
      {"ratio_to_fp32", row.gmacs() / row.peak_gmacs},
      {"predicted_ns", row.predicted_ns},
      {"bytes_per_second", row.bytes_per_second()},
      {"kernel", row.kernel},
      {"mismatches", row.mismatches}};
}

struct Arguments {
  std::vector<std::string> suites;
  std::string json;
  int threads = 1;
  double seconds = 1;
  bool list = false;
};

int run(const Arguments& a, std::vector<char*>& rest) {
  if (a.list) {
    for (const std::string& name : suite_names()) fmt::print("{}\n", name);
    return 0;
  }
  std::vector<Row> rows;
  for (const std::string& suite : a.suites)
    for (LayerSpec& spec : read_suite(suite)) rows.emplace_back().spec = std::move(spec);
  if (!a.json.empty()) {  // said at once, not after minutes
    const std::ofstream out(a.json);
    qloom_check(out.good(), a.json, ": cannot be written");
  }
  for (Row& row : rows)
    benchmark::RegisterBenchmark(row.spec.name.c_str(),
                                 [&row, &a](benchmark::State& state) {
                                   for (auto _ : state) {
                                     try {
                                       measure(row, a.seconds);
                                     } catch (const std::exception& error) {
                                       state.SkipWithError(error.what());
                                       break;
                                     }
                                     state.SetIterationTime(row.time_ns * 1e-9);
                                   }
                                   state.counters["gmacs"] = row.gmacs();
                                   state.counters["mismatches"] =
                                       static_cast<double>(row.mismatches);
                                 })
        ->UseManualTime()
        ->Iterations(1);
  auto count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 2;
  Reporter reporter(rows);
  const size_t ran = benchmark::RunSpecifiedBenchmarks(&reporter);
  Json out = Json::array();
  int64_t wrong = 0;
  size_t done = 0;
  for (const Row& row : rows) {
    if (!row.done) continue;
    ++done;
    wrong += row.mismatches;
    out.push_back(to_json(row));
  }
  if (!a.json.empty()) write_file(a.json, out.dump(1) + "\n");
  fmt::print("{} rows, {} wrong outputs\n", done, wrong);
  if (done < ran || done == 0) return 2;
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace qloom::bench

int main(int argc, char** argv) {
  qloom::bench::Arguments a;
  CLI::App app{"Measures whole layers: each layer of a suite with each pair of widths",
               "qloom-bench-kernels"};
  app.add_option("--suite", a.suites, "suites by name (--list) or files")
      ->default_val(std::vector<std::string>{"resnet8"});
  app.add_option("--json", a.json, "write the rows to this file");
  app.add_option("--threads", a.threads, "layers are measured on one thread")
      ->check(CLI::IsMember({1}));
  app.add_option("--seconds", a.seconds, "how long each row is measured")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  app.add_flag("--list", a.list, "list the suites");
  app.allow_extras();
  app.footer(
      "Flags of Google Benchmark work as well, e.g. --benchmark_filter=w4a4.\nExit codes: 0 all "
      "outputs right, 1 some are wrong, 2 wrong usage or a row that cannot be measured");
  return qloom::bench::run_program(app, argc, argv, [&] {
    std::vector<std::string> extras = app.remaining();
    extras.insert(extras.begin(), argv[0]);
    std::vector<char*> rest;
    for (std::string& extra : extras) rest.push_back(extra.data());
    return qloom::bench::run(a, rest);
  });
}
