// bindings/measure/speed.h: how fast a compiled model is, beside what its core can do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/model.h"

namespace qloom::measure {

struct SpeedOptions {
  int64_t batch = 64;  ///< samples a call, >= 1
  int threads = 1;     ///< >= 1
  double seconds =
      1;  ///< wall time over which the repetitions are spread; each kind runs at least once
};

/// One value per input of the program, [batch × elements], uniform in [-1, 1), the same each time.
using Arrays = std::vector<std::vector<float>>;
[[nodiscard]] Arrays random_inputs(const runtime::Program& program, int64_t batch);

/// Times of whole calls: the least, and the percentiles by nearest rank.
struct Latency {
  double min = 0, p50 = 0, p90 = 0, p99 = 0;
};
/// Sorts the times. All zero where there are none.
[[nodiscard]] Latency latency_of(std::vector<double> times);

struct Speed {
  Latency latency_ns;             ///< of a call with `batch` samples
  double samples_per_second = 0;  ///< best repetition (calls for at least 50 µs)
  double samples_median = 0;      ///< median repetition, samples a second
  int64_t macs_per_sample = 0;
  double gmacs = 0;               ///< at samples_per_second, in 10^9 a second
  double fp32_peak_gmacs = 0;     ///< of one core, in turns with the above on the same core
  double ratio_to_fp32_peak = 0;  ///< gmacs / (fp32_peak_gmacs of one core)
};

/// Runs the model and the fp32 loop in turns, in slices of milliseconds. With one thread both stay
/// on one core during each pair of slices. Throws UserError when the model refuses the inputs.
[[nodiscard]] Speed measure_speed(const std::shared_ptr<const runtime::Model>& model,
                                  const Arrays& inputs, const SpeedOptions& options);

/// Time of one call of the program, in nanoseconds per sample, on one thread; reading the clock is
/// taken off.
struct CallTime {
  double best = 0;
  double median = 0;           ///< of the rounds' best
  std::vector<double> rounds;  ///< best of each round
};
/// The calls of each model, measured in `rounds` rounds (>= 1) that take turns among the models, so
/// that what disturbs the machine disturbs all. Each model runs at least once in a round; together
/// they take about `seconds`. Result by model, then by call.
[[nodiscard]] std::vector<std::vector<CallTime>> measure_calls(
    std::span<const std::shared_ptr<const runtime::Model>> models, const Arrays& inputs,
    int64_t batch, int rounds, double seconds);

/// One warm run as a document for chrome://tracing and ui.perfetto.dev: an event per region call
/// and tile, with kernel, layers and predicted time.
[[nodiscard]] std::string chrome_trace(const std::shared_ptr<const runtime::Model>& model,
                                       const Arrays& inputs, int64_t batch, int threads);

}  // namespace qloom::measure
