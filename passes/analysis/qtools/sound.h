// passes/analysis/qtools/sound.h: the rules `sound`: bit widths, operations, memory and energy read
// off the value sets of a graph. Types are true: every value of every run lies in its type.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "passes/analysis/qtools/energy.h"

namespace qloom::qtools {

/// A dense layer, a convolution or a transposed one: sums of products of an input with weights.
struct SoundSum {
  std::string node;  ///< of the products
  /// The node that adds the bias, where that sum is an integer too; else `node`.
  std::string sum_node;
  std::string scan = {};  ///< whose body holds both nodes; "": the graph itself does
  Numeric input, weight;  ///< what the quantizers allow
  Numeric product;        ///< of one product; float32 where an operand is
  Numeric sum;            ///< of the accumulator, for any weights that `weight` allows
  /// Of the accumulator with the weights as they are, all channels together; float32 where `sum`
  /// is.
  Numeric exact;
  int64_t multiplications = 0;   ///< for one sample, all steps and those with padding included
  int64_t weights = 0;           ///< how many there are
  int64_t weights_not_zero = 0;  ///< of these
  /// Multiplications by weights other than 0 × bits of input × bits of weight, 32 for floats.
  /// Source: QONNX, qonnx/analysis/inference_cost.py.
  int64_t bops = 0;
  /// Sum over all multiplications that do not meet padding: bits of input (the sign included) ×
  /// bits of this very weight from its highest to its lowest one, without sign; 32 for a float
  /// other than 0. As if each multiplication had hardware of its own.
  /// Source: HGQ, src/HGQ/layers/{dense,conv}.py, compute_exact_bops (there a convolution's is
  /// divided by its output positions and multiplied by its `parallel_factor`).
  int64_t ebops = 0;
};

struct SoundLayer {
  std::string name, class_name;
  std::vector<Numeric> inputs = {};  ///< of what it reads, in order
  Numeric output = {};
  std::string output_node = {};  ///< whose value that is
  std::vector<SoundSum> sums = {};
  int64_t operations = 0;   ///< multiplications; without any: additions, comparisons, …
  int64_t weight_bits = 0;  ///< all its weights at the bits of their value sets
};

struct SoundReport {
  std::vector<SoundLayer> layers;  ///< in data-flow order
  EnergyReport energy;             ///< pJ a sample, a layer each, in the same order
  /// Bits of what lies between layers where everything is fused that can be: each tensor that a
  /// dense layer or convolution reads, once, and the outputs of the model.
  int64_t activation_bits = 0;
  [[nodiscard]] int64_t weight_bits() const;
  [[nodiscard]] int64_t operations() const;
  [[nodiscard]] int64_t bops() const;
  [[nodiscard]] int64_t ebops() const;
};

/// Of a graph as imported: weights not yet folded, no regions. `energy`: as for QTools's rules;
/// everything that multiplies or adds is priced, quantizers and functions are free.
[[nodiscard]] SoundReport sound_report(const Graph& graph, const EnergyOptions& energy = {});

/// The graph with its inputs quantized first: a text for each input as `named_type` takes it, ""
/// and floats leave it as it is. Throws UserError when the number does not fit.
void quantize_inputs(Graph& graph, const std::vector<std::string>& sources);

/// The type of QTools that comes closest to a value set, for tables and prices of hardware.
[[nodiscard]] QtoolsType qtools_type_of(const Numeric& numeric);

/// Bits from the highest to the lowest one of |code|: 0 for 0, 1 for powers of two.
[[nodiscard]] int effective_bits(int64_t code);

}  // namespace qloom::qtools
