// Batches too small for a tile on each thread: threads share the work items of each call.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "runtime/executor.h"
#include "tests/runtime/small_program.h"
#include "tests/support/count_allocations.h"

namespace qloom::runtime {
namespace {

std::shared_ptr<const Model> shared_model() {
  return std::make_shared<Model>(shared_program(), small_code());
}

TEST(SharedCalls, EqualForAnyThreadsAndBatch) {
  const auto model = shared_model();
  for (const int threads : {1, 2, 3, 4, 7})
    for (int64_t samples = 1; samples <= 9; ++samples) {
      Executor executor(model, {.threads = threads, .tile = 16, .fork_ns = 0});
      for (uint64_t seed = 0; seed < 5; ++seed) {
        SmallBatch batch(samples, seed);
        ASSERT_TRUE(batch.run(executor).ok());
        ASSERT_EQ(batch.mixed, small_result(batch.x, batch.y))
            << samples << " samples, " << threads << " threads";
      }
    }
}

TEST(SharedCalls, OnlyWhatIsPredictedToPay) {
  const auto model = shared_model();  // 1000 and 500 ns a sample
  const auto calls = [&](int threads, double fork_ns, int64_t samples) {
    return Executor(model, {.threads = threads, .fork_ns = fork_ns}).shared_calls(samples);
  };
  EXPECT_EQ(calls(2, 0, 1), 2);
  EXPECT_EQ(calls(2, 251, 1), 1) << "half of 500 ns is less than a fork";
  EXPECT_EQ(calls(2, 501, 1), 0);
  EXPECT_EQ(calls(1, 0, 1), 0);
  EXPECT_EQ(calls(2, 0, 2), 0) << "a sample for each thread";
  EXPECT_EQ(calls(2, 0, 64), 0);
  EXPECT_EQ(calls(2, 0, 3), 2) << "one thread would wait for the other's second sample";
  EXPECT_EQ(calls(4, 0, 3), 2);
  EXPECT_EQ(calls(4, 2000, 3), 0);
  Program program = shared_program();
  program.whole_batch = true;
  const Executor whole(std::make_shared<Model>(std::move(program), small_code()),
                       {.threads = 2, .fork_ns = 0});
  EXPECT_EQ(whole.shared_calls(1), 0);
}

TEST(SharedCalls, BadValuesAreNamed) {
  Executor executor(shared_model(), {.threads = 4, .fork_ns = 0});
  SmallBatch batch(3);
  batch.x[11] = std::numeric_limits<float>::infinity();
  const Status status = batch.run(executor);
  EXPECT_EQ(status.code(), StatusCode::not_finite);
  EXPECT_NE(std::string(status.message()).find("sample 2, index 1"), std::string::npos)
      << status.message();
}

TEST(SharedCalls, ProfilesAndTraces) {
  Trace trace(100);
  Executor executor(shared_model(), {.threads = 2, .profile = true, .trace = &trace, .fork_ns = 0});
  SmallBatch batch(1);
  ASSERT_TRUE(batch.run(executor).ok());
  ASSERT_EQ(trace.events().size(), 2U);
  EXPECT_EQ(trace.events()[1].call, 1);
  EXPECT_EQ(trace.events()[1].samples, 1);
  EXPECT_GT(executor.measured_ns()[0], 0);
  EXPECT_GT(executor.measured_ns()[1], 0);
}

TEST(SharedCalls, RunNeverAllocates) {
  if (!counts_allocations()) GTEST_SKIP() << "nothing counts here";
  Executor executor(shared_model(), {.threads = 3, .profile = true, .fork_ns = 0});
  SmallBatch one(1), two(2);
  ASSERT_GT(executor.shared_calls(1), 0);
  const int64_t before = allocation_count();
  EXPECT_GT(before, 0) << "the counter does not count";
  const bool ok = one.run(executor).ok() && two.run(executor).ok();
  EXPECT_EQ(allocation_count() - before, 0);
  EXPECT_TRUE(ok);
}

}  // namespace
}  // namespace qloom::runtime
