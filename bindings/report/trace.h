// bindings/report/trace.h: how a model's layers use their value sets on given samples.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/tensor.h"

namespace qloom::report {

/// What a layer yields on the samples.
struct LayerTrace {
  std::string name, layer_class;
  std::string set;  ///< the value set that its type promises
  int64_t values = 0;
  double min = 0, max = 0;  ///< of the numbers among them; 0 where there are none
  int64_t nans = 0;         ///< values that are no number; only where no quantizer is
  double zeros = 0;         ///< share of the values
  /// Share of values at an end of the set other than 0: clipped, or just there. Only for what a
  /// quantizer makes, and only for sets of more than three members.
  std::optional<double> saturated;
  /// Share of the set's interval that lies beyond the smallest and the largest value. Only where
  /// the values lie on a grid.
  std::optional<double> unused;
};

struct TraceReport {
  std::string model;
  int64_t samples = 0;
  std::vector<LayerTrace> layers;  ///< in the graph's order; the inputs first
};

/// Called with each layer's output: code × step as float32.
using LayerValues = std::function<void(const std::string& layer, const Tensor& values)>;

/// Runs the interpreter (canonical evaluation) on `inputs`, one f32 tensor for each input, batch
/// first. A layer that adds nothing to the graph (Dropout) has no row. Throws UserError for an
/// input that does not fit, and for NaN and infinity where a quantizer meets them.
[[nodiscard]] TraceReport trace_of(const Graph& graph, std::span<const Tensor> inputs,
                                   const LayerValues& each = {});
/// The same in compiled code, where every layer becomes an output: what fuses over the border of a
/// layer in the model itself does not fuse here. Codes are told from the float32 values. Throws
/// UserError too for NaN and infinity.
[[nodiscard]] TraceReport trace_compiled(const Graph& graph, const std::vector<Tensor>& inputs,
                                         int threads, const LayerValues& each = {});

/// As a table. `width`: see Table::to_string.
[[nodiscard]] std::string to_text(const TraceReport& report, size_t width = 0);

}  // namespace qloom::report
