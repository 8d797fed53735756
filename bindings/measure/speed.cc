#include "bindings/measure/speed.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

#include "bindings/measure/peak.h"
#include "graph/support/error.h"
#include "runtime/executor.h"

namespace qloom::measure {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kModelSliceNs = 8e6, kPeakSliceUs = 2000;
constexpr double kRepetitionNs = 5e4;  // shorter ones measure the clock
constexpr size_t kMostTimes = size_t{1}
                              << 20;  // kept of all calls; then every second one, and so on

double ns_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

/// Keeps the calling thread on the core that it runs on.
class OnThisCore {
 public:
  explicit OnThisCore(bool wanted) {
    const int core = sched_getcpu();
    if (!wanted || core < 0 || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    pinned_ = sched_setaffinity(0, sizeof one, &one) == 0;
  }
  ~OnThisCore() {
    if (pinned_) sched_setaffinity(0, sizeof before_, &before_);
  }
  OnThisCore(const OnThisCore&) = delete;
  OnThisCore& operator=(const OnThisCore&) = delete;

 private:
  cpu_set_t before_{};
  bool pinned_ = false;
};

/// An executor with memory for its outputs.
class Runner {
 public:
  Runner(const std::shared_ptr<const runtime::Model>& model, const Arrays& inputs, int64_t batch,
         const runtime::ExecutorOptions& options)
      : executor_(model, options), batch_(batch) {
    for (const std::vector<float>& input : inputs) inputs_.emplace_back(input);
    for (const runtime::Port& port : model->program().outputs)
      results_.emplace_back(static_cast<size_t>(element_count(bind(port.shape, batch))));
    for (std::vector<float>& result : results_) outputs_.emplace_back(result);
    run();  // memory is touched, code is read
  }
  void run() {
    const Status status = executor_.run(inputs_, outputs_, batch_);
    qloom_check(status.ok(), status.message());
  }

 private:
  runtime::Executor executor_;
  int64_t batch_;
  std::vector<std::span<const float>> inputs_;
  std::vector<std::vector<float>> results_;
  std::vector<std::span<float>> outputs_;
};

/// A sample of unlimited many times, with their exact least.
class Times {
 public:
  void add(double ns) {
    least_ = std::min(least_, ns);
    if (seen_++ % stride_ != 0) return;
    times_.push_back(ns);
    if (times_.size() < kMostTimes) return;
    for (size_t i = 0; 2 * i < times_.size(); ++i) times_[i] = times_[2 * i];
    times_.resize(times_.size() / 2);
    stride_ *= 2;
  }
  [[nodiscard]] Latency latency() const {
    Latency out = latency_of(times_);
    out.min = least_;
    return out;
  }

 private:
  std::vector<double> times_;
  size_t seen_ = 0, stride_ = 1;
  double least_ = std::numeric_limits<double>::infinity();
};

/// What reading the clock twice measures of nothing.
double clock_cost_ns() {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 1000; ++i) {
    const auto start = Clock::now();
    best = std::min(best, ns_since(start));
  }
  return best;
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Microseconds with three decimals.
std::string us_text(double ns) {
  char text[48];
  std::snprintf(text, sizeof text, "%.3f", ns / 1e3);
  return text;
}

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += ' ';
    else
      out += c;
  }
  return out + '"';
}

}  // namespace

Arrays random_inputs(const runtime::Program& program, int64_t batch) {
  std::mt19937 random(1);
  Arrays out;
  for (const runtime::Port& port : program.inputs) {
    std::vector<float> values(static_cast<size_t>(element_count(bind(port.shape, batch))));
    for (float& v : values) v = static_cast<float>(random() >> 8) * 0x1p-23F - 1;
    out.push_back(std::move(values));
  }
  return out;
}

Latency latency_of(std::vector<double> times) {
  if (times.empty()) return {};
  std::sort(times.begin(), times.end());
  const auto rank = [&](double share) {
    const auto at = static_cast<size_t>(std::ceil(share * static_cast<double>(times.size())));
    return times[std::max<size_t>(at, 1) - 1];
  };
  return {times.front(), rank(0.5), rank(0.9), rank(0.99)};
}

