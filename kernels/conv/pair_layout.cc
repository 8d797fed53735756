#include "kernels/conv/pair_layout.h"

#include <algorithm>
#include <vector>

#include "graph/support/error.h"
#include "kernels/conv/geometry.h"

namespace qloom::kernels {
namespace {

constexpr int kShortChunk = 8;   // steps; below, widening at once costs less than spilling sums
constexpr int kLongestUnit = 4;  // steps

/// Sums of the positive and of the negative weights of each 16-bit lane, up to each unit.
class LaneSums {
 public:
  LaneSums(const Query& q, const PairRuns& runs, int unit)
      : units_(runs.steps() / unit), lanes_(q.window.n * 2) {
    const PairWeights weights(q, runs);
    up_.assign(static_cast<size_t>((units_ + 1) * lanes_), 0);
    down_ = up_;
    for (int64_t u = 0; u < units_; ++u) {
      int32_t* up = up_.data() + (u + 1) * lanes_;
      int32_t* down = down_.data() + (u + 1) * lanes_;
      std::copy_n(up - lanes_, lanes_, up);
      std::copy_n(down - lanes_, lanes_, down);
      for (int s = 0; s < unit; ++s)
        for (int k = 0; k < 4; ++k) {
          const int64_t* row = weights.row(u * unit + s, k);
          if (row == nullptr) continue;
          const int64_t half = k / 2 * (lanes_ / 2);  // the pair within the step
          for (int64_t n = 0; n < lanes_ / 2; ++n) {
            const auto w = static_cast<int32_t>(row[n]);
            up[half + n] += std::max(w, 0);
            down[half + n] += std::min(w, 0);
          }
        }
    }
  }
  /// True when no partial sum of chunks of `chunk` units leaves int16.
  [[nodiscard]] bool fits(int64_t chunk, int64_t amax) const {
    for (int64_t begin = 0; begin < units_; begin += chunk) {
      const auto from = static_cast<size_t>(begin * lanes_);
      const auto to = static_cast<size_t>(std::min(units_, begin + chunk) * lanes_);
      for (size_t lane = 0; lane < static_cast<size_t>(lanes_); ++lane) {
        if (amax * (up_[to + lane] - up_[from + lane]) > 32767) return false;
        if (amax * (down_[to + lane] - down_[from + lane]) < -32768) return false;
      }
    }
    return true;
  }

