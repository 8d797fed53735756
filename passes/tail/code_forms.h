#pragma once

#include <optional>
#include <string>

#include "passes/tail/tail_builder.h"
#include "passes/tail/transitions.h"

namespace qloom::passes {

/// Forms of a code function whose transitions are known exactly. Each takes the step that holds the
/// source (int, or f32 where the transitions' source is) and returns the step that holds the code.

/// Comparisons with thresholds, at most `max_rows` of them:
///   code = first + Σ_j delta_j · (x >= T_j)
/// Codes that differ between channels are brought to common levels. None where there are too many.
[[nodiscard]] std::optional<int> lower_thresholds(TailBuilder& builder, int source,
                                                  const Transitions& t, int max_rows);
/// How many thresholds that takes; -1 where codes do not rise in every channel.
[[nodiscard]] int threshold_rows(const Transitions& t);

/// Every change on its own, for codes that rise and fall:
///   code = first + Σ_j change_j · (x >= T_j)        both per channel
/// Integers only. None where a channel has more than `max_rows` changes.
[[nodiscard]] std::optional<int> lower_changes(TailBuilder& builder, int source,
                                               const Transitions& t, int max_rows);

/// code = clamp(round(f32(x)·m + b), lo, hi), m and b per channel, checked on both sides of every
/// transition: both functions are monotone, so they agree everywhere. `step`: the code's step, a
/// first guess of 1 / m. `fused`: x·m + b is one operation. None where no m and b agree.
[[nodiscard]] std::optional<int> lower_scale_and_round(TailBuilder& builder, int source,
                                                       const Transitions& t, double step,
                                                       bool fused);

/// The same for a code function of one float, the same in all channels and proved to rise, without
/// looking for its transitions: those of clamp(round(x / step)) are computed and the reference is
/// asked on both sides of each. `evaluated` counts the points.
[[nodiscard]] std::optional<int> lower_rounding(TailBuilder& builder, int source,
                                                const BodyFunction& function, ValueId value,
                                                const Interval& interval, int64_t& evaluated);

}  // namespace qloom::passes
