// tests/kernels/node_problem.h: random nodes for kernels of single nodes, and how two such kernels
// are run on the same data.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "jit/code.h"
#include "kernels/kernel.h"

namespace qloom::testing {

/// A node with its data: operands in their plain storages, the result in one or two storages.
struct NodeProblem {
  std::string name;
  kernels::ReferenceSpec spec;  ///< its kernel is filled in by whoever runs it
  int64_t samples = 1;
  std::vector<std::vector<uint8_t>> inputs;  ///< operands that are no constants
};

/// What is drawn.
struct NodeRequest {
  const OpDef* op = nullptr;
  bool only_floats = false;      ///< operands are float32 (else: any value set)
  bool special_values = true;    ///< NaN, infinities, zeros of both signs among the floats
  bool constant_weights = true;  ///< conv and dense: the kernel is a constant
};

/// A random problem for the op; none where a draw has no result. Throws InternalError for an op
/// that it knows nothing of.
[[nodiscard]] std::optional<NodeProblem> random_node(const NodeRequest& request,
                                                     std::mt19937_64& rng);

/// Buffers for a run, with the slack that kernels may touch, and guards behind the outputs.
struct NodeFrames {
  /// `unused_buffer`: between operands and outputs, as compiled code has it.
  NodeFrames(const NodeProblem& problem, bool unused_buffer, int64_t scratch_bytes);
  /// The outputs. Throws std::runtime_error where a byte behind one is written.
  std::vector<std::vector<uint8_t>> take(const NodeProblem& problem);
  std::vector<void*> pointers;

 private:
  std::vector<std::vector<uint8_t>> inputs_, outputs_;
  std::vector<uint8_t> scratch_;
};

/// Outputs of a reference kernel or primitive; of compiled code (a KernelFunction that has an
/// unused buffer between operands and outputs). Throws std::runtime_error where a byte behind an
/// output is written.
[[nodiscard]] std::vector<std::vector<uint8_t>> run_prepared(const kernels::KernelDef& kernel,
                                                             const NodeProblem& problem);
[[nodiscard]] std::vector<std::vector<uint8_t>> run_compiled(jit::KernelFunction function,
                                                             const NodeProblem& problem,
                                                             int64_t scratch_bytes = 0);

/// Best time of a call, in nanoseconds per sample.
template <class Run>
double best_ns(const Run& run, int64_t samples) {
  double best = 1e30;
  for (int i = 0; i < 30; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count() / static_cast<double>(samples));
  }
  return best;
}

/// Where output `output` differs, and how; empty where it does not. Bits are compared, but any NaN
/// equals any other. `relative`: how far floats may be apart, of the largest expected magnitude (at
/// least 1), as the contract of outputs has it: terms that cancel leave their rounding behind.
[[nodiscard]] std::string first_difference(const NodeProblem& problem, size_t output,
                                           const std::vector<uint8_t>& got,
                                           const std::vector<uint8_t>& want, double relative = 0);

/// The reference kernel of an op.
[[nodiscard]] const kernels::KernelDef& reference_of(const OpDef& op);

}  // namespace qloom::testing
