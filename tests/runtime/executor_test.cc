#include "runtime/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "graph/support/error.h"
#include "tests/runtime/small_program.h"
#include "tests/support/count_allocations.h"

namespace qloom::runtime {
namespace {

std::shared_ptr<const Model> small_model() {
  return std::make_shared<Model>(small_program(), small_code());
}

using Batch = SmallBatch;

TEST(Executor, EqualForAnyThreadsTileAndSplit) {
  const auto model = small_model();
  for (const int64_t samples : {1, 2, 7, 8, 9, 63, 64, 65, 200, 1000})
    for (const int threads : {1, 2, 3, 4})
      for (const int64_t tile : {0, 1, 3, 8, 64, 129}) {
        Executor executor(model, {.threads = threads, .tile = tile});
        Batch batch(samples);
        const Status status = batch.run(executor);
        ASSERT_TRUE(status.ok()) << status.message();
        ASSERT_EQ(batch.mixed, small_result(batch.x, batch.y))
            << samples << " samples, " << threads << " threads, tile " << tile;
        // The second half alone, on the same executor.
        Batch half(samples - samples / 2);
        half.x.assign(batch.x.begin() + samples / 2 * kElements, batch.x.end());
        half.y.assign(batch.y.begin() + samples / 2 * kElements, batch.y.end());
        ASSERT_TRUE(half.run(executor).ok());
        ASSERT_TRUE(std::equal(half.mixed.begin(), half.mixed.end(),
                               batch.mixed.begin() + samples / 2 * kOutputs));
      }
}

TEST(Executor, TwoExecutorsOnOneModel) {
  const auto model = small_model();
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (uint64_t t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      Executor executor(model, {.threads = 2, .tile = 8});
      for (uint64_t i = 0; i < 50; ++i) {
        Batch batch(100 + static_cast<int64_t>(i), 10 * t + i);
        if (!batch.run(executor).ok() || batch.mixed != small_result(batch.x, batch.y)) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Executor, NamesTheFirstValueThatIsNotFinite) {
  const auto model = small_model();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const int threads : {1, 4})
    for (const int64_t tile : {1, 8, 64}) {
      Executor executor(model, {.threads = threads, .tile = tile});
      Batch batch(300);
      batch.x[static_cast<size_t>(271 * kElements)] = nan;
      batch.x[static_cast<size_t>(17 * kElements + 3)] = -infinity;
      batch.x[static_cast<size_t>(17 * kElements + 4)] = nan;
      const Status status = batch.run(executor);
      EXPECT_EQ(status.code(), StatusCode::not_finite);
      EXPECT_STREQ(status.message(),
                   "input 'x', sample 17, index 3: the value -inf cannot be quantized");
      batch.x = numbers(300 * kElements, 1);
      EXPECT_TRUE(batch.run(executor).ok()) << "a refused batch leaves no trace";
      EXPECT_EQ(batch.mixed, small_result(batch.x, batch.y));
    }
}

TEST(Executor, LargestAndSmallestFloatsAreFinite) {
  Executor executor(small_model());
  Batch batch(100);
  for (size_t i = 0; i < batch.x.size(); i += 3) batch.x[i] = std::numeric_limits<float>::max();
  for (size_t i = 1; i < batch.x.size(); i += 3)
    batch.x[i] = -std::numeric_limits<float>::denorm_min();
  EXPECT_TRUE(batch.run(executor).ok());
}

TEST(Executor, AnInputThatIsNotQuantizedMayHoldAnything) {
  Executor executor(small_model());
  Batch batch(3);
  batch.y[7] = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(batch.run(executor).ok());
  EXPECT_TRUE(std::isnan(batch.mixed[3]) || std::isinf(batch.mixed[3]));
  EXPECT_EQ(batch.mixed[0], small_result(batch.x, batch.y)[0]);
}

TEST(Executor, WrongSizesAreRefused) {
  Executor executor(small_model());
  Batch batch(4);
  const std::span<const float> in[] = {batch.x, batch.y};
  const std::span<float> out[] = {batch.mixed};
  const auto message = [&](auto inputs, auto outputs, int64_t samples) {
    const Status status = executor.run(inputs, outputs, samples);
    EXPECT_EQ(status.code(), StatusCode::invalid_argument);
    return std::string(status.message());
  };
  using In = std::span<const std::span<const float>>;
  using Out = std::span<const std::span<float>>;
  EXPECT_EQ(message(In(in, 1), Out(out), 4), "model 'small' has 2 inputs, given are 1");
  EXPECT_EQ(message(In(in), Out(), 4), "model 'small' has 1 outputs, given are 0");
  EXPECT_EQ(message(In(in), Out(out), 5),
            "input 'x' has 5 elements per sample: 5 samples need 25, given are 20");
  EXPECT_EQ(message(In(in), Out(out), -1), "-1 samples");
  EXPECT_EQ(message(In(in), Out(out), std::numeric_limits<int64_t>::max()).substr(0, 9),
            "input 'x'");
  const std::span<float> short_out[] = {std::span<float>(batch.mixed).first(11)};
  EXPECT_EQ(message(In(in), Out(short_out), 4),
            "output 'mixed' has 3 elements per sample: 4 samples need 12, given are 11");
  EXPECT_TRUE(batch.run(executor).ok());
  Batch none(0);
  EXPECT_TRUE(none.run(executor).ok());
  EXPECT_THROW(Executor(small_model(), {.threads = 0}), UserError);
  EXPECT_THROW(Executor(small_model(), {.tile = -1}), UserError);
}

TEST(Executor, AMovedFromExecutorSaysSo) {
  Executor executor(small_model());
  Executor other = std::move(executor);
  Batch batch(4);
  EXPECT_TRUE(batch.run(other).ok());
  EXPECT_FALSE(batch.run(executor).ok());  // NOLINT(bugprone-use-after-move): what is tested
}

TEST(Executor, RunNeverAllocates) {
  if (!counts_allocations()) GTEST_SKIP() << "the sanitizer has its own operator new";
  const auto model = small_model();
  EXPECT_GT(allocation_count(), 0) << "the counter does not count";
  for (const int threads : {1, 3}) {
    Executor executor(model, {.threads = threads, .tile = 8, .profile = true});
    Batch good(100), bad(100);
    bad.x[77] = std::numeric_limits<float>::quiet_NaN();
    const int64_t before = allocation_count();
    const bool good_ok = good.run(executor).ok();
    const bool bad_ok = bad.run(executor).ok();
    const bool sizes_ok = executor.run({}, {}, 3).ok();
    EXPECT_EQ(allocation_count() - before, 0);
    EXPECT_TRUE(good_ok);
    EXPECT_FALSE(bad_ok);
    EXPECT_FALSE(sizes_ok);
  }
}

TEST(Executor, ProfileMeasuresEachCall) {
  Executor executor(small_model(), {.threads = 2, .profile = true});
  Batch batch(2000);
  EXPECT_EQ(executor.measured_ns()[0], 0);
  ASSERT_TRUE(batch.run(executor).ok());
  ASSERT_EQ(executor.measured_ns().size(), 2u);
  const double first = executor.measured_ns()[0];
  EXPECT_GT(first, 0);
  EXPECT_LT(first, 1e6);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(batch.run(executor).ok());
  EXPECT_LE(executor.measured_ns()[0], first);
}

TEST(Executor, WholeBatchIsOneTileAndGrows) {
  Program program = small_program();
  program.whole_batch = true;
  const auto model = std::make_shared<Model>(std::move(program), small_code());
  Executor executor(model, {.threads = 3, .tile = 8});
  EXPECT_EQ(executor.tile(), 0);
  for (const int64_t samples : {3, 500, 20, 4000}) {
    Batch batch(samples);
    ASSERT_TRUE(batch.run(executor).ok());
    EXPECT_EQ(batch.mixed, small_result(batch.x, batch.y));
  }
}

TEST(Executor, AnOutputMayBeAnInput) {
  Program program = small_program();
  program.outputs.push_back(program.inputs[0]);
  program.outputs.back().name = "copy";
  program.buffers[0].last_use = 2;
  const auto model = std::make_shared<Model>(std::move(program), small_code());
  Executor executor(model, {.threads = 2, .tile = 8});
  Batch batch(100);
  std::vector<float> copy(batch.x.size());
  const std::span<const float> in[] = {batch.x, batch.y};
  const std::span<float> out[] = {batch.mixed, copy};
  ASSERT_TRUE(executor.run(in, out, 100).ok());
  EXPECT_EQ(copy, batch.x);
  EXPECT_EQ(batch.mixed, small_result(batch.x, batch.y));
}

TEST(Executor, TheChosenTileFollowsTheArena) {
  EXPECT_EQ(Executor(small_model()).tile(), 256);
  Program program = small_program();
  program.arena_bytes_per_sample = 1 << 26;
  EXPECT_EQ(Executor(std::make_shared<Model>(std::move(program), small_code())).tile(), 1);
}

#if defined(__x86_64__)
TEST(Executor, SetsAndRestoresTheFloatMode) {
  // Results do not depend on the caller's rounding and denormal mode, which comes back as it was.
  const unsigned before = _mm_getcsr();
  const unsigned odd = 0x1f80 | 0x8040 | 0x6000;  // flush to zero, denormals are zero, truncate
  Executor executor(small_model());
  Batch batch(9);
  _mm_setcsr(odd);
  const Status status = batch.run(executor);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(after & ~0x3fu, odd);
  EXPECT_EQ(batch.mixed, small_result(batch.x, batch.y));
}
#endif

TEST(Model, MissingFunctionsAreNamed) {
  const auto message = [](Program program, std::shared_ptr<const jit::Code> code) {
    try {
      const Model model(std::move(program), std::move(code));
    } catch (const InternalError& error) {
      return std::string(error.what());
    }
    return std::string("nothing thrown");
  };
  Program program = small_program();
  program.calls[1].symbol = "other";
  EXPECT_NE(message(program, small_code()).find("no function other"), std::string::npos);
  EXPECT_NE(message(small_program(), nullptr).find("needs the function scale"), std::string::npos);
}

TEST(Model, ConstantsAreAligned) {
  const Model model(small_program(), small_code());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(model.constants()) % 64, 0u);
  EXPECT_EQ(std::vector<uint8_t>(model.constants(), model.constants() + 84),
            model.program().constants);
}

TEST(Executor, TraceHasAnEventForEachCallOnEachTile) {
  Trace trace(16);
  const auto model = small_model();
  Executor executor(model, {.threads = 2, .tile = 8, .trace = &trace});
  Batch batch(20);
  ASSERT_TRUE(batch.run(executor).ok());
  const int64_t calls = static_cast<int64_t>(model->program().calls.size());
  std::vector<int64_t> samples(static_cast<size_t>(calls), 0);
  for (const TraceEvent& e : trace.events()) {
    ASSERT_TRUE(e.call >= 0 && e.call < calls && e.worker >= 0 && e.worker < 2);
    EXPECT_LE(e.start_ns, e.end_ns);
    EXPECT_TRUE(e.first >= 0 && e.first + e.samples <= 20);
    samples[static_cast<size_t>(e.call)] += e.samples;
  }
  EXPECT_EQ(samples, std::vector<int64_t>(static_cast<size_t>(calls), 20));
  EXPECT_EQ(trace.dropped(), 0U);
  const size_t once = trace.events().size();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(batch.run(executor).ok());
  EXPECT_EQ(trace.events().size(), 16U);
  EXPECT_EQ(trace.dropped(), 5 * once - 16);
  trace.clear();
  EXPECT_TRUE(trace.events().empty());
}

}  // namespace
}  // namespace qloom::runtime
