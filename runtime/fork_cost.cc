#include "runtime/fork_cost.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>

namespace qloom::runtime {
namespace {

constexpr int64_t kWorkNs = 3000;  // of a part: long enough for all others to take theirs

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Trial {
  int64_t ns = 0;      ///< beyond the work of one part
  int64_t others = 0;  ///< parts that other threads than the caller's took
};

Trial fork(ParallelFor& pool, int threads) noexcept {
  static thread_local const char mark = 0;  // its address tells threads apart
  const char* const caller = &mark;
  std::atomic<int64_t> others{0};
  const int64_t start = now_ns();
  pool.for_parts(threads, [&](int64_t) {
    if (&mark != caller) others.fetch_add(1, std::memory_order_relaxed);
    for (const int64_t begin = now_ns(); now_ns() - begin < kWorkNs;) {
    }
  });
  return {now_ns() - start - kWorkNs, others.load()};
}

}  // namespace

double measure_fork_ns(ParallelFor& pool, int threads, int64_t patience_ns) noexcept {
  const int64_t start = now_ns();
  while (fork(pool, threads).others < threads - 1)
    if (now_ns() - start > patience_ns) return kNeverJoined;
  std::array<int64_t, 31> times{};
  for (int64_t& time : times) time = fork(pool, threads).ns;
  const auto middle = times.begin() + times.size() / 2;
  std::nth_element(times.begin(), middle, times.end());
  return static_cast<double>(std::max<int64_t>(0, *middle));
}

}  // namespace qloom::runtime
