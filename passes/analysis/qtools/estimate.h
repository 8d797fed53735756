// passes/analysis/qtools/estimate.h: QKeras's older statistics (print_qstats and its kin), which
// are independent of QTools: another set of operation names, another idea of what passes between
// layers, and weights as they are.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "passes/analysis/qtools/model.h"
#include "passes/analysis/qtools/type.h"

namespace qloom::qtools {

/// A quantizer as these statistics see it; `mode` counts as in QtoolsType.
struct EstimatedType {
  int mode = 5;
  int64_t bits = 32;
  bool is_signed = true;
};

/// Operations and weights of a dense or convolution layer.
struct LayerEstimate {
  std::string name;
  std::string_view operation;  ///< "mult", "barrel", "adder", "mux", "xor", "fmult"
  EstimatedType input;
  std::vector<EstimatedType> weights;  ///< two for a separable layer
  EstimatedType bias;
  int64_t operations = 0;
  std::vector<int64_t> weight_counts;  ///< of each kernel
  int64_t bias_count = 0;
  /// "smult_4_8": s if an operand has a sign, bits of weight and input.
  [[nodiscard]] std::string operation_name() const;
};

struct Estimate {
  std::vector<LayerEstimate> layers;  ///< in the model's order
  std::vector<Refusal> refusals;
  [[nodiscard]] std::map<std::string, int64_t> operation_totals() const;
  [[nodiscard]] int64_t weight_bits() const;
};
/// `unfolded`: without layers that batch normalisation is folded into (`unfold_model`).
/// Source: qkeras/estimate.py, extract_model_operations.
[[nodiscard]] Estimate estimate_operations(const QtoolsModel& unfolded);

/// Share of weights and biases that are zero once quantized.
struct Sparsity {
  double total = 0;
  std::vector<std::pair<std::string, double>> layers;  ///< in the model's order
  std::vector<std::string> random;  ///< left out: their weights are drawn anew at each call
  std::vector<Refusal> refusals = {};
};
/// Folded layers count as unfolded, with weights that are not quantized.
/// Source: qkeras/utils.py, get_model_sparsity.
[[nodiscard]] Sparsity sparsity_of(const QtoolsModel& model, const QtoolsModel& unfolded);

/// Integer bits that sums may need, by layer.
struct AccumulatorBits {
  std::map<std::string, int64_t> layers;
  std::vector<Refusal> refusals;
};
/// Smallest and largest value that a layer reads.
using InputRanges = std::map<std::string, std::pair<double, double>>;
/// Worst sums over the real weights. QKeras looks at as many channels as the kernel's second axis
/// is long; where there are fewer it raises, and all channels are looked at here.
/// Source: qkeras/estimate.py, analyze_accumulator.
[[nodiscard]] AccumulatorBits analyze_accumulator(const QtoolsModel& unfolded,
                                                  const InputRanges& ranges);

/// Dense, convolution and depthwise layers: those that accumulators are analysed of.
[[nodiscard]] bool has_analyzed_accumulator(std::string_view layer_class);
/// One range for all of these.
[[nodiscard]] InputRanges same_range(const QtoolsModel& unfolded, double low, double high);

}  // namespace qloom::qtools
