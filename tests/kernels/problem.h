// tests/kernels/problem.h: generated work for kernels: a query with random weights and tail, its
// input, and the outputs by plain integer loops and run_tail.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "jit/code.h"
#include "kernels/kernel.h"

namespace qloom::testing {

/// What follows the accumulator.
enum class TailKind : uint8_t {
  plain,            ///< the accumulator itself, dwords
  thresholds,       ///< thresholds per channel → bytes
  scale_round,      ///< multiply, add, shift, clip → bytes
  float_chain,      ///< float32 affine per channel, round, clip → words, and the unrounded float32
  residual,         ///< plus an operand in bytes, clipped → bytes, and its sign → bits
  bits,             ///< threshold per channel with direction → bits, and words
  functions,        ///< float functions of a multiple → float32
  every_operation,  ///< each operation of tails once → dwords and float32
  packed,           ///< as bits, but nothing else; of a maximum of bits the maximum itself
};
inline constexpr int kTailKinds = 9;

/// Of a root that moves elements; `rows` of a table.
enum class Motion : uint8_t { none, slice, permute, repeat, pad, rows, bilinear };

/// What to generate. Geometry as in kernels::Window; the output size follows from `same`.
struct ProblemSpec {
  std::string name;
  kernels::Window window;
  Numeric input = Numeric::fixed(4, 0, false), weights = Numeric::fixed(4, 0, true);
  TailKind tail = TailKind::plain;
  bool elementwise = false;  ///< root null
  /// Elementwise on float32, or a root whose sum (or maximum) is a float32.
  bool f32_input = false;
  kernels::Pooling pooling = kernels::Pooling::none;  ///< root pool
  bool softmax = false;                               ///< root softmax, of f32_input
  Motion motion = Motion::none;                       ///< its extents are drawn; window: those of x
  bool parts = false;  ///< outputs are drawn to be parts of longer runs
  int64_t count = 2;
  uint64_t seed = 1;
  /// What the query is for, where that decides what a kernel takes.
  std::optional<jit::Target> target = std::nullopt;
};

/// Padding as Keras names it.
enum class Pad : uint8_t { valid, same, causal };
/// A convolution's window with its output size and padding. Throws std::invalid_argument where
/// there is no output.
[[nodiscard]] kernels::Window conv_window(int64_t h, int64_t w, int64_t c, int64_t n,
                                          int64_t kernel_h, int64_t kernel_w, int64_t stride,
                                          int64_t dilation, int64_t groups, Pad pad);
[[nodiscard]] kernels::Window dense_window(int64_t c, int64_t n);
/// Window of a pool root.
[[nodiscard]] kernels::Window pool_window(int64_t h, int64_t w, int64_t c, int64_t kernel_h,
                                          int64_t kernel_w, int64_t stride, Pad pad);

/// One kernel's work, with everything that the query points to.
class Problem {
 public:
  explicit Problem(const ProblemSpec& spec);
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  [[nodiscard]] const ProblemSpec& spec() const { return spec_; }
  /// Query with the storage that `kernel` asks for.
  [[nodiscard]] const kernels::Query& query_for(const kernels::KernelDef& kernel);
  [[nodiscard]] const kernels::Query& query() const { return query_; }

  /// Exact accumulators, [count, position, channel], by plain loops.
  [[nodiscard]] const std::vector<int64_t>& accumulators() const { return accumulators_; }

