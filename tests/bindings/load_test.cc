#include "bindings/cpp/load.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bindings/cpp/qloom.h"
#include "bindings/cpp/tuned.h"
#include "tests/support/paths.h"
#include "tests/support/scratch_folder.h"

namespace qloom {
namespace {

namespace fs = std::filesystem;

class Load : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("QLOOM_CACHE");
    fs::copy_file(testing::source_dir() / "tests/data/import/cnn.h5", folder_ / "cnn.h5");
    options_.cache_folder = (folder_ / "cache").string();
  }

  [[nodiscard]] std::string model_path() const { return (folder_ / "cnn.h5").string(); }

  /// Outputs for some inputs, as bits.
  static std::vector<std::vector<float>> run(const LoadedModel& loaded) {
    const runtime::Program& p = loaded.model->program();
    constexpr int64_t kSamples = 5;
    std::vector<std::vector<float>> inputs, outputs;
    std::vector<std::span<const float>> in;
    std::vector<std::span<float>> out;
    for (const auto& port : p.inputs) {
      inputs.emplace_back(static_cast<size_t>(kSamples * elements_per_sample(port.shape)));
      for (size_t i = 0; i < inputs.back().size(); ++i)
        inputs.back()[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 64.0f;
    }
    for (const auto& port : p.outputs)
      outputs.emplace_back(static_cast<size_t>(kSamples * elements_per_sample(port.shape)));
    for (const auto& v : inputs) in.emplace_back(v);
    for (auto& v : outputs) out.emplace_back(v);
    runtime::Executor executor(loaded.model);
    const Status status = executor.run(in, out, kSamples);
    EXPECT_TRUE(status.ok()) << status.message();
    return outputs;
  }

  [[nodiscard]] size_t entries() const {
    size_t n = 0;
    if (fs::exists(folder_ / "cache"))
      for (const auto& file : fs::directory_iterator(folder_ / "cache"))
        n += file.is_regular_file() && file.file_size() > 1000 ? 1 : 0;
    return n;
  }

  testing::ScratchFolder scratch_;
  fs::path folder_ = scratch_.path();
  LoadOptions options_;
};

TEST_F(Load, SecondTimeComesFromTheCacheAndYieldsTheSameBits) {
  const LoadedModel first = load_model(model_path(), options_);
  EXPECT_FALSE(first.from_cache);
  EXPECT_EQ(entries(), 1u);
  const LoadedModel second = load_model(model_path(), options_);
  EXPECT_TRUE(second.from_cache);
  EXPECT_TRUE(second.notices.empty()) << second.notices[0];
  EXPECT_EQ(second.model->program().to_text(), first.model->program().to_text());
  const auto a = run(first), b = run(second);
  EXPECT_EQ(a, b);
  LoadOptions plain = options_;
  plain.use_cache = false;
  const LoadedModel in_memory = load_model(model_path(), plain);
  EXPECT_FALSE(in_memory.from_cache);
  EXPECT_EQ(run(in_memory), a);
  EXPECT_GT(a[0].size(), 5u);
  EXPECT_NE(a[0].front(), a[0].back());
}

TEST_F(Load, ResultsAreThoseOfTheInterpreter) {
  const Graph graph = load_graph(model_path());
  const auto got = run(load_model(model_path(), options_));
  std::vector<Tensor> inputs;
  for (const ValueId v : graph.inputs()) {
    const Extents extents = qloom::bind(graph.type(v).shape, 5);
    std::vector<float> values(static_cast<size_t>(element_count(extents)));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 64.0f;
    inputs.emplace_back(extents, std::move(values));
  }
  const auto expected =
      interpret(graph, inputs, EvaluationOptions::preset("predict", Evaluation::canonical));
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const Tensor values = to_f32(expected[i]);
    EXPECT_EQ(got[i], std::vector<float>(values.f32().begin(), values.f32().end()));
  }
}

TEST_F(Load, WhatChangesTheModelChangesTheKey) {
  (void)load_model(model_path(), options_);
  LoadOptions other = options_;
  other.import.split_softmax = true;
  EXPECT_FALSE(load_model(model_path(), other).from_cache);
  EXPECT_TRUE(load_model(model_path(), other).from_cache);
  other = options_;
  other.import.evaluation = "eager";
  EXPECT_FALSE(load_model(model_path(), other).from_cache);
  other = options_;
  other.compile.target = jit::Target::portable();
  EXPECT_FALSE(load_model(model_path(), other).from_cache);
  other = options_;
  other.compile.disabled_kernels = {"conv_pairs"};
  const LoadedModel slow = load_model(model_path(), other);
  EXPECT_FALSE(slow.from_cache);
  EXPECT_EQ(run(slow), run(load_model(model_path(), options_)));
  std::ofstream(model_path(), std::ios::app | std::ios::binary) << "more bytes";
  EXPECT_FALSE(load_model(model_path(), options_).from_cache);
}

