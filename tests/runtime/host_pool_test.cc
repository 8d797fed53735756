// Pools that a host might hand in: executors need no more of them than ParallelFor says.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "runtime/executor.h"
#include "tests/runtime/small_program.h"

namespace qloom::runtime {
namespace {

/// All parts on the caller's thread, the last one first.
class Backwards final : public ParallelFor {
 public:
  void run(int64_t parts, Body body, void* context) noexcept override {
    ++jobs;
    for (int64_t part = parts - 1; part >= 0; --part) body(context, part);
  }
  int jobs = 0;
};

/// A thread for each part, none of them the caller's: more at once than the executor has arenas.
class ThreadEach final : public ParallelFor {
 public:
  void run(int64_t parts, Body body, void* context) noexcept override {
    ++jobs;
    std::vector<std::thread> threads;
    for (int64_t part = 0; part < parts; ++part) threads.emplace_back(body, context, part);
    for (std::thread& thread : threads) thread.join();
  }
  std::atomic<int> jobs{0};
};

void expect_right(const std::shared_ptr<const Model>& model, ExecutorOptions options) {
  Executor executor(model, options);
  for (const int64_t samples : {1, 2, 3, 40, 200}) {
    SmallBatch batch(samples);
    const Status status = batch.run(executor);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(batch.mixed, small_result(batch.x, batch.y)) << samples << " samples";
  }
}

template <class Pool>
void check_pool() {
  for (Program program : {small_program(), shared_program()}) {
    const auto model = std::make_shared<Model>(std::move(program), small_code());
    Pool pool;
    for (const int threads : {2, 3})
      expect_right(model, {.threads = threads, .tile = 8, .pool = &pool, .fork_ns = 0});
    EXPECT_GT(pool.jobs, 0);
    const int jobs = pool.jobs;
    expect_right(model, {.threads = 1, .tile = 8, .pool = &pool});
    EXPECT_EQ(pool.jobs, jobs) << "one thread needs no pool";
  }
}

TEST(HostPool, MayRunAllPartsOnOneThread) { check_pool<Backwards>(); }
TEST(HostPool, MayRunMorePartsAtOnceThanThereAreArenas) { check_pool<ThreadEach>(); }

TEST(HostPool, MayBeSharedByExecutors) {
  const auto model = std::make_shared<Model>(shared_program(), small_code());
  ThreadEach pool;
  std::vector<std::thread> hosts;
  for (int i = 0; i < 3; ++i)
    hosts.emplace_back(
        [&] { expect_right(model, {.threads = 2, .tile = 8, .pool = &pool, .fork_ns = 0}); });
  for (std::thread& host : hosts) host.join();
}

/// A thread besides the caller's that has no time until `awake`.
class Late final : public ParallelFor {
 public:
  void run(int64_t parts, Body body, void* context) noexcept override {
    if (awake) return threads_.run(parts, body, context);
    for (int64_t part = 0; part < parts; ++part) body(context, part);
  }
  bool awake = false;

 private:
  ThreadEach threads_;
};

TEST(HostPool, ThreadsThatComeLateAreAskedAgain) {
  Late pool;
  Executor executor(std::make_shared<Model>(shared_program(), small_code()),
                    {.threads = 2, .pool = &pool});
  EXPECT_TRUE(std::isinf(executor.fork_ns()));
  EXPECT_EQ(executor.shared_calls(1), 0);
  pool.awake = true;
  SmallBatch batch(1);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(batch.run(executor).ok());
  EXPECT_FALSE(std::isinf(executor.fork_ns()));
}

TEST(HostPool, ForkIsMeasuredWhereItMatters) {
  Backwards pool;
  const Executor shared(std::make_shared<Model>(shared_program(), small_code()),
                        {.threads = 2, .pool = &pool});
  EXPECT_GT(pool.jobs, 0);
  EXPECT_GT(shared.fork_ns(), 1000) << "a pool of one thread takes twice as long as two would";
  Backwards other;
  const Executor tiles(std::make_shared<Model>(small_program(), small_code()),
                       {.threads = 2, .pool = &other});
  EXPECT_EQ(other.jobs, 0) << "nothing to share";
}

}  // namespace
}  // namespace qloom::runtime