  using Run = std::function<void(void* const* buffers, int64_t count, int64_t begin, int64_t end)>;
  /// Runs a prepared kernel of the query (query_for); returns "" or the first difference. `count`
  /// <= spec().count. A sample has `items` work items: where there are several, each sample is then
  /// computed in parts too, the last one first, with fresh scratch.
  [[nodiscard]] std::string difference(const kernels::Query& query,
                                       const std::vector<uint8_t>& constants, int64_t scratch_bytes,
                                       const Run& run, int64_t count, int64_t items = 1) {
    return walk(query, constants, scratch_bytes, run, count, items, true);
  }
  /// Makes the same calls of `run` with the same memory and compares nothing.
  void replay(const kernels::Query& query, const std::vector<uint8_t>& constants,
              int64_t scratch_bytes, const Run& run, int64_t count, int64_t items = 1) {
    static_cast<void>(walk(query, constants, scratch_bytes, run, count, items, false));
  }
  /// Expected outputs, for the share of their most frequent value (a test on constants proves
  /// nothing).
  [[nodiscard]] double most_frequent_share() const;
  /// The memory that the last `difference` offered; for InterpretingEmitter.
  struct Memory {
    const uint8_t *begin, *end;
    bool writable;
  };
  [[nodiscard]] const std::vector<Memory>& memory() const { return memory_; }

 private:
  void make_input(std::mt19937_64& rng);
  void make_weights(std::mt19937_64& rng);
  void make_pooling();
  void compute_softmax();
  void make_motion(std::mt19937_64& rng);
  void make_rows(std::mt19937_64& rng);
  void compute_motion();
  void compute_rows();
  void compute_bilinear();
  /// visit(accumulator index, [index of the input] of every cell or term in order, weight index)
  template <class Begin, class Term>
  void for_each_term(const Begin& begin, const Term& term) const;
  void compute_accumulators();
  void make_tail(std::mt19937_64& rng);
  void make_parts(std::mt19937_64& rng);
  void compute_outputs();
  [[nodiscard]] std::string walk(const kernels::Query& query, const std::vector<uint8_t>& constants,
                                 int64_t scratch_bytes, const Run& run, int64_t count,
                                 int64_t items, bool compares);
  [[nodiscard]] int64_t output_bytes(size_t k, int64_t count) const;
  /// An output's runs next to each other, where they are parts of longer ones. `touched`: whether
  /// anything else was written, up to the end of what the buffer has behind it.
  [[nodiscard]] std::vector<uint8_t> runs_of(size_t k, const uint8_t* out, int64_t count,
                                             bool& touched) const;
  [[nodiscard]] std::string compare(const std::vector<uint8_t*>& out, int64_t count) const;

  ProblemSpec spec_;
  kernels::Query query_;
  std::map<const kernels::KernelDef*, kernels::Query> queries_;
  Tensor weight_codes_;
  kernels::Tail tail_;
  std::vector<int64_t> input_;  ///< codes
  std::vector<float> f32_input_;
  std::vector<std::vector<int64_t>> operands_;
  std::vector<int64_t> accumulators_;
  std::vector<float> f32_accumulators_;
  std::vector<std::vector<kernels::TailScalar>> outputs_;
  std::vector<Memory> memory_;
};

/// lo to hi, both included.
[[nodiscard]] int64_t uniform(std::mt19937_64& rng, int64_t lo, int64_t hi);
/// A random member of a value set, as a code.
[[nodiscard]] int64_t random_code(const Numeric& numeric, std::mt19937_64& rng);

/// How a kernel is run in tests; interpreted_dot and interpreted_neon: as for AVX-512 and NEON.
enum class Lowering : uint8_t {
  interpreted,
  interpreted_dot,
  interpreted_neon,
  avx512,
  avx2,
  portable
};
[[nodiscard]] std::string to_string(Lowering);
/// Lowerings that this build and machine have; `dot`: those with dot products and vectors of 64
/// bytes, for a ProblemSpec::target that has them.
[[nodiscard]] std::vector<Lowering> lowerings(bool dot = false);
[[nodiscard]] jit::Target target_of(Lowering);

/// A kernel and a problem that it matches, in one variant.
struct Job {
  const kernels::KernelDef* kernel = nullptr;
  Problem* problem = nullptr;
  kernels::Variant variant;
  [[nodiscard]] std::string name() const;
};
/// The function kernel_<index> of a job.
[[nodiscard]] jit::FunctionSource source_of(const Job& job, size_t index);
/// Runs all jobs (compiled together) and returns the differences, one line each.
[[nodiscard]] std::vector<std::string> run_jobs(const std::vector<Job>& jobs, Lowering lowering);

}  // namespace qloom::testing