 private:
  int64_t units_, lanes_;
  std::vector<int32_t> up_, down_;
};

/// Numbers of equal chunks that are tried: 1, 2, 3, 4, 6, 8, 12, 16, 24, …
int64_t more_chunks(int64_t n) {
  if (n < 3) return n + 1;
  return (n & (n - 1)) == 0 ? n * 3 / 2 : n / 3 * 4;
}

/// Longest chunk in units; 0 where not even one unit fits.
int64_t longest_chunk(const Query& q, const PairRuns& runs, int unit, int64_t amax) {
  const int64_t units = runs.steps() / unit;
  const CodeRange range = weight_range(q);
  const int64_t worst = 2 * amax * std::max(range.hi, -range.lo);  // of one step, in one lane
  if (worst * runs.steps() <= 32767) return units;
  const LaneSums sums(q, runs, unit);
  for (int64_t chunks = 1;; chunks = more_chunks(chunks)) {
    const int64_t chunk = std::max<int64_t>(1, (units + chunks - 1) / chunks);
    if (sums.fits(chunk, amax)) return chunk;
    if (chunk == 1) return 0;
  }
}

}  // namespace

PairRuns runs_of(const Window& w, bool words) {
  PairRuns runs;
  runs.whole_rows = w.dilation_w == 1 && w.groups == 1;
  runs.count = runs.whole_rows ? w.kernel_h : w.kernel_h * w.kernel_w;
  runs.length = (w.c / w.groups) * (runs.whole_rows ? w.kernel_w : 1);
  runs.per_step = words ? 2 : 4;
  return runs;
}

const int64_t* PairWeights::row(int64_t step, int element) const {
  const int64_t run = step / runs_.steps_per_run();
  const int64_t i = step % runs_.steps_per_run() * runs_.per_step + element;
  if (i >= runs_.length) return nullptr;
  // A run of the input is a contiguous piece of the kernel's rows too: [R, S, C/groups, K].
  return codes_.data() + (run * runs_.length + i) * n_;
}

bool pairs_are_proven(const Query& q, const PairRuns& runs, int64_t amax) {
  const CodeRange range = weight_range(q);
  if (amax * 2 * range.hi <= 32767 && amax * 2 * range.lo >= -32768) return true;
  return LaneSums(q, runs, 1).fits(1, amax);
}

int8_t SparseRest::base(int64_t weight) const {
  const int64_t half = shift > 0 ? int64_t{1} << (shift - 1) : 0;
  return static_cast<int8_t>(std::clamp<int64_t>((weight + half) >> shift, -128, 127));
}

std::optional<std::vector<RestStep>> rest_steps(const Query& q, const PairRuns& runs, int shift,
                                                int64_t limit) {
  const auto codes = q.weight_codes->i64();
  const int64_t n = q.window.n;
  const SparseRest sparse{shift, 0};
  std::vector<RestStep> steps;
  std::vector<int64_t> counts(static_cast<size_t>(n));
  for (int64_t run = 0; run < runs.count; ++run)
    for (int64_t begin = 0; begin < runs.length; begin += SparseRest::kBlock) {
      std::ranges::fill(counts, 0);
      for (int64_t i = begin; i < std::min(runs.length, begin + SparseRest::kBlock); ++i) {
        const int64_t* row = codes.data() + (run * runs.length + i) * n;
        for (int64_t c = 0; c < n; ++c) {
          const int64_t r = sparse.rest(row[c]);
          if (r < -128 || r > 127) return std::nullopt;
          counts[static_cast<size_t>(c)] += r != 0 ? 1 : 0;
        }
      }
      const int64_t most = std::ranges::max(counts);
      for (int64_t first = 0; first < most; first += SparseRest::kOfStep)
        steps.push_back({run, begin, first});
      if (static_cast<int64_t>(steps.size()) > limit) return std::nullopt;
    }
  return steps;
}

std::optional<SparseRest> sparse_rest(const Query& q, const PairRuns& runs) {
  // Measured, 8 outputs × 3 vectors: a step of rests takes as long as two of pairs. Words take
  // twice as many steps as bytes.
  constexpr double kCost = 2.05, kGain = 0.95;
  std::optional<SparseRest> best;
  auto limit = static_cast<int64_t>(kGain * static_cast<double>(runs.steps()) / kCost);
  for (int shift = 0; shift < 8; ++shift) {
    const auto steps = rest_steps(q, runs, shift, limit);
    if (!steps) continue;
    best = {shift, static_cast<int64_t>(steps->size())};
    if (best->steps == 0) break;
    limit = best->steps - 1;
  }
  return best;
}

Flush choose_flush(const Query& q, const PairRuns& runs) {
  const int64_t per_run = runs.steps_per_run();
  auto largest_divisor = [&](int64_t limit) {
    int64_t d = std::min(limit, per_run);
    while (per_run % d != 0) --d;
    return static_cast<int>(d);
  };
  // At least two units, so that the loop over K is a loop, and the tail not part of the innermost
  // one.
  const int64_t half = std::max<int64_t>(1, runs.steps() / 2);
  Flush flush;
  flush.unit = largest_divisor(std::min<int64_t>(kLongestUnit, half));
  if (q.input_storage.kind == Storage::Kind::words || q.has_dot()) return flush;
  const int64_t amax = largest_byte(q, q.input_storage);
  for (;; flush.unit = largest_divisor(flush.unit - 1)) {
    flush.chunk = longest_chunk(q, runs, flush.unit, amax);
    if (flush.chunk > 0) break;
    qloom_assert(flush.unit > 1, q.name, ": a pair sum leaves int16");  // match has proved it
  }
  const bool whole = flush.chunk * flush.unit >= runs.steps();
  if (!whole && flush.chunk * flush.unit < kShortChunk) flush.chunk = 0;
  return flush;
}

}  // namespace qloom::kernels
