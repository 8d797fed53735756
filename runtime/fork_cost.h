#pragma once

#include <cstdint>
#include <limits>

#include "runtime/thread_pool.h"

namespace qloom::runtime {

/// What it costs to cut a call into parts for `threads` threads: nanoseconds from handing them out
/// until the last is known to be done, beyond their work; the median of some dozen trials. Threads
/// that have just been made, or that sleep, need a while before they take part: waits up to
/// `patience_ns` until each of `threads` parts is taken by a thread of its own. Where that does not
/// happen the answer is kNeverJoined: the caller would do everything alone. Never throws.
inline constexpr double kNeverJoined = std::numeric_limits<double>::infinity();
[[nodiscard]] double measure_fork_ns(ParallelFor& pool, int threads, int64_t patience_ns) noexcept;

}  // namespace qloom::runtime
