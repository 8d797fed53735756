// Real networks on several threads: equal bits for every split, and no memory asked for while they
// run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "bindings/cpp/load.h"
#include "graph/tensor.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "tests/models/model_files.h"
#include "tests/support/count_allocations.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

/// Inputs and outputs of a model for some samples.
struct Batch {
  Batch(const runtime::Program& program, int64_t samples, uint32_t seed) : samples(samples) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.25F, 0.7F);
    for (const runtime::Port& port : program.inputs) {
      x.emplace_back(static_cast<size_t>(samples * elements_per_sample(port.shape)));
      for (float& v : x.back()) v = normal(random);
    }
    for (const runtime::Port& port : program.outputs)
      y.emplace_back(static_cast<size_t>(samples * elements_per_sample(port.shape)), -1.5F);
    in.assign(x.begin(), x.end());
    out.assign(y.begin(), y.end());
  }
  Status run(runtime::Executor& executor) { return executor.run(in, out, samples); }
  [[nodiscard]] bool same_bits(const Batch& other) const {
    for (size_t i = 0; i < y.size(); ++i)
      if (std::memcmp(y[i].data(), other.y[i].data(), y[i].size() * sizeof(float)) != 0)
        return false;
    return true;
  }
  int64_t samples;
  std::vector<std::vector<float>> x, y;
  std::vector<std::span<const float>> in;
  std::vector<std::span<float>> out;
};

class ModelThreads : public ::testing::TestWithParam<const char*> {
 protected:
  static std::shared_ptr<const runtime::Model> compiled() {
    const ModelFile file =
        GetParam() == std::string("demo") ? demo_model() : shared_model(GetParam());
    return passes::compile(load_graph(file.path, file.weights)).model;
  }
};

TEST_P(ModelThreads, ShareASampleWithoutAnyDifference) {
  if (GetParam() != std::string("demo")) {
    QLOOM_NEEDS_SHARED();
  }
  const auto model = compiled();
  const bool can_share = std::ranges::any_of(model->program().calls, [](const runtime::Call& call) {
    return call.work_items > 1 && call.predicted_ns > 0;
  });
  EXPECT_TRUE(can_share || GetParam() == std::string("jets_mlp")) << "nothing is tested";
  for (int64_t samples = 1; samples <= 3; ++samples) {
    Batch expected(model->program(), samples, 5);
    runtime::Executor one(model, {.threads = 1});
    ASSERT_TRUE(expected.run(one).ok());
    for (int threads = 2; threads <= 4; ++threads) {
      runtime::Executor executor(model, {.threads = threads, .fork_ns = 0});
      if (samples == 1 && can_share) {
        EXPECT_GT(executor.shared_calls(samples), 0);
      }
      for (int repeat = 0; repeat < 3; ++repeat) {
        Batch batch(model->program(), samples, 5);
        ASSERT_TRUE(batch.run(executor).ok());
        EXPECT_TRUE(batch.same_bits(expected)) << samples << " samples, " << threads << " threads";
      }
    }
  }
}

TEST_P(ModelThreads, RunNeverAllocates) {
  if (GetParam() != std::string("demo")) {
    QLOOM_NEEDS_SHARED();
  }
  if (!counts_allocations()) GTEST_SKIP() << "nothing counts here";
  const auto model = compiled();
  for (const int threads : {1, 2, 3})
    for (const double fork_ns : {0.0, 1e9})
      for (const int64_t samples : {1, 2, 3, 17}) {
        runtime::Executor executor(model, {.threads = threads, .fork_ns = fork_ns});
        Batch batch(model->program(), samples, 3);
        const int64_t before = allocation_count();
        const bool ok = batch.run(executor).ok();
        const int64_t more = allocation_count() - before;
        EXPECT_EQ(more, 0) << samples << " samples, " << threads << " threads, fork " << fork_ns;
        EXPECT_TRUE(ok);
        EXPECT_GT(before, 0);
      }
}

INSTANTIATE_TEST_SUITE_P(Networks, ModelThreads,
                         ::testing::Values("demo", "digits_cnn_w4a4", "resnet8_w1a1",
                                           "resnet8_w2a2", "mobilenet_w4a4", "jets_mlp"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace qloom::testing
