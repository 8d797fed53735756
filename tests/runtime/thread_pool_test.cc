#include "runtime/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "graph/support/error.h"

namespace qloom::runtime {
namespace {

TEST(ThreadPool, EachPartRunsOnce) {
  for (const int threads : {1, 2, 4, 9}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t parts : {0, 1, 2, 3, 100, 1000}) {
      std::vector<std::atomic<int>> done(static_cast<size_t>(parts));
      pool.for_parts(parts, [&](int64_t part) { ++done[static_cast<size_t>(part)]; });
      for (const auto& count : done) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, JobsFollowEachOtherAndSeeEachOthersWrites) {
  ThreadPool pool(4);
  std::vector<uint64_t> values(64, 0);
  for (int64_t job = 0; job < 3000; ++job) {
    pool.for_parts(64, [&](int64_t part) {
      uint64_t& v = values[static_cast<size_t>((part + job) % 64)];
      v = v * 3 + 1;
    });
    if (job % 1000 == 999) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(std::set<uint64_t>(values.begin(), values.end()).size(), 1u);
}

TEST(ThreadPool, PartsRunAtTheSameTime) {
  // Each of two parts waits for the other: one thread alone would wait for ever.
  ThreadPool pool(2);
  std::atomic<int> arrived{0};
  std::atomic<bool> met{true};
  pool.for_parts(2, [&](int64_t) {
    ++arrived;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (arrived < 2)
      if (std::chrono::steady_clock::now() > end) {
        met = false;
        break;
      }
  });
  EXPECT_TRUE(met);
}

TEST(ThreadPool, NoMoreThreadsThanItHas) {
  ThreadPool pool(3);
  std::atomic<int> inside{0}, most{0};
  for (int job = 0; job < 500; ++job)
    pool.for_parts(16, [&](int64_t) {
      const int now = ++inside;
      int known = most;
      while (known < now && !most.compare_exchange_weak(known, now)) {
      }
      --inside;
    });
  EXPECT_LE(most, 3);
}

TEST(ThreadPool, AJobIsOverWhenRunReturns) {
  // The context dies with each job: a helper that came late would write into the next one's.
  ThreadPool pool(4);
  for (int job = 0; job < 20000; ++job) {
    std::atomic<int64_t> sum{0};
    pool.for_parts(3, [&](int64_t part) { sum += part + 1; });
    ASSERT_EQ(sum, 6);
  }
}

TEST(ThreadPool, RefusesNoThreads) {
  EXPECT_THROW(ThreadPool(0), UserError);
  EXPECT_THROW(ThreadPool(-3), UserError);
  EXPECT_THROW(ThreadPool(5000), UserError);
}

}  // namespace
}  // namespace qloom::runtime
