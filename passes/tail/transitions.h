#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "passes/tail/body_function.h"

namespace qloom::passes {

/// Where a code function changes. Per channel (one entry where uniform) over an interval of
/// ordinals. In a channel that falls (`mask` -1) everything is in the mirrored ordinal ~x, so that
/// codes rise.
struct Transitions {
  struct Step {
    int64_t at;    ///< first (mirrored) ordinal with the new code
    int64_t code;  ///< the code from there on
  };
  struct Channel {
    int64_t lo = 0, hi = 0;  ///< (mirrored) interval
    int64_t mask = 0;        ///< 0, or -1: x is mirrored
    int64_t first = 0;       ///< code at lo
    std::vector<Step> steps;
    [[nodiscard]] int64_t last() const { return steps.empty() ? first : steps.back().code; }
  };
  std::vector<Channel> channels;
  bool uniform = false;
  bool monotone = false;  ///< codes rise in every channel; else found by enumeration
  bool source_is_f32 = false;
  int64_t evaluated = 0;  ///< points at which the interpreter was asked
};

/// Interval of ordinals of a source, per channel or (size 1) for all.
struct Interval {
  std::vector<int64_t> lo, hi;
};

/// The floats for which tails are proved: all up to 2^64, or to a smaller power of two where the
/// reference overflows (it refuses to quantize infinities).
[[nodiscard]] Interval float_interval(const BodyFunction& function,
                                      const std::vector<ValueId>& values);

/// Finds every transition: by bisection where the chain of operations proves that codes are
/// monotone, else by evaluating every point of intervals of at most `limit` integers. None where
/// neither is possible, or a channel has more than `max_steps` transitions.
[[nodiscard]] std::optional<Transitions> find_transitions(const BodyFunction& function,
                                                          ValueId value, const Interval& interval,
                                                          int64_t limit,
                                                          size_t max_steps = 1 << 12);

/// Transitions of the values of one body: a tail is lowered for each storage that is considered,
/// and verified for one, with the same questions to the interpreter.
class KnownTransitions {
 public:
  /// find_transitions of `value` as a function of `source`, asked once: `interval()` must be the
  /// same at every call. None also where it is no function of the source alone.
  template <class IntervalOf>
  const std::optional<Transitions>& find(const BodyFunction& function, ValueId value, int64_t limit,
                                         const IntervalOf& interval) {
    const auto [place, is_new] = found_.try_emplace({function.source(), value});
    if (is_new && function.is_function(value))
      place->second = find_transitions(function, value, interval(), limit);
    return place->second;
  }

 private:
  std::map<std::pair<ValueId, ValueId>, std::optional<Transitions>> found_;
};

}  // namespace qloom::passes
