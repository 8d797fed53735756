#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qloom::runtime {

/// One kernel call on a tile of samples. Times are nanoseconds of std::chrono::steady_clock.
struct TraceEvent {
  int32_t call = 0;    ///< index into Program::calls
  int32_t worker = 0;  ///< thread of the pool, 0 is the caller's
  int64_t first = 0, samples = 0;
  int64_t start_ns = 0, end_ns = 0;
};

/// What an executor did, call by call (ExecutorOptions::trace). The memory is made once: adding
/// neither allocates nor locks, from any number of threads; what does not fit is counted.
class Trace {
 public:
  explicit Trace(size_t capacity) : events_(capacity) {}
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  void add(const TraceEvent& event) noexcept {
    const size_t at = next_.fetch_add(1, std::memory_order_relaxed);
    if (at < events_.size()) events_[at] = event;
  }
  /// While no executor runs: what was added since the last `clear`, in the order of their ends on
  /// each worker.
  [[nodiscard]] std::span<const TraceEvent> events() const {
    return std::span(events_).first(events_.size() - free());
  }
  [[nodiscard]] size_t free() const {
    const size_t used = next_.load();
    return used < events_.size() ? events_.size() - used : 0;
  }
  /// Events that found no room.
  [[nodiscard]] size_t dropped() const {
    const size_t used = next_.load();
    return used > events_.size() ? used - events_.size() : 0;
  }
  void clear() noexcept { next_.store(0); }

 private:
  std::vector<TraceEvent> events_;
  std::atomic<size_t> next_{0};
};

}  // namespace qloom::runtime
