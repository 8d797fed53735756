// tests/kernels/dense_run_problem.h: generated runs of dense layers (kernels/dense/dense_run.h)
// with random weights and tails, their input, and the results by plain integer loops and run_tail.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/dense/dense_run.h"
#include "tests/kernels/problem.h"

namespace qloom::testing {

/// Codes between layers, and in front of the first.
enum class RunCodes : uint8_t {
  binary,      ///< -1 and 1, bits
  bit,         ///< 0 and 1, bits
  two_bits,    ///< 0..3, bytes
  three_bits,  ///< -4..3, bytes + 4
  folded,      ///< 0..3, bytes, that do not rise with the sum
};
inline constexpr int kRunCodes = 5;

struct DenseRunSpec {
  std::string name;
  bool quantizes = false;       ///< float32 in front of the first layer
  std::vector<int64_t> widths;  ///< inputs of the first layer, units of each
  Numeric weights = Numeric::ternary();
  std::vector<RunCodes> codes;  ///< in front of each layer
  int64_t count = 1;
  uint64_t seed = 1;
};
/// Two to four layers of few units. Every `count`th sample begins a tile.
[[nodiscard]] DenseRunSpec random_run(uint64_t seed, int64_t count);

class DenseRunProblem {
 public:
  explicit DenseRunProblem(DenseRunSpec spec);

  [[nodiscard]] const DenseRunSpec& spec() const { return spec_; }
  [[nodiscard]] const kernels::DenseRun& run() const { return run_; }

  /// Runs a function of the run on all samples; returns "" or the first difference.
  [[nodiscard]] std::string difference(const kernels::DenseFunction& function,
                                       const Problem::Run& run);
  /// The memory that the last `difference` offered, scratch last.
  [[nodiscard]] const std::vector<Problem::Memory>& memory() const { return memory_; }

 private:
  void make_input(std::mt19937_64& rng);
  void make_layer(size_t i, std::mt19937_64& rng);

  DenseRunSpec spec_;
  kernels::DenseRun run_;
  std::vector<std::unique_ptr<kernels::Tail>> tails_;
  std::vector<std::unique_ptr<Tensor>> weights_;
  std::vector<int64_t> codes_;  ///< of the layer that is made
  std::vector<uint8_t> input_;
  std::vector<float> expected_;
  std::vector<Problem::Memory> memory_;
};

/// A function of a problem's run for a target.
struct DenseRunJob {
  DenseRunProblem* problem = nullptr;
  std::shared_ptr<const kernels::DenseFunction> function;
  std::string name;
};
/// Every function of every way to compute a problem's run that takes it.
[[nodiscard]] std::vector<DenseRunJob> jobs_of(DenseRunProblem& problem, const jit::Target& target);
/// run_<index> of each job.
[[nodiscard]] std::vector<jit::FunctionSource> sources_of(const std::vector<DenseRunJob>& jobs);
/// Runs all jobs, which are for target_of(lowering); returns the differences, one line each.
[[nodiscard]] std::vector<std::string> run_jobs(const std::vector<DenseRunJob>& jobs,
                                                Lowering lowering);

}  // namespace qloom::testing
