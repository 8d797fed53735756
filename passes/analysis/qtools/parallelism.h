// passes/analysis/qtools/parallelism.h: how much hardware each layer of a pipeline should get
// ("divide and conquer"): for a chain of layers the unroll factors of each, so that the required
// throughput is met with the fewest gates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "passes/analysis/qtools/data_map.h"

namespace qloom::qtools {

struct ParallelismOptions {
  int64_t out_elements_per_clock = 10;      ///< that the last layer delivers
  double throughput = 1.0;                  ///< samples a clock
  int64_t compute_to_memory_max_ratio = 4;  ///< computed against delivered elements
  int64_t memory_to_unroll_max_ratio = 4;   ///< taken against computed elements
  /// QTools tests what a buffer takes against the rate of the output, and what it delivers against
  /// that of the input; and its fit gives units of few bits an area below zero. Without this flag
  /// neither.
  bool as_qtools = true;
};

/// Bits of what a layer works with; 0 where it has none.
struct StageWidths {
  int64_t input = 0, weight = 0, product = 0, sum = 0, output = 0;
};
[[nodiscard]] StageWidths widths_of(const LayerTypes& layer);

/// Copies of the unit along each axis of a kernel.
struct Unroll {
  int64_t cin = 0, cout = 0, height = 0, width = 0;
};

/// What one layer gets.
struct Stage {
  int64_t node = 0;  ///< Keras's number of the layer; -1: where samples come from
  std::string layer = {};
  std::optional<Unroll> unroll = {};  ///< none: nothing is computed
  double taken_ratio = 0;             ///< unrolled input channels for each element taken a clock
  double delivered_ratio = 0;         ///< delivered for each computed element
  double gates = 0;                   ///< of this layer
  double gates_from_here = 0;         ///< of this layer and all after it
  int64_t out_elements = 0;           ///< that it delivers a clock
  /// As QTools prints it: "Choice(k=1.0, l=2.0, cin_unroll=1, …)".
  [[nodiscard]] std::string choice() const;
};

struct Parallelism {
  std::vector<Stage> path = {};      ///< from the source on; empty: no solution
  std::optional<double> gates = {};  ///< of all
  std::vector<Refusal> refusals = {};
};

/// Exact search by dynamic programming. Where QTools raises for a layer without weights its weights
/// take no area; a layer of a class that it does not know counts as its quantized kin, or passes
/// elements on. Source: qkeras/qtools/DnC/divide_and_conquer.py, estimate_model_cost.
[[nodiscard]] Parallelism find_parallelism(const QtoolsModel& model, const MapOptions& map_options,
                                           const ParallelismOptions& options = {});

/// Divisors of v, then its multiples up to `max_ratio`.
[[nodiscard]] std::vector<int64_t> unroll_candidates(int64_t v, int64_t max_ratio);
/// Gates of a multiply-accumulate unit. A least-squares fit to synthesised units (relative mean
/// error 4.6 %). Source: qkeras/qtools/DnC/dnc_layer_cost_ace.py.
[[nodiscard]] double mac_gates(int64_t input_bits, int64_t weight_bits, int64_t sum_bits);

}  // namespace qloom::qtools
