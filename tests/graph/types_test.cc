// Types are promises: each evaluated value lies in its inferred set. And text, and both
// evaluations, on random graphs.
#include <gtest/gtest.h>

#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/text.h"
#include "tests/support/random_graph.h"
#include "tests/support/round_trip.h"

namespace qloom {
namespace {

using testing::random_graph;
using testing::random_inputs;

// In qkeras evaluation a value may be off its member by the residue of x + (q − x); in canonical
// evaluation codes are members themselves.
void expect_members(const Graph& graph, const Node& node, size_t index, const RuntimeValue& value) {
  const TensorType& declared = graph.type(node.results[index]);
  ASSERT_EQ(value.type.shape.size(), declared.shape.size()) << node.name;
  for (size_t i = 0; i < declared.shape.size(); ++i)
    ASSERT_TRUE(declared.shape[i].is_batch() || declared.shape[i] == value.type.shape[i])
        << node.name << " axis " << i;
  ASSERT_EQ(qloom::bind(value.type.shape, -1), value.data.extents()) << node.name;
  if (!declared.has_codes()) {
    ASSERT_EQ(value.data.dtype(), DType::f32) << node.name;
    return;
  }
  ASSERT_EQ(value.data.dtype(), DType::i64) << node.name;
  const int fraction = declared.numeric.grid()->fraction;
  for (const int64_t code : value.data.i64())
    ASSERT_TRUE(declared.numeric.contains(std::ldexp(static_cast<double>(code), -fraction)))
        << node.name << ": code " << code << " is no member of " << declared;
}

class RandomGraphs : public ::testing::TestWithParam<int> {};

TEST_P(RandomGraphs, ValuesLieInTheirTypes) {
  const auto seed = static_cast<uint64_t>(GetParam());
  const Graph graph = random_graph(seed, {.data_scales = seed % 3 == 0});
  const auto inputs = random_inputs(graph, 3, seed);
  int seen = 0;
  (void)interpret(graph, inputs, {}, [&](const Node& node, std::span<const RuntimeValue> results) {
    for (size_t i = 0; i < results.size(); ++i) expect_members(graph, node, i, results[i]);
    ++seen;
  });
  EXPECT_EQ(seen, static_cast<int>(graph.node_count()));
}

TEST_P(RandomGraphs, TextParsesBackAndRunsEqual) {
  const auto seed = static_cast<uint64_t>(GetParam());
  const Graph graph = random_graph(seed, {.data_scales = seed % 3 == 0});
  testing::check_round_trip(graph, random_inputs(graph, 2, seed));
}

// Where a value and all before it lie on power-of-two grids below 2^24 steps, float32 arithmetic is
// exact and both evaluations give the same numbers.
TEST_P(RandomGraphs, EvaluationsAgreeOnCommonGrids) {
  const auto seed = static_cast<uint64_t>(GetParam());
  const Graph graph = random_graph(seed, {.float_parts = false});
  const int64_t limit = int64_t{1} << 24;
  std::unordered_set<ValueId> exact;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    const TensorType& type = graph.type(node.results[0]);
    const auto grid = type.numeric.grid();
    bool good = node.is(ops::input) || node.is(ops::constant) ||
                (type.has_codes() && type.scale.is_power_of_two() && grid->lo >= -limit &&
                 grid->hi <= limit);
    for (const ValueId v : node.operands) good = good && exact.contains(v);
    if (good) exact.insert(node.results[0]);
  }
  const auto inputs = random_inputs(graph, 2, seed + 1000);
  std::unordered_map<ValueId, Tensor> seen;
  (void)interpret(graph, inputs, {.evaluation = Evaluation::qkeras},
                  [&](const Node& node, std::span<const RuntimeValue> results) {
                    seen[node.results[0]] = results[0].data;
                  });
  int compared = 0;
  (void)interpret(graph, inputs, {.evaluation = Evaluation::canonical},
                  [&](const Node& node, std::span<const RuntimeValue> results) {
                    if (!exact.contains(node.results[0])) return;
                    const Tensor a = seen.at(node.results[0]), b = to_f32(results[0]);
                    for (int64_t i = 0; i < a.size(); ++i)
                      ASSERT_EQ(a.f32()[static_cast<size_t>(i)], b.f32()[static_cast<size_t>(i)])
                          << node.name << " element " << i << "\n"
                          << to_text(graph, false);
                    ++compared;
                  });
  EXPECT_GT(compared, 3);
}

// Results that are mostly one number prove nothing.
TEST(RandomGraphValues, AreVaried) {
  int varied = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Graph graph = random_graph(seed);
    const Tensor y = to_f32(interpret(graph, random_inputs(graph, 4, seed), {})[0]);
    const std::unordered_set<float> values(y.f32().begin(), y.f32().end());
    varied += values.size() >= 4 ? 1 : 0;
  }
  EXPECT_GE(varied, 45);
}

// A graph evaluated on a batch gives what it gives sample by sample, except where a scale is taken
// over the batch.
TEST_P(RandomGraphs, SamplesAreIndependent) {
  const auto seed = static_cast<uint64_t>(GetParam());
  const Graph graph = random_graph(seed);
  const auto inputs = random_inputs(graph, 3, seed);
  const auto all = interpret(graph, inputs, {});
  const int64_t per_sample = inputs[0].size() / 3;
  for (int64_t s = 0; s < 3; ++s) {
    Extents extents = inputs[0].extents();
    extents[0] = 1;
    const auto span = inputs[0].f32().subspan(static_cast<size_t>(s * per_sample),
                                              static_cast<size_t>(per_sample));
    const std::vector<Tensor> one{Tensor(extents, std::vector<float>(span.begin(), span.end()))};
    const auto result = interpret(graph, one, {});
    for (size_t i = 0; i < all.size(); ++i) {
      const Tensor whole = to_f32(all[i]), part = to_f32(result[i]);
      for (int64_t j = 0; j < part.size(); ++j)
        ASSERT_EQ(whole.f32()[static_cast<size_t>(s * part.size() + j)],
                  part.f32()[static_cast<size_t>(j)]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, ::testing::Range(0, 120));

}  // namespace
}  // namespace qloom
