// kernels/conv/pair_layout.h: how conv_pairs cuts K into steps, and how long it may add in 16 bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/kernel.h"

namespace qloom::kernels {

/// How K is cut into runs and steps, for one element size. A run is contiguous in the input; a step
/// is one dword of it.
struct PairRuns {
  bool whole_rows = false;        ///< a run is a kernel row, else a tap
  int64_t count = 0, length = 0;  ///< length in elements
  int per_step = 0;               ///< elements
  [[nodiscard]] int64_t steps_per_run() const { return (length + per_step - 1) / per_step; }
  [[nodiscard]] int64_t steps() const { return count * steps_per_run(); }
};
[[nodiscard]] PairRuns runs_of(const Window& window, bool words);

/// Weight codes by position in the layout.
class PairWeights {
 public:
  PairWeights(const Query& q, const PairRuns& runs)
      : codes_(q.weight_codes->i64()), runs_(runs), n_(q.window.n) {}
  /// The codes of all output channels; null in the padding of a run (zeros).
  [[nodiscard]] const int64_t* row(int64_t step, int element) const;

 private:
  std::span<const int64_t> codes_;
  PairRuns runs_;
  int64_t n_;
};

/// True when no sum of two neighbouring products leaves int16; amax: largest byte of the input.
[[nodiscard]] bool pairs_are_proven(const Query& q, const PairRuns& runs, int64_t amax);

/// Weights beyond a byte as b·2^shift + r with b and r of a byte, where r is 0 for all but few
/// (powers of two: r of the smallest, or of the largest). Rests are taken from blocks of 16
/// neighbours of a run, at most four of a channel in a step; most blocks need one.
struct SparseRest {
  int shift = 0;
  int64_t steps = 0;
  [[nodiscard]] bool any() const { return shift > 0 || steps > 0; }
  static constexpr int kBlock = 16, kOfStep = 4;
  [[nodiscard]] int8_t base(int64_t weight) const;
  [[nodiscard]] int64_t rest(int64_t weight) const {
    return weight - (int64_t{base(weight)} << shift);
  }
};
/// A step takes rests [first, first + kOfStep) of each channel from bytes [begin, begin + kBlock)
/// of a run.
struct RestStep {
  int64_t run = 0, begin = 0, first = 0;
};
/// Steps in order; nothing where a rest is beyond a byte or there are more than `limit`.
[[nodiscard]] std::optional<std::vector<RestStep>> rest_steps(const Query& q, const PairRuns& runs,
                                                              int shift, int64_t limit = INT64_MAX);
/// The shift of fewest steps. Nothing where words of 16 bits would cost no more.
[[nodiscard]] std::optional<SparseRest> sparse_rest(const Query& q, const PairRuns& runs);

/// When 16-bit sums are widened. Carried by Variant::option, because it depends on the weights
/// alone and takes time to find.
struct Flush {
  int unit = 1;       ///< steps that share an entry of the step table
  int64_t chunk = 0;  ///< units between flushes; 0: each unit is widened at once (or words)
  [[nodiscard]] int option() const { return static_cast<int>(chunk * unit * 8 + unit); }
  [[nodiscard]] static Flush from_option(int option) {
    return {option % 8, option / 8 / (option % 8)};
  }
};
/// For the query's input storage: as seldom as the actual weights allow.
[[nodiscard]] Flush choose_flush(const Query& q, const PairRuns& runs);

}  // namespace qloom::kernels
