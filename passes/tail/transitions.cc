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

/// Per channel, ascending and apart from each other.
using Segments = std::vector<std::vector<Segment>>;

/// Cuts segments at points (ascending, inside of segments) and keeps those whose ends differ.
void cut(Asker& asker, Segments& open, const std::vector<std::vector<int64_t>>& points) {
  const auto codes = asker.ask(points);
  for (size_t c = 0; c < open.size(); ++c) {
    std::vector<Segment> next;
    size_t i = 0;
    for (const Segment& s : open[c]) {
      Segment rest = s;
      for (; i < points[c].size() && points[c][i] < s.hi; ++i) {
        const int64_t at = points[c][i], code = codes[c][i];
        qloom_assert(rest.at_lo <= code && code <= rest.at_hi,
                     "a code function that was proved monotone falls: ", rest.at_lo, ", ", code,
                     ", ", rest.at_hi, " in channel ", c);
        if (code != rest.at_lo) next.push_back({rest.lo, at, rest.at_lo, code});
        rest = {at, rest.hi, code, rest.at_hi};
      }
      if (rest.at_lo != rest.at_hi) next.push_back(rest);
    }
    open[c] = std::move(next);
  }
}

bool is_open(const Segment& s) { return s.hi - s.lo > 1; }
int64_t middle(const Segment& s) { return s.lo + (s.hi - s.lo) / 2; }

/// Halves segments that are chosen(channel, index) until their ends are neighbours; false where
/// there are more than `most` in a channel.
template <class Chosen>
bool halve(Asker& asker, Segments& open, size_t most, const Chosen& chosen) {
  for (;;) {
    std::vector<std::vector<int64_t>> points(open.size());
    bool any = false;
    for (size_t c = 0; c < open.size(); ++c)
      for (size_t i = 0; i < open[c].size(); ++i)
        if (is_open(open[c][i]) && chosen(open[c], i)) {
          points[c].push_back(middle(open[c][i]));
          any = true;
        }
    if (!any) return true;
    cut(asker, open, points);
    for (const auto& list : open)
      if (list.size() > most) return false;
  }
}

/// Most code functions are lines between clamps: where the others would change, from the first and
/// the last change of a channel. A wrong guess costs a few questions.
std::vector<std::vector<int64_t>> guesses(const Segments& open, bool is_f32) {
  constexpr int64_t kLeast = 4, kMost = 4096;  // changes of a channel
  const auto value = [&](int64_t ordinal) {
    return is_f32 ? static_cast<double>(float_of(ordinal)) : static_cast<double>(ordinal);
  };
  std::vector<std::vector<int64_t>> points(open.size());
  for (size_t c = 0; c < open.size(); ++c) {
    if (open[c].empty()) continue;
    const Segment &first = open[c].front(), &last = open[c].back();
    const int64_t changes = last.at_hi - first.at_hi;
    if (changes < kLeast || changes > kMost) continue;
    const double slope = (value(last.hi) - value(first.hi)) / static_cast<double>(changes);
    for (const Segment& s : open[c]) {
      if (!is_open(s)) continue;
      for (int64_t code = s.at_lo + 1; code <= s.at_hi; ++code) {
        const double x = value(first.hi) + slope * static_cast<double>(code - first.at_hi);
        const int64_t at = is_f32 ? ordinal_of(static_cast<float>(x)) : std::llround(x);
        const int64_t around = is_f32 ? 16 : 1;
        for (const int64_t point : {at - 1 - around, at - 1, at, at + around})
          if (point > s.lo && point < s.hi && (points[c].empty() || point > points[c].back()))
            points[c].push_back(point);
      }
    }
  }
  return points;
}

bool bisect(Asker& asker, std::vector<Transitions::Channel>& channels, size_t max_steps,
            bool is_f32) {
  const size_t n = channels.size();
  std::vector<std::vector<int64_t>> ends(n);
  for (size_t c = 0; c < n; ++c) ends[c] = {channels[c].lo, channels[c].hi};
  const auto at_ends = asker.ask(ends);
  Segments open(n);
  for (size_t c = 0; c < n; ++c) {
    channels[c].first = at_ends[c][0];
    if (at_ends[c][0] != at_ends[c][1])
      open[c].push_back({channels[c].lo, channels[c].hi, at_ends[c][0], at_ends[c][1]});
  }
  const auto outer = [](const std::vector<Segment>& list, size_t i) {
    return i == 0 || i + 1 == list.size();
  };
  if (!halve(asker, open, max_steps, outer)) return false;
  cut(asker, open, guesses(open, is_f32));
  if (!halve(asker, open, max_steps, [](const auto&, size_t) { return true; })) return false;
  for (size_t c = 0; c < n; ++c) {
    if (open[c].size() > max_steps) return false;
    for (const Segment& s : open[c]) channels[c].steps.push_back({s.hi, s.at_hi});
  }
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
  const bool found = out.monotone ? bisect(asker, out.channels, max_steps, out.source_is_f32)
                                  : enumerate(asker, out.channels, max_steps);
  out.evaluated = asker.evaluated();
  if (!found) return std::nullopt;
  return out;
}

}  // namespace qloom::passes