Speed measure_speed(const std::shared_ptr<const runtime::Model>& model, const Arrays& inputs,
                    const SpeedOptions& options) {
  Runner runner(model, inputs, options.batch, {.threads = options.threads});
  Speed out;
  Times calls;
  std::vector<double> rates;
  const auto start = Clock::now();
  do {
    const OnThisCore core(options.threads == 1);
    const auto slice = Clock::now();
    do {
      const auto repetition = Clock::now();
      int64_t samples = 0;
      double passed = 0;
      do {
        const auto call = Clock::now();
        runner.run();
        const auto end = Clock::now();
        calls.add(std::chrono::duration<double, std::nano>(end - call).count());
        passed = std::chrono::duration<double, std::nano>(end - repetition).count();
        samples += options.batch;
      } while (passed < kRepetitionNs);
      rates.push_back(static_cast<double>(samples) / passed * 1e9);
    } while (ns_since(slice) < kModelSliceNs);
    out.fp32_peak_gmacs = std::max(out.fp32_peak_gmacs, fp32_peak_gmacs(kPeakSliceUs));
  } while (ns_since(start) < options.seconds * 1e9);
  out.latency_ns = calls.latency();
  out.samples_per_second = *std::max_element(rates.begin(), rates.end());
  out.samples_median = median_of(rates);
  for (const runtime::Call& call : model->program().calls) out.macs_per_sample += call.macs;
  out.gmacs = out.samples_per_second * static_cast<double>(out.macs_per_sample) / 1e9;
  out.ratio_to_fp32_peak = out.gmacs / out.fp32_peak_gmacs;
  return out;
}

std::vector<std::vector<CallTime>> measure_calls(
    std::span<const std::shared_ptr<const runtime::Model>> models, const Arrays& inputs,
    int64_t batch, int rounds, double seconds) {
  struct Traced {
    std::unique_ptr<runtime::Trace> trace;
    std::unique_ptr<Runner> runner;
  };
  std::vector<Traced> all;
  std::vector<std::vector<CallTime>> out;
  for (const auto& model : models) {
    const size_t calls = model->program().calls.size();
    Traced t;
    t.trace = std::make_unique<runtime::Trace>(calls * static_cast<size_t>(batch));
    t.runner = std::make_unique<Runner>(model, inputs, batch,
                                        runtime::ExecutorOptions{.trace = t.trace.get()});
    all.push_back(std::move(t));
    out.emplace_back(calls);
  }
  const double slice_ns =
      seconds * 1e9 / (static_cast<double>(rounds) * static_cast<double>(models.size()));
  const double clock_ns = clock_cost_ns();
  std::vector<double> sums;
  for (int r = 0; r < rounds; ++r)
    for (size_t m = 0; m < all.size(); ++m) {
      const OnThisCore core(true);
      for (CallTime& call : out[m]) call.rounds.push_back(std::numeric_limits<double>::infinity());
      const auto slice = Clock::now();
      do {
        all[m].trace->clear();
        all[m].runner->run();
        sums.assign(out[m].size(), 0);
        for (const runtime::TraceEvent& e : all[m].trace->events())
          sums[static_cast<size_t>(e.call)] +=
              std::max(static_cast<double>(e.end_ns - e.start_ns) - clock_ns, 1.0);
        for (size_t c = 0; c < sums.size(); ++c) {
          double& best = out[m][c].rounds.back();
          best = std::min(best, sums[c] / static_cast<double>(batch));
        }
      } while (ns_since(slice) < slice_ns);
    }
  for (auto& calls : out)
    for (CallTime& call : calls) {
      call.best = *std::min_element(call.rounds.begin(), call.rounds.end());
      call.median = median_of(call.rounds);
    }
  return out;
}

std::string chrome_trace(const std::shared_ptr<const runtime::Model>& model, const Arrays& inputs,
                         int64_t batch, int threads) {
  const runtime::Program& program = model->program();
  runtime::Trace trace(program.calls.size() * static_cast<size_t>(batch) *
                       static_cast<size_t>(threads));
  Runner runner(model, inputs, batch, {.threads = threads, .trace = &trace});
  trace.clear();
  runner.run();
  std::string out = "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n";
  out +=
      "  {\"name\": \"process_name\", \"ph\": \"M\", \"pid\": 1, \"tid\": 0, \"args\": "
      "{\"name\": " +
      json_text(program.model) + "}}";
  int64_t begin = std::numeric_limits<int64_t>::max();
  for (const runtime::TraceEvent& e : trace.events()) begin = std::min(begin, e.start_ns);
  for (const runtime::TraceEvent& e : trace.events()) {
    const runtime::Call& call = program.calls[static_cast<size_t>(e.call)];
    std::string layers;
    for (const std::string& layer : call.layers) layers += (layers.empty() ? "" : ", ") + layer;
    out += join_text(
        ",\n  {\"name\": ", json_text(call.node), ", \"cat\": ", json_text(call.kernel),
        ", \"ph\": \"X\", \"pid\": 1, \"tid\": ", e.worker,
        ", \"ts\": ", us_text(static_cast<double>(e.start_ns - begin)),
        ", \"dur\": ", us_text(static_cast<double>(e.end_ns - e.start_ns)),
        ", \"args\": {\"layers\": ", json_text(layers), ", \"samples\": ", e.samples,
        ", \"first_sample\": ", e.first, ", \"macs\": ", call.macs * e.samples,
        ", \"predicted_us\": ", us_text(call.predicted_ns * static_cast<double>(e.samples)), "}}");
  }
  return out + "\n]}\n";
}

}  // namespace qloom::measure
