// bindings/report/summary.h: what a summary shows, read off a graph as imported.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace qloom::report {

struct QuantizerReport {
  std::string of;     ///< what it quantizes: a weight's name, or "output"
  std::string text;   ///< arguments by name, the promoted alpha included
  std::string scale;  ///< the scale it really has: "1", "0.25 .. 2 (16 channels)", "from the data"
  std::vector<std::string> notes;
};

struct LayerReport {
  std::string name, layer_class, output_shape;
  std::string input_set, weight_set, output_set;  ///< value sets, with their scale
  int64_t parameters = 0;
  std::map<std::string, int64_t> macs;  ///< by operand widths: "4 × 8 bit" (input × weights)
  int64_t packed_bytes = 0;             ///< weights at the bits of their value set
  std::vector<QuantizerReport> quantizers;
};

struct SummaryReport {
  std::string model;
  std::vector<LayerReport> layers;
  int64_t parameters = 0, macs = 0, packed_bytes = 0;
};

[[nodiscard]] SummaryReport summary_of(const Graph& graph);
/// As tables. `width`: see Table::to_string; without a limit a layer has one row.
[[nodiscard]] std::string to_text(const SummaryReport& report, size_t width = 0);
/// Multiply-accumulates of a layer by operand widths: "1,152 (8 × 4 bit)"; "-" for none.
[[nodiscard]] std::string macs_text(const LayerReport& layer);

}  // namespace qloom::report
