// Types are promises: each evaluated value lies in its inferred set. And text, and both evaluations, on
// random graphs.
#include <gtest/gtest.h>

#include <cmath>

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
    if (declared.shape[i].is_static())
      ASSERT_EQ(declared.shape[i], value.type.shape[i]) << node.name << " axis " << i;
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

// Everything on power-of-two grids below 2^24 steps: float32 arithmetic is exact, both evaluations
// give the same bits.
TEST_P(RandomGraphs, EvaluationsAgreeOnCommonGrids) {
  const auto seed = static_cast<uint64_t>(GetParam());
  const Graph graph = random_graph(seed, {.float_parts = false});
  bool exact = true;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.is(ops::input) || graph.constant_of(node.results[0])) continue;
    const TensorType& type = graph.type(node.results[0]);
    const auto grid = type.numeric.grid();
    const int64_t limit = int64_t{1} << 24;
    exact = exact && type.has_codes() && type.scale.is_power_of_two() && grid->lo >= -limit &&
            grid->hi <= limit;
  }
  const auto inputs = random_inputs(graph, 2, seed + 1000);
  const auto a = interpret(graph, inputs, {.evaluation = Evaluation::qkeras});
  const auto b = interpret(graph, inputs, {.evaluation = Evaluation::canonical});
  if (!exact) GTEST_SKIP() << "a value of this graph has no codes below 2^24";
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor fa = to_f32(a[i]), fb = to_f32(b[i]);
    for (int64_t j = 0; j < fa.size(); ++j)
      ASSERT_EQ(fa.f32()[static_cast<size_t>(j)], fb.f32()[static_cast<size_t>(j)])
          << "output " << i << " element " << j << "\n"
          << to_text(graph, false);
  }
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
