// Chains: calls that one function makes.
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "graph/support/error.h"
#include "jit/target.h"
#include "passes/compile.h"
#include "runtime/trace.h"
#include "tests/passes/networks.h"
#include "tests/passes/run_model.h"
#include "tests/support/random_graph.h"

namespace qloom::test {
namespace {

constexpr const char* kWeights = "quantized_bits(4,0,1,alpha=1)";
constexpr const char* kActivation = "quantized_relu(4,1)";

passes::Compilation compiled_mlp(int64_t tile = 0, bool chains = true) {
  passes::CompileOptions options;
  options.chains = chains;
  options.chain_tile = tile;
  return passes::compile(mlp(kWeights, kActivation), options);
}

TEST(Chains, SmallNetworksAreOneFunction) {
  for (const Graph& graph : {mlp(kWeights, kActivation), small_cnn(kWeights, kActivation)}) {
    const passes::Compilation compiled = passes::compile(graph.clone());
    ASSERT_EQ(compiled.program.chains.size(), 1U) << compiled.program.to_text();
    const runtime::Chain& chain = compiled.program.chains[0];
    EXPECT_EQ(chain.first, 0);
    EXPECT_EQ(chain.last, static_cast<int>(compiled.program.calls.size()));
    ASSERT_EQ(compiled.chains.size(), 1U);
    EXPECT_EQ(compiled.chains[0].regions.size(), compiled.program.calls.size());
    EXPECT_LT(compiled.chains[0].predicted_ns, compiled.chains[0].apart_ns);
    // What lies between the calls is the chain's own.
    EXPECT_EQ(chain.call.buffers.size(), 4U);  // input, constants, output, scratch
  }
  EXPECT_TRUE(compiled_mlp(0, false).program.chains.empty());
}

TEST(Chains, AnyTileAnyBatchAndAnyThreadsGiveTheSameBits) {
  for (const Graph& graph : {mlp(kWeights, kActivation), small_cnn(kWeights, kActivation),
                             residual_block(kWeights, kActivation), float_functions("tanh")})
    for (const int64_t tile : {1, 3, 8}) {
      passes::CompileOptions options;
      options.chain_tile = tile;
      const passes::Compilation compiled = passes::compile(graph.clone(), options);
      ASSERT_EQ(compiled.program.chains.size(), 1U);
      for (const int64_t samples : {1, 2, 7, 8, 19}) {
        const auto inputs = random_inputs(graph, samples, 5);
        const auto want = reference(graph, inputs);
        for (const auto& [threads, executor_tile] :
             {std::pair<int, int64_t>{1, 0}, {1, 5}, {2, 4}, {3, 0}}) {
          const auto got = run_model(compiled, inputs, samples, threads, executor_tile);
          for (size_t i = 0; i < want.size(); ++i)
            expect_equal_or_ulps(
                got[i], want[i],
                "tiles of " + std::to_string(tile) + ", " + std::to_string(samples) + " samples");
        }
      }
    }
}

TEST(Chains, DenseLayersWithSamplesInTheLanesGiveTheSameBits) {
  constexpr int64_t kWidths[] = {1, 3, 5, 8, 16, 17, 24, 32, 33, 64};
  constexpr const char* kActivations[] = {"quantized_relu(4,1)", "quantized_relu(6,0)",
                                          "quantized_bits(5,1,1,alpha=1)",
                                          "quantized_bits(3,0,0,alpha=1)"};
  constexpr const char* kKernels[] = {"quantized_bits(6,0,1,alpha=1)", "quantized_bits(3,0,1)",
                                      "quantized_bits(8,2,1,alpha=1)"};
  const jit::Target target = jit::Target::host();
  int fused = 0;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    testing::Random r(seed);
    std::vector<int64_t> widths{seed % 2 == 0 ? 16 * r.integer(1, 4) : r.pick(kWidths)};
    for (int64_t i = 0, n = r.integer(2, 4); i < n; ++i) widths.push_back(r.pick(kWidths));
    const Graph graph = dense_layers(widths, r.pick(kKernels), r.pick(kActivations), seed);
    passes::CompileOptions options;
    options.chain_tile = r.pick(std::array<int64_t, 3>{16, 40, 64});
    const passes::Compilation compiled = passes::compile(graph.clone(), options);
    ASSERT_EQ(compiled.chains.size(), 1U);
    fused += compiled.chains[0].fused.empty() ? 0 : 1;
    for (const int64_t samples : {1, 15, 16, 17, 75}) {
      const auto inputs = random_inputs(graph, samples, seed);
      const auto got = run_model(compiled, inputs, samples, 1, 128);
      expect_equal(got[0], reference(graph, inputs)[0],
                   "seed " + std::to_string(seed) + ", " + std::to_string(samples) + " samples");
      ASSERT_TRUE(got[0].same_bits(run_model(compiled, inputs, samples, 2, 33)[0])) << seed;
    }
  }
  if (target.has_dot()) {
    EXPECT_GE(fused, 8);
  }
}

/// Functions of runs, `where` their samples lie, in networks of few bits.
void check_sliced_runs(const jit::Target& target, uint64_t first_seed, uint64_t end_seed) {
  constexpr int64_t kWidths[] = {1, 3, 5, 8, 15, 16, 17, 24, 32, 33, 64, 100};
  constexpr const char* kActivations[] = {"binary(alpha=1)",
                                          "ternary(alpha=1,threshold=0.5)",
                                          "quantized_relu(1)",
                                          "quantized_relu(2,1)",
                                          "quantized_relu(4,2)",
                                          "quantized_bits(3,1,1,alpha=1)",
                                          "quantized_bits(2,0,0,alpha=1)"};
  constexpr const char* kKernels[] = {"binary(alpha=1)", "ternary(alpha=1,threshold=0.33)",
                                      "quantized_bits(2,0,1,alpha=1)",
                                      "quantized_bits(3,0,0,alpha=1)", "binary(use_01=1,alpha=1)"};
  int fused = 0;
  for (uint64_t seed = first_seed; seed < end_seed; ++seed) {
    testing::Random r(seed);
    std::vector<int64_t> widths;
    for (int64_t i = 0, n = r.integer(3, 5); i < n; ++i) widths.push_back(r.pick(kWidths));
    widths.back() = r.integer(1, 12);
    const Graph graph = dense_layers(widths, r.pick(kKernels), r.pick(kActivations), seed);
    passes::CompileOptions options;
    options.target = target;
    options.chain_tile = r.pick(std::array<int64_t, 3>{256, 600, 1000});
    // With the quantizer of inputs, or from the first or second layer on.
    const std::string begin = r.pick(std::array<const char*, 3>{"in_q", "fc1/dense", "fc2/dense"});
    const passes::Compilation plain = passes::compile(graph.clone(), options);
    ASSERT_EQ(plain.chains.size(), 1U);
    const auto& names = plain.chains[0].regions;
    for (const std::string& name : names)
      if (name.find(begin.substr(0, 3)) == 0) options.pinned = {{name, "dense_sliced"}};
    const passes::Compilation compiled = passes::compile(graph.clone(), options);
    const auto& runs = compiled.chains[0].fused;
    fused += !runs.empty() && runs[0].find("in the bits") != std::string::npos ? 1 : 0;
    for (const int64_t samples : {1, 255, 256, 300, 511, 530, 1000}) {
      const auto inputs = random_inputs(graph, samples, seed);
      const auto got = run_model(compiled, inputs, samples, 1, 1000);
      expect_equal(got[0], reference(graph, inputs)[0],
                   "seed " + std::to_string(seed) + ", " + std::to_string(samples) + " samples");
    }
  }
  EXPECT_GE(fused * 2, static_cast<int>(end_seed - first_seed));
}

TEST(Chains, DenseLayersWithSamplesInTheBitsGiveTheSameBits) {
  check_sliced_runs(jit::Target::host(), 1, 17);
  check_sliced_runs(jit::Target::avx2(), 17, 25);
  check_sliced_runs(jit::Target::portable(), 25, 30);
}

TEST(Chains, TimedCallsAreMadeByThemselves) {
  const passes::Compilation compiled = compiled_mlp();
  const auto inputs = random_inputs(mlp(kWeights, kActivation), 3, 1);
  runtime::Trace trace(64);
  const auto traced = run_model_as(compiled, inputs, 3, {.trace = &trace});
  EXPECT_EQ(trace.events().size(), compiled.program.calls.size());
  EXPECT_TRUE(traced[0].same_bits(run_model(compiled, inputs, 3)[0]));
}

TEST(Chains, AreWrittenReadAndVerified) {
  const runtime::Program program = compiled_mlp(2).program;
  EXPECT_EQ(runtime::deserialize(runtime::serialize(program)).to_text(), program.to_text());
  EXPECT_NE(program.to_text().find("tiles of 2 samples"), std::string::npos);
  const auto broken = [&](const char* what, const std::function<void(runtime::Program&)>& change) {
    runtime::Program other = program;
    change(other);
    EXPECT_THROW(other.verify(), InternalError) << what;
  };
  broken("no calls", [](auto& p) { p.chains[0].last = p.chains[0].first; });
  broken("more calls than there are", [](auto& p) { ++p.chains[0].last; });
  broken("no samples", [](auto& p) { p.chains[0].tile = 0; });
  broken("no function", [](auto& p) { p.chains[0].call.symbol.clear(); });
  broken("twice", [](auto& p) { p.chains.push_back(p.chains[0]); });
  broken("a buffer that is none", [](auto& p) { p.chains[0].call.buffers[0] = 99; });
  broken("an input that is gone before its end",
         [](auto& p) { p.buffers[static_cast<size_t>(p.chains[0].call.buffers[0])].last_use = 0; });
  broken("constants beyond the end", [](auto& p) { p.chains[0].call.constants_bytes += 64; });
}

}  // namespace
}  // namespace qloom::test
