#include "passes/certificate.h"

#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/quantizer.h"
#include "tests/passes/networks.h"

namespace qloom::test {
namespace {

passes::Certificate only(const Graph& graph) { return passes::certificates(graph)[0]; }

Graph after_quantizer(const std::string& quantizer, const std::string& weights, int64_t width = 8) {
  Builder b("net");
  ValueId x = b.input("x", {Dim::batch(), width});
  if (!quantizer.empty()) x = b.apply(parse_quantizer(quantizer), x, "in_q");
  b.set_layer("fc", "QDense");
  x = b.dense(
      x, b.apply(parse_quantizer(weights), b.constant("w", random_tensor({width, 3}, 1)), "w_q"),
      "fc");
  b.output("y", x);
  return b.finish();
}

TEST(Certificate, IsExactOnPowerOfTwoGrids) {
  EXPECT_TRUE(only(small_cnn("quantized_bits(4,0,1,alpha=1)", "quantized_relu(4,2)")).exact);
  EXPECT_TRUE(
      only(small_cnn("quantized_bits(4,0,1,alpha='auto_po2')", "quantized_relu(4,2)")).exact);
}

TEST(Certificate, NamesTheLogarithmNearAThreshold) {
  const auto c = only(mlp("quantized_po2(4,1)", "quantized_relu_po2(4,2)"));
  EXPECT_FALSE(c.exact);
  ASSERT_EQ(c.failures.size(), 1U) << c.to_string();
  EXPECT_EQ(c.failures[0].node, "fc2_act");
}

TEST(Certificate, NamesTheReciprocalSquareRootOfAnOutput) {
  const auto c = only(residual_block("binary(alpha=1)", "binary(alpha=1)"));
  EXPECT_FALSE(c.exact);
  ASSERT_EQ(c.failures.size(), 1U) << c.to_string();
  EXPECT_EQ(c.failures[0].node, "bn2");  // bn1's is taken away by the quantizer behind it
}

TEST(Certificate, NamesTheFloatSum) {
  const auto c = only(after_quantizer("", "quantized_bits(4,0,1,alpha=1)"));
  EXPECT_FALSE(c.exact);
  ASSERT_EQ(c.failures.size(), 1U);
  EXPECT_EQ(c.failures[0].node, "fc");
  EXPECT_EQ(c.failures[0].layer, "fc");
  EXPECT_EQ(c.failures[0].condition,
            "operand x is float32 and not quantized: a float sum in some order");
}

TEST(Certificate, NamesAScaleThatIsNoPowerOfTwo) {
  const auto c =
      only(after_quantizer("quantized_bits(4,0,1,alpha=1)", "binary(alpha='auto')", 200));
  EXPECT_FALSE(c.exact);
  ASSERT_EQ(c.failures.size(), 1U);
  EXPECT_EQ(c.failures[0].node, "w_q");
  EXPECT_NE(c.failures[0].condition.find("no power of two"), std::string::npos);
}

TEST(Certificate, NamesSumsBeyond24Bits) {
  const auto c =
      only(after_quantizer("quantized_bits(12,0,1,alpha=1)", "quantized_bits(12,0,1,alpha=1)", 64));
  EXPECT_FALSE(c.exact);
  ASSERT_EQ(c.failures.size(), 1U);
  EXPECT_EQ(c.failures[0].node, "fc");
  EXPECT_NE(c.failures[0].condition.find("grid units, 2^24 or more"), std::string::npos);
}

TEST(Certificate, NamesMagnitudesBeyond24Bits) {
  Builder b("wide");
  ValueId x = b.input("x", {Dim::batch(), 4});
  x = b.apply(parse_quantizer("quantized_bits(16,15,1,alpha=1)"), x, "wide");  // up to 2^15
  x = b.apply(parse_quantizer("quantized_bits(16,0,1,alpha=1)"), x, "fine");   // steps of 2^-15
  b.output("y", x);
  const auto c = only(b.finish());
  ASSERT_EQ(c.failures.size(), 1U);
  EXPECT_EQ(c.failures[0].node, "fine");
  EXPECT_NE(c.failures[0].condition.find("2^24 steps"), std::string::npos);
}

TEST(Certificate, DoesNotNameConsequences) {
  Builder b("two");
  ValueId x = b.input("x", {Dim::batch(), 8});
  x = b.dense(x, b.constant("w1", random_tensor({8, 8}, 1)), "fc1");
  x = b.dense(x, b.constant("w2", random_tensor({8, 8}, 2)), "fc2");
  b.output("y", b.softmax(x));
  const auto c = only(b.finish());
  ASSERT_EQ(c.failures.size(), 1U);
  EXPECT_EQ(c.failures[0].node, "fc1");
}

TEST(Certificate, AsksAnewBehindAQuantizer) {
  Builder b("two");
  ValueId x = b.input("x", {Dim::batch(), 8});
  x = b.dense(x, b.constant("w1", random_tensor({8, 9}, 1)), "fc1");
  x = b.apply(parse_quantizer("quantized_relu(4,2)"), x, "act");
  x = b.activation(
      x,
      [] {
        ops::Activation a;
        a.function = "sigmoid";
        return a;
      }(),
      "sigmoid");
  b.output("y", x);
  const auto c = only(b.finish());
  ASSERT_EQ(c.failures.size(), 2U);
  EXPECT_EQ(c.failures[0].node, "fc1");
  EXPECT_EQ(c.failures[1].node, "sigmoid");
  EXPECT_NE(c.to_string().find("y: codes are compared where float values may differ"),
            std::string::npos);
}

/// What a certificate promises.
TEST(Certificate, HoldsInBothEvaluations) {
  for (uint64_t seed = 1; seed <= 5; ++seed)
    for (const char* weights : {"quantized_bits(4,0,1,alpha=1)",
                                "quantized_bits(3,0,1,alpha='auto_po2')", "ternary(alpha=1)"}) {
      const Graph graph = small_cnn(weights, "quantized_relu(4,2)", seed);
      ASSERT_TRUE(only(graph).exact) << weights;
      const auto inputs = random_inputs(graph, 4, seed);
      EvaluationOptions options = graph.options();
      options.evaluation = Evaluation::qkeras;
      const Tensor qkeras = to_f32(interpret(graph, inputs, options)[0]);
      EXPECT_TRUE(qkeras.same_bits(reference(graph, inputs)[0])) << weights << ", seed " << seed;
    }
}

}  // namespace
}  // namespace qloom::test