TEST_F(Load, TheTunedModelIsTheCachedOne) {
  const auto expected = run(load_model(model_path(), options_));
  LoadOptions tune = options_;
  tune.tune = true;
  tune.tune_seconds = 0.1;
  const LoadedModel tuned = load_model(model_path(), tune);
  EXPECT_FALSE(tuned.from_cache);
  EXPECT_NE(tuned.tuned.find("shapes timed"), std::string::npos) << tuned.tuned;
  EXPECT_EQ(tuned.tuned.find("not stored"), std::string::npos) << tuned.tuned;
  EXPECT_EQ(run(tuned), expected);
  const LoadedModel again = load_model(model_path(), options_);
  EXPECT_TRUE(again.from_cache);
  EXPECT_EQ(again.model->program().to_text(), tuned.model->program().to_text());
  tune.use_cache = false;
  const LoadedModel unkept = load_model(model_path(), tune);
  EXPECT_NE(unkept.tuned.find("not stored"), std::string::npos) << unkept.tuned;
  EXPECT_EQ(run(unkept), expected);
}

/// Times of one processor, kept beside the models, are used until they are damaged. Given, not
/// measured: which times tuning keeps depends on what else the machine does.
TEST_F(Load, StoredTimesAreUsedUntilTheyAreDamaged) {
  const jit::Target target = options_.compile.target;
  std::vector<std::string> notices;
  const auto regions = [&] {
    jit::Cache cache(options_.cache_folder);
    passes::CompileOptions compile;
    compile.times = stored_times(cache, target);
    notices = cache.notices();
    return passes::compile(load_graph(model_path()), compile).regions;
  };
  const auto tuned = [](const std::vector<passes::RegionReport>& all) {
    return std::count_if(all.begin(), all.end(), [](const auto& r) { return r.tuned; });
  };
  const auto predicted = regions();
  EXPECT_EQ(tuned(predicted), 0);
  const auto first = std::find_if(predicted.begin(), predicted.end(),
                                  [](const auto& r) { return !r.shape.empty(); });
  ASSERT_NE(first, predicted.end());
  passes::KernelTimes times;
  times.set(first->shape, {{first->kernel, first->variant, 0.25}});
  {
    jit::Cache cache(options_.cache_folder);
    EXPECT_TRUE(store_times(cache, target, times));
    EXPECT_EQ(*stored_times(cache, target), times);
    EXPECT_EQ(stored_times(cache, jit::Target::named("aarch64")), nullptr);  // another processor
    EXPECT_TRUE(cache.notices().empty());
  }
  const auto measured = regions();
  EXPECT_GT(tuned(measured), 0);
  for (const auto& r : measured) {
    if (r.tuned) {
      EXPECT_EQ(r.predicted_ns, 0.25) << r.name;
    }
  }
  // What is tuned later is added to it.
  LoadOptions tune = options_;
  tune.tune = true;
  tune.tune_seconds = 0.1;
  (void)load_model(model_path(), tune);
  int damaged = 0;
  // Damage: compiled models begin as ELF files do, times do not.
  for (const auto& file : fs::directory_iterator(folder_ / "cache")) {
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    if (bytes.peek() == 0x7f) continue;
    bytes.seekp(40);
    bytes.put('\n');
    ++damaged;
  }
  EXPECT_EQ(damaged, 1);
  EXPECT_EQ(tuned(regions()), 0);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].find("is damaged"), std::string::npos) << notices[0];
}

TEST_F(Load, AnUnusableCacheMeansCompilingInMemory) {
  options_.cache_folder = (folder_ / "cnn.h5" / "inside").string();  // below a file
  const LoadedModel loaded = load_model(model_path(), options_);
  EXPECT_FALSE(loaded.from_cache);
  ASSERT_FALSE(loaded.notices.empty());
  LoadOptions plain;
  plain.use_cache = false;
  EXPECT_EQ(run(loaded), run(load_model(model_path(), plain)));
}

TEST_F(Load, AStoreThatFailsMeansCompilingInMemory) {
  const auto expected = run(load_model(model_path(), options_));
  fs::remove_all(folder_ / "cache");
  // No file may grow beyond 4 KiB: what a full disk looks like to a writer.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const LoadedModel loaded = load_model(model_path(), options_);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(loaded.from_cache);
  EXPECT_FALSE(loaded.notices.empty());
  EXPECT_EQ(entries(), 0u);
  EXPECT_EQ(run(loaded), expected);
}

TEST_F(Load, ADamagedEntryIsCompiledAnew) {
  const auto expected = run(load_model(model_path(), options_));
  for (const auto& file : fs::directory_iterator(folder_ / "cache"))
    if (file.is_regular_file() && file.file_size() > 1000) {
      std::fstream f(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      f.seekp(static_cast<std::streamoff>(file.file_size() / 2));
      f.write("\x55\xaa\x55\xaa", 4);
    }
  const LoadedModel again = load_model(model_path(), options_);
  EXPECT_FALSE(again.from_cache);
  EXPECT_EQ(run(again), expected);
}

TEST_F(Load, MissingAndBrokenFilesSaySo) {
  EXPECT_THROW((void)load_model((folder_ / "none.h5").string(), options_), UserError);
  EXPECT_THROW((void)load_model(folder_.string(), options_), UserError);
  std::ofstream(folder_ / "text.h5") << "no model";
  EXPECT_THROW((void)load_model((folder_ / "text.h5").string(), options_), UserError);
  EXPECT_EQ(entries(), 0u);
}

}  // namespace
}  // namespace qloom
