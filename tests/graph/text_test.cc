#include "graph/text.h"

#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "tests/support/random_graph.h"
#include "tests/support/round_trip.h"

namespace qloom {
namespace {

constexpr const char* kSmall =
    "graph small {\n"
    "  %0 x: [N, 4] float32 = input @ x (InputLayer)\n"
    "  %1 'a name, with: all': [N, 4] fixed(4, 3, signed) = quantize(%0) "
    "{quantizer='quantized_bits', arguments=ARGS} @ q1 (QActivation)\n"
    "  %2 w: [4, 2] fixed(2, 0, signed) × scale[1,2] = constant @ train.cc:41\n"
    "  %3 fc: [N, 2] integers(-37, 38, 3) × scale[1,2] = dense(%1, %2) @ fc (QDense)\n"
    "  output y = %3\n"
    "}\n"
    "constants {\n"
    "  %2 i64 [4, 2]: 1 -2 0 1 1 1 -1 -1\n"
    "  %2 scale f64 [1, 2]: 3fe0000000000000 3fd3333333333333\n"
    "}\n";

std::string small_text() {
  std::string text = kSmall;
  const Quantizer q = std::get<Quantizer>(parse_quantizer("quantized_bits(4, 0)"));
  text.replace(text.find("ARGS"), 4, q.arguments().to_string());
  return text;
}

TEST(Text, ReadsAndWritesTheSameText) {
  const std::string text = small_text();
  const Graph g = parse_graph(text);
  EXPECT_EQ(to_text(g), text);
  EXPECT_EQ(g.producer(g.outputs()[0].value).origins.at(0).to_string(), "fc (QDense)");
  testing::check_round_trip(g, testing::random_inputs(g, 3, 1));
  const std::string short_text = to_text(g, false);
  EXPECT_EQ(short_text, text.substr(0, text.find("constants {")));
}

TEST(Text, KeepsOptionsAndBodies) {
  Graph body;
  body.name = "inner";
  const TensorType type{{Dim::batch(), 3}, Numeric::fixed(4, 1, true), {}};
  const ValueId bx = body.add_input("x", type);
  const ValueId c = body.add_constant("c", Tensor({3}, std::vector<float>{0.5F, 1, -1}));
  body.add_output("y", body.add(*find_op("elementwise"), "sum", {bx, c}).results[0]);
  Graph g;
  g.name = "outer graph";
  g.set_options(EvaluationOptions::preset("predict_onednn", Evaluation::canonical));
  const ValueId x = g.add_input("x", type);
  const Node& r =
      g.add_region("r", {x}, std::move(body), {{.layer = "a"}, {.file = "f.cc", .line = 3}});
  g.add_output("y", r.results[0]);
  const std::string text = to_text(g);
  EXPECT_NE(text.find("option division reciprocal"), std::string::npos);
  EXPECT_NE(text.find(" @ a, f.cc:3 body inner {"), std::string::npos);
  testing::check_round_trip(g, std::vector{Tensor({1, 3}, std::vector<float>{0.5F, -1, 2})});
}

TEST(Text, EqualSeesEveryDifference) {
  const Graph a = parse_graph(small_text());
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string text = small_text();
    text.replace(text.find(from), from.size(), to);
    return parse_graph(text);
  };
  EXPECT_TRUE(equal(a, parse_graph(small_text())));
  EXPECT_FALSE(equal(a, changed("graph small", "graph large")));
  EXPECT_FALSE(equal(a, changed("fc:", "fd:")));
  EXPECT_FALSE(equal(a, changed("QDense", "QConv")));
  EXPECT_FALSE(equal(a, changed(": 1 -2 0", ": 1 -2 1")));
  EXPECT_FALSE(equal(a, changed("3fd3333333333333", "3fd3333333333334")));
  EXPECT_FALSE(equal(a, changed("output y", "output z")));
  EXPECT_FALSE(equal(a, changed("y = %3", "y = %1")));
  EXPECT_FALSE(equal(a, changed("graph small {", "graph small {\n  option division reciprocal")));
}

TEST(Text, ErrorsNameThePlace) {
  const auto message = [](std::string_view from, std::string_view to) -> std::string {
    std::string text = small_text();
    text.replace(text.find(from), from.size(), to);
    try {
      (void)parse_graph(text);
    } catch (const UserError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message("graph small", "grape small"),
            "graph text, line 1, column 1: expected 'graph'");
  EXPECT_EQ(message("dense(%1, %2)", "dense(%1, %7)"),
            "graph text, line 5, column 3: %7 is not defined before");
  EXPECT_EQ(message("dense(%1", "tense(%1"), "graph text, line 5, column 3: 'tense' is no op");
  EXPECT_EQ(message("integers(-37", "integers(-33"),
            "graph text, line 5, column 10: the type is [N, 2] integers(-37, 38, 3) × scale[1,2], "
            "not [N, 2] integers(-33, 38, 3) × scale[1,2]");
  EXPECT_EQ(message("fixed(2, 0, signed)", "fixed(2, 0, sined)"),
            "graph text, line 4, column 16: value set 'fixed(2, 0, sined)': expected 'signed' or "
            "'unsigned' before at position 17");
  EXPECT_EQ(message(": 1 -2 0", ": 1 -9 0"),
            "graph text, line 4, column 3: code -9 is outside of [4, 2] fixed(2, 0, signed) × "
            "scale[1,2]");
  EXPECT_EQ(message(": 1 -2 0", ": 1 0"), "graph text, line 10, column 3: expected an integer");
  EXPECT_EQ(message("%2 i64", "%5 i64"),
            "graph text, line 4, column 3: the constant's data is missing");
  EXPECT_NE(message("[4, 2] fixed", "[4, 3] fixed").find("line 4"), std::string::npos);
}

// Whatever is cut out of or changed in a text: a graph or a UserError, nothing else.
TEST(Text, SurvivesDamage) {
  testing::Random random(17);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 400; ++round) {
    const uint64_t seed = static_cast<uint64_t>(round) % 8;
    std::string text = to_text(testing::random_graph(seed, {.layers = 2}));
    for (int64_t edits = random.integer(1, 3); edits > 0; --edits) {
      const auto at = static_cast<size_t>(random.integer(0, static_cast<int64_t>(text.size()) - 1));
      switch (random.integer(0, 3)) {
        case 0:
          text.resize(at + 1);
          break;
        case 1:
          text.erase(at, static_cast<size_t>(random.integer(1, 20)));
          break;
        case 2:
          text[at] = static_cast<char>(random.integer(32, 126));
          break;
        default:
          text.insert(at, std::string(1, "(){}[]%,'=:9-N@"[random.integer(0, 14)]));
          break;
      }
      if (text.empty()) text = "x";
    }
    try {
      verify(parse_graph(text));
      ++accepted;
    } catch (const UserError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 200);
  EXPECT_GT(accepted, 0);  // a changed digit of a weight is another graph
}

}  // namespace
}  // namespace qloom
