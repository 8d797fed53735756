#include <gtest/gtest.h>

#include <algorithm>

#include "graph/support/error.h"
#include "graph/text.h"
#include "passes/compile.h"
#include "passes/pass.h"
#include "tests/passes/networks.h"
#include "tests/passes/run_model.h"
#include "tests/support/random_graph.h"

namespace qloom::test {
namespace {

bool mostly_zero(const std::vector<Tensor>& outputs) {
  int64_t zeros = 0, all = 0;
  for (const Tensor& t : outputs)
    for (float v : t.f32()) {
      ++all;
      zeros += v == 0 ? 1 : 0;
    }
  return all == 0 || zeros * 100 > all * 99;
}

TEST(RandomGraphs, EveryPassKeepsValues) {
  const int n = static_cast<int>(passes::inference_pipeline().size());
  int telling = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    const Graph original = testing::random_graph(seed);
    const auto inputs = testing::random_inputs(original, 2, seed);
    const auto want = reference(original, inputs);
    telling += mostly_zero(want) ? 0 : 1;
    Graph graph = original.clone();
    for (int i = 0; i < n; ++i) {
      const passes::PassDef* const one[] = {passes::inference_pipeline()[static_cast<size_t>(i)]};
      passes::run_passes(graph, one, {});
      const auto got = reference(graph, inputs);
      for (size_t k = 0; k < want.size(); ++k)
        ASSERT_TRUE(got[k].same_bits(want[k]))
            << "seed " << seed << ", pass " << i << " " << one[0]->name << ", output " << k << "\n"
            << to_text(original, false) << to_text(graph, false);
      Graph again = graph.clone();
      ASSERT_EQ(passes::run_passes(again, one, {})[0].rewrites, 0)
          << "seed " << seed << ", " << one[0]->name;
    }
  }
  EXPECT_GT(telling, 100);  // a test whose outputs are all zero shows nothing
}

/// Returns how many concatenations were written in parts, where that was asked for.
int64_t expect_compiled(uint64_t seed, const passes::CompileOptions& options, bool data_scales) {
  int64_t in_place = 0;
  const Graph original = testing::random_graph(seed, {.data_scales = data_scales});
  const auto inputs = testing::random_inputs(original, 5, seed);
  const auto want = reference(original, inputs);
  const auto compiled = passes::compile(original.clone(), options);
  const auto got = run_model(compiled, inputs, 5, 2, 2);
  // Chains of tiles that end within the executor's, and beyond the samples; concatenations in
  // place.
  if (options.chain_tile == 0 && !data_scales) {
    passes::CompileOptions chained = options;
    chained.chain_tile = 1 + static_cast<int64_t>(seed % 6);
    chained.concat_in_place = passes::ConcatInPlace::where_possible;
    const auto joined = passes::compile(original.clone(), chained);
    in_place = std::ranges::count_if(joined.program.buffers,
                                     [](const runtime::Buffer& b) { return b.writers > 1; });
    const auto again = run_model(joined, inputs, 5);
    for (size_t k = 0; k < got.size(); ++k)
      EXPECT_TRUE(again[k].same_bits(got[k]))
          << "seed " << seed << ", tiles of " << chained.chain_tile << ", output " << k;
  }
  for (size_t k = 0; k < want.size(); ++k)
    expect_equal_or_ulps(got[k], want[k],
                         "seed " + std::to_string(seed) + ", stop after " +
                             std::to_string(options.passes.stop_after) + ", output " +
                             std::to_string(k) + "\n" + to_text(original, false));
  return in_place;
}

TEST(RandomGraphs, ProgramAgreesWithTheInterpreter) {
  int64_t in_place = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) in_place += expect_compiled(seed, {}, seed % 8 == 0);
  EXPECT_GE(in_place, 5);
}

TEST(RandomGraphsLong, ProgramAgreesWithTheInterpreter) {
  for (uint64_t seed = 41; seed <= 240; ++seed) expect_compiled(seed, {}, seed % 8 == 0);
}

TEST(RandomGraphs, EveryPrefixCompiles) {
  const int n = static_cast<int>(passes::inference_pipeline().size());
  for (uint64_t seed = 1; seed <= 5; ++seed)
    for (int stop = 0; stop <= n; ++stop) {
      passes::CompileOptions options;
      options.passes.stop_after = stop;
      expect_compiled(seed, options, false);
    }
}

TEST(RandomGraphsLong, EveryPrefixCompiles) {
  const int n = static_cast<int>(passes::inference_pipeline().size());
  for (uint64_t seed = 6; seed <= 30; ++seed)
    for (int stop = 0; stop <= n; ++stop) {
      passes::CompileOptions options;
      options.passes.stop_after = stop;
      expect_compiled(seed, options, false);
    }
}

}  // namespace
}  // namespace qloom::test
