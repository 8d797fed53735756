// bench/support/layer.h: one layer of a network, whole: as it stands between two others.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/support/suite.h"
#include "graph/graph.h"
#include "passes/compile.h"

namespace qloom::bench {

/// A network of an input quantizer, the layer, batch normalization, the next quantizer and a layer
/// after it, compiled as any network is. What is timed is everything between the input quantizer
/// and the next layer: the input arrives in the storage that the layer asked for, the output leaves
/// as the next one wants it; borders, packing, sums, normalization, thresholds and packed output
/// are inside, and so are conversions, where there are any.
class Layer {
 public:
  /// Builds, compiles for spec.batch samples a call, runs the input quantizer. Throws UserError as
  /// compiling does.
  explicit Layer(const LayerSpec& spec, const passes::CompileOptions& options = {});
  ~Layer();
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  /// Once, on a batch of spec.batch samples.
  void run() const noexcept;
  /// Outputs of the last run that differ from the reference interpreter, over the whole batch.
  /// Interpreting takes about 1 ns per multiply-accumulate.
  [[nodiscard]] int64_t mismatches() const;
  /// Share of the most frequent output, for tests: a layer that always says the same proves
  /// nothing.
  [[nodiscard]] double most_frequent_share() const;

  [[nodiscard]] const LayerSpec& spec() const { return spec_; }
  [[nodiscard]] int64_t macs() const;               ///< per sample
  [[nodiscard]] double predicted_ns() const;        ///< per sample, conversions included
  [[nodiscard]] const std::string& kernel() const;  ///< of the layer, with its variant
  /// Bytes that a run must at least move: input, weights and tables, output.
  [[nodiscard]] int64_t bytes() const;

 private:
  struct State;
  LayerSpec spec_;
  std::unique_ptr<State> state_;
};

}  // namespace qloom::bench
