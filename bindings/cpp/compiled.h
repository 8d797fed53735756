#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/tensor.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "runtime/model.h"

namespace qloom {

/// A graph with its machine code, ready to run, and what the compiler knows about it. Immutable;
/// copies share everything, threads may too.
class CompiledNetwork {
 public:
  /// Compiles. Throws as passes::compile does.
  explicit CompiledNetwork(Graph graph, const passes::CompileOptions& options = {});

  /// Runs tensors (batch axis first, float32): one per input, in their order; gives one per output.
  /// Throws UserError with the Status's message, or naming the input whose shape does not fit.
  /// States of stateful layers begin anew with each call: an `executor` keeps them.
  [[nodiscard]] std::vector<Tensor> run(const std::vector<Tensor>& inputs, int threads = 1) const;
  /// The same where there is one input and one output.
  [[nodiscard]] Tensor run(const Tensor& input, int threads = 1) const;
  /// Runs samples in the caller's memory, one input and one output: samples × elements. For many
  /// calls, or several inputs, keep an `executor`.
  [[nodiscard]] Status run(std::span<const float> input, std::span<float> output,
                           int64_t samples) const;
  /// One per calling thread; its `run` neither throws nor allocates.
  [[nodiscard]] runtime::Executor executor(runtime::ExecutorOptions options = {}) const;

  /// Layer by layer: shapes, value sets, parameters, MACs, what each quantizer really does.
  [[nodiscard]] std::string summary() const;
  /// Region by region: value sets, proofs, the kernel chosen, and why not the others.
  [[nodiscard]] std::string explain() const;

  [[nodiscard]] const Graph& graph() const { return *graph_; }  ///< before the passes
  [[nodiscard]] const passes::Compilation& compilation() const { return *compilation_; }
  [[nodiscard]] std::shared_ptr<const runtime::Model> model() const { return compilation_->model; }
  [[nodiscard]] std::vector<std::string> inputs() const;   ///< names, in order
  [[nodiscard]] std::vector<std::string> outputs() const;  ///< names, in order

 private:
  std::shared_ptr<const Graph> graph_;
  std::shared_ptr<const passes::Compilation> compilation_;
};

/// The calls of the compiled program, a line each.
std::ostream& operator<<(std::ostream&, const CompiledNetwork&);

}  // namespace qloom
