#include "tests/support/round_trip.h"

#include <gtest/gtest.h>

#include "graph/interpret.h"
#include "graph/text.h"

namespace qloom::testing {

void check_round_trip(const Graph& graph, std::span<const Tensor> inputs) {
  verify(graph);
  const std::string text = to_text(graph);
  const Graph back = parse_graph(text);
  verify(back);
  EXPECT_TRUE(equal(graph, back)) << text;
  EXPECT_EQ(to_text(back), text);
  const Graph copy = graph.clone();
  EXPECT_TRUE(equal(graph, copy));
  EXPECT_FALSE(to_dot(graph).empty());
  if (inputs.empty()) return;
  for (const Evaluation e : {Evaluation::qkeras, Evaluation::canonical}) {
    const auto a = interpret(graph, inputs, {.evaluation = e});
    const auto b = interpret(back, inputs, {.evaluation = e});
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_TRUE(a[i].data.same_bits(b[i].data));
      EXPECT_EQ(a[i].type, b[i].type);
    }
  }
}

}  // namespace qloom::testing
