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
      std::atomic<int> bad_worker{0};
      pool.run(parts, [&](int64_t part, int worker) {
        ++done[static_cast<size_t>(part)];
        if (worker < 0 || worker >= threads) ++bad_worker;
      });
      for (const auto& count : done) ASSERT_EQ(count, 1);
      EXPECT_EQ(bad_worker, 0);
    }
  }
}

TEST(ThreadPool, JobsFollowEachOtherAndSeeEachOthersWrites) {
  ThreadPool pool(4);
  std::vector<uint64_t> values(64, 0);
  for (int64_t job = 0; job < 3000; ++job) {
    pool.run(64, [&](int64_t part, int) {
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
  pool.run(2, [&](int64_t, int) {
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

TEST(ThreadPool, AWorkerIsNeverTwoThreadsAtOnce) {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> busy(4);
  std::atomic<int> clashes{0};
  for (int job = 0; job < 200; ++job)
    pool.run(32, [&](int64_t, int worker) {
      if (busy[static_cast<size_t>(worker)].fetch_add(1) != 0) ++clashes;
      busy[static_cast<size_t>(worker)].fetch_sub(1);
    });
  EXPECT_EQ(clashes, 0);
}

TEST(ThreadPool, RefusesNoThreads) {
  EXPECT_THROW(ThreadPool(0), UserError);
  EXPECT_THROW(ThreadPool(-3), UserError);
  EXPECT_THROW(ThreadPool(5000), UserError);
}

}  // namespace
}  // namespace qloom::runtime
