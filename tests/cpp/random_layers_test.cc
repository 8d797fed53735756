// Random arguments of every layer: the interpreter (canonical evaluation) against the compiled
// network. QLOOM_TEST_SEED=N begins at another seed; a failure prints the command that replays it.
#include "tests/cpp/random_layers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>

#include "bindings/golden/compare.h"
#include "bindings/import/layer.h"
#include "bindings/import/layers_table.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "runtime/executor.h"
#include "tests/passes/run_model.h"
#include "tests/support/random_graph.h"

namespace qloom::test {
namespace {

/// What is checked just now, for the handler of a crash.
char current[200];

extern "C" void say_what_crashed(int signal) {
  static_cast<void>(!write(STDERR_FILENO, current, std::strlen(current)));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

uint64_t first_seed() {
  const char* text = std::getenv("QLOOM_TEST_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

std::string replay(uint64_t seed, const std::string& text) {
  return join_text(text, "\n  replay: QLOOM_TEST_SEED=", seed,
                   " build/release/bin/qloom-test-cpp --gtest_filter=RandomLayers.One");
}

/// The reference kernels that may be left, see kernels/README.md.
constexpr std::string_view kLeft[] = {"reference_conv", "reference_quantize"};

void check_calls(const RandomLayer& layer, const Graph& graph, const passes::Compilation& compiled,
                 int64_t samples, uint64_t seed, const std::string& text) {
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  runtime::Executor executor(compiled.model,
                             {.threads = 1 + static_cast<int>(seed / 5 % 2), .tile = 2});
  State state;
  for (uint64_t call = 0; call < (layer.stateful ? 3U : 1U); ++call) {
    const std::vector<Tensor> inputs = layer.inputs(graph, samples, seed + call * 1000003);
    const auto want = interpret(graph, inputs, options, {}, &state);
    const auto got = golden::run_executor(executor, compiled.program, inputs);
    ASSERT_EQ(got.size(), want.size());
    for (size_t k = 0; k < got.size(); ++k)
      expect_equal_or_ulps(got[k], to_f32(want[k]),
                           replay(seed, join_text(text, ", call ", call, ", output ", k)));
  }
}

void check(uint64_t seed) {
  std::optional<RandomLayer> layer;
  std::string text;
  try {
    layer.emplace(random_layer(seed));
    text = layer->text;
    const Graph graph = layer->graph();
    const auto samples = static_cast<int64_t>(1 + seed % 5);
    const passes::Compilation compiled = passes::compile(graph.clone());
    for (const passes::RegionReport& region : compiled.regions)
      EXPECT_TRUE(!region.kernel.starts_with("reference_") ||
                  std::ranges::find(kLeft, region.kernel) != std::end(kLeft))
          << replay(seed, join_text(text, ": ", region.name, " runs on ", region.kernel));
    check_calls(*layer, graph, compiled, samples, seed, text);
  } catch (const std::exception& e) {
    FAIL() << replay(seed, join_text(text, ": ", e.what()));
  }
}

/// Failures of the running test so far.
int failed_parts() {
  const auto* result = ::testing::UnitTest::GetInstance()->current_test_info()->result();
  int failed = 0;
  for (int i = 0; i < result->total_part_count(); ++i)
    failed += result->GetTestPartResult(i).failed() ? 1 : 0;
  return failed;
}

/// `count` seeds from `first` on; stops at the tenth failure.
void check_many(uint64_t first, int count) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
    std::signal(signal, say_what_crashed);
  int failures = 0;
  for (int i = 0; i < count && failures < 10; ++i) {
    const uint64_t seed = first + static_cast<uint64_t>(i);
    std::snprintf(current, sizeof current, "crashed%s\n", replay(seed, "").c_str());
    const int before = failed_parts();
    check(seed);
    failures += failed_parts() > before ? 1 : 0;
  }
}

TEST(RandomLayers, One) { check_many(first_seed(), 1); }
TEST(RandomLayers, AgreeWithTheInterpreter) { check_many(first_seed(), 200); }

/// 10,000 in pieces, which run side by side.
class RandomLayersLong : public ::testing::TestWithParam<int> {};
TEST_P(RandomLayersLong, AgreeWithTheInterpreter) {
  constexpr int kPiece = 500;
  check_many(first_seed() + static_cast<uint64_t>(GetParam()) * kPiece, kPiece);
}
INSTANTIATE_TEST_SUITE_P(Pieces, RandomLayersLong, ::testing::Range(0, 20));

TEST(RandomLayers, AreDrawnFromEveryClass) {
  std::map<std::string, int> seen;
  for (uint64_t seed = 1; seed <= 2000; ++seed) ++seen[random_layer_class(seed)];
  for (const std::string& name : random_layer_classes())
    EXPECT_GT(seen[name], 5) << name << " was hardly drawn";
}

/// Classes without random arguments are named here, with the reason.
TEST(RandomLayers, AreOfEveryClass) {
  const std::vector<std::string_view> left_out{"InputLayer",
                                               "TFOpLambda",
                                               "ops.Add",
                                               "ops.Subtract",
                                               "ops.Multiply",  // no layers
                                               "Dropout",
                                               "SpatialDropout1D",
                                               "SpatialDropout2D",
                                               "GaussianNoise",
                                               "GaussianDropout",
                                               "AlphaDropout",
                                               "ActivityRegularization",
                                               "Identity"};  // nothing at inference
  const auto drawn = random_layer_classes();
  for (const keras::LayerDef* def : keras::layers::all_layers())
    for (const std::string_view name : def->class_names)
      EXPECT_TRUE(std::ranges::find(drawn, name) != drawn.end() ||
                  std::ranges::find(left_out, name) != left_out.end())
          << name << " has no maker in random_layers.cc";
}

}  // namespace
}  // namespace qloom::test
