#include "passes/tail/transitions.h"

#include <algorithm>
#include <cmath>

#include "graph/support/error.h"

namespace qloom::passes {
namespace {

/// Asks for one list of points per channel at once; lists may differ in length.
class Asker {
 public:
  Asker(const BodyFunction& function, ValueId value,
        const std::vector<Transitions::Channel>& channels)
      : function_(function), value_(value), channels_(channels) {}

  std::vector<std::vector<int64_t>> ask(const std::vector<std::vector<int64_t>>& points) {
    const size_t n = points.size();
    size_t rows = 0;
    for (const auto& p : points) rows = std::max(rows, p.size());
    std::vector<std::vector<int64_t>> out(n);
    if (rows == 0) return out;
    std::vector<int64_t> ordinals(rows * n);
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < n; ++c) {
        const int64_t x = r < points[c].size() ? points[c][r] : channels_[c].lo;
        ordinals[r * n + c] = x ^ channels_[c].mask;
      }
    const auto codes = function_.codes(value_, ordinals, static_cast<int64_t>(n));
    evaluated_ += static_cast<int64_t>(codes.size());
    for (size_t c = 0; c < n; ++c)
      for (size_t r = 0; r < points[c].size(); ++r) out[c].push_back(codes[r * n + c]);
    return out;
  }
  [[nodiscard]] int64_t evaluated() const { return evaluated_; }

 private:
  const BodyFunction& function_;
  ValueId value_;
  const std::vector<Transitions::Channel>& channels_;
  int64_t evaluated_ = 0;
};

struct Segment {
  int64_t lo, hi, at_lo, at_hi;
};

/// Halves every segment whose ends differ until the ends are neighbours.
bool bisect(Asker& asker, std::vector<Transitions::Channel>& channels, size_t max_steps) {
  const size_t n = channels.size();
  std::vector<std::vector<int64_t>> ends(n);
  for (size_t c = 0; c < n; ++c) ends[c] = {channels[c].lo, channels[c].hi};
  const auto at_ends = asker.ask(ends);
  std::vector<std::vector<Segment>> open(n);
  for (size_t c = 0; c < n; ++c) {
    channels[c].first = at_ends[c][0];
    if (at_ends[c][0] != at_ends[c][1])
      open[c].push_back({channels[c].lo, channels[c].hi, at_ends[c][0], at_ends[c][1]});
  }
  while (true) {
    std::vector<std::vector<int64_t>> middles(n);
    bool any = false;
    for (size_t c = 0; c < n; ++c)
      for (const Segment& s : open[c])
        if (s.hi - s.lo > 1) {
          middles[c].push_back(s.lo + (s.hi - s.lo) / 2);
          any = true;
        }
    if (!any) break;
    const auto codes = asker.ask(middles);
    for (size_t c = 0; c < n; ++c) {
      std::vector<Segment> next;
      size_t i = 0;
      for (const Segment& s : open[c]) {
        if (s.hi - s.lo <= 1) {
          next.push_back(s);
          continue;
        }
        const int64_t middle = middles[c][i], code = codes[c][i];
        ++i;
        qloom_assert(s.at_lo <= code && code <= s.at_hi,
                     "a code function that was proved monotone falls: ", s.at_lo, ", ", code, ", ",
                     s.at_hi, " in channel ", c);
        if (code != s.at_lo) next.push_back({s.lo, middle, s.at_lo, code});
        if (code != s.at_hi) next.push_back({middle, s.hi, code, s.at_hi});
      }
      if (next.size() > max_steps) return false;
      open[c] = std::move(next);
    }
  }
  for (size_t c = 0; c < n; ++c)
    for (const Segment& s : open[c]) channels[c].steps.push_back({s.hi, s.at_hi});
  return true;
}

bool enumerate(Asker& asker, std::vector<Transitions::Channel>& channels, size_t max_steps) {
  constexpr int64_t kBatch = 1 << 14;  // points of a channel asked for at once: bounds memory
  const size_t n = channels.size();
  int64_t longest = 0;
  for (const auto& c : channels) longest = std::max(longest, c.hi - c.lo + 1);
  std::vector<int64_t> previous(n, 0);
  for (int64_t begin = 0; begin < longest; begin += kBatch) {
    std::vector<std::vector<int64_t>> points(n);
    for (size_t c = 0; c < n; ++c)
      for (int64_t i = begin; i < std::min(begin + kBatch, channels[c].hi - channels[c].lo + 1);
           ++i)
        points[c].push_back(channels[c].lo + i);
    const auto codes = asker.ask(points);
    for (size_t c = 0; c < n; ++c)
      for (size_t i = 0; i < codes[c].size(); ++i) {
        if (begin == 0 && i == 0) {
          channels[c].first = previous[c] = codes[c][0];
        } else if (codes[c][i] != previous[c]) {
          channels[c].steps.push_back({points[c][i], codes[c][i]});
          previous[c] = codes[c][i];
          if (channels[c].steps.size() > max_steps) return false;
        }
      }
  }
  return true;
}

}  // namespace

Interval float_interval(const BodyFunction& function, const std::vector<ValueId>& values) {
  const bool uniform =
      std::all_of(values.begin(), values.end(), [&](ValueId v) { return function.is_uniform(v); });
  const int64_t columns = uniform ? 1 : function.channels();
  for (const int exponent : {64, 48, 32, 24, 16, 8}) {
    const int64_t hi = ordinal_of(std::ldexp(1.0F, exponent)), lo = ~hi;
    std::vector<int64_t> points(static_cast<size_t>(columns), lo);
    points.resize(static_cast<size_t>(2 * columns), hi);
    try {
      static_cast<void>(function.evaluate(values, points, columns));
      return {{lo}, {hi}};
    } catch (const UserError&) {
      continue;
    }
  }
  return {{ordinal_of(-1.0F)}, {ordinal_of(1.0F)}};
}

std::optional<Transitions> find_transitions(const BodyFunction& function, ValueId value,
                                            const Interval& interval, int64_t limit,
                                            size_t max_steps) {
  Transitions out;
  out.uniform = function.is_uniform(value);
  out.source_is_f32 = function.source_is_f32();
  const size_t n = out.uniform ? 1 : static_cast<size_t>(function.channels());
  const auto directions = function.directions(value);
  out.monotone = directions.has_value();
  int64_t longest = 0;
  for (size_t c = 0; c < n; ++c) {
    int64_t lo = interval.lo[interval.lo.size() == 1 ? 0 : c],
            hi = interval.hi[interval.hi.size() == 1 ? 0 : c];
    if (out.uniform) {
      lo = *std::min_element(interval.lo.begin(), interval.lo.end());
      hi = *std::max_element(interval.hi.begin(), interval.hi.end());
    }
    longest = std::max(longest, hi - lo + 1);
    Transitions::Channel channel{.lo = lo, .hi = hi, .mask = 0, .first = 0, .steps = {}};
    if (directions && (*directions)[directions->size() == 1 ? 0 : c] < 0)
      channel = {.lo = ~hi, .hi = ~lo, .mask = -1, .first = 0, .steps = {}};
    out.channels.push_back(std::move(channel));
  }
  if (!out.monotone && (out.source_is_f32 || longest > limit)) return std::nullopt;
  Asker asker(function, value, out.channels);
  const bool found = out.monotone ? bisect(asker, out.channels, max_steps)
                                  : enumerate(asker, out.channels, max_steps);
  out.evaluated = asker.evaluated();
  if (!found) return std::nullopt;
  return out;
}

}  // namespace qloom::passes
