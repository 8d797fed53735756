// Functions of QKeras that add several layers.
#include "bindings/cpp/layer_functions.h"

#include <gtest/gtest.h>

#include "bindings/cpp/qloom.h"
#include "graph/interpret.h"
#include "tests/bindings/expect_error.h"
#include "tests/passes/run_model.h"
#include "tests/support/random_graph.h"

namespace qloom::test {
namespace {

using namespace qkeras;

/// The compiled network computes what the interpreter does.
void expect_compiles(const Network& net) {
  const Graph graph = net.graph();
  const auto inputs = testing::random_inputs(graph, 3, 1);
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  const std::vector<RuntimeValue> want = interpret(graph, inputs, options);
  const auto got = run_model(passes::compile(graph.clone()), inputs, 3);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) expect_equal(got[i], to_f32(want[i]), "output");
}

QMobileNetSeparableConv2D separable() {
  return {.filters = 5,
          .kernel_size = 3,
          .padding = "same",
          .activation = "quantized_relu(4,1)",
          .depthwise_quantizer = "quantized_bits(4,0,1,alpha=1.0)",
          .pointwise_quantizer = "ternary(alpha=1.0)",
          .bias_quantizer = "quantized_bits(4,1,1)",
          .depthwise_activation = "quantized_relu(3,1)",
          .depthwise_dropout_rate = 0.5};
}

TEST(LayerFunctions, MobileNetIsDepthwiseThenPointwise) {
  Network net;
  const Symbol x = net.add(QActivation{"quantized_bits(4,1,1)"}, net.input({6, 6, 3}, "x"), "in");
  const Symbol y = separable()(net, x, "m");
  EXPECT_EQ(net.layers(), (std::vector<std::string>{"x", "in", "m_dw", "m_dw_act", "m_dw_dropout",
                                                    "m_pw", "m_pw_act"}));
  EXPECT_EQ(to_string(y.shape()), "[N, 6, 6, 5]");
  EXPECT_EQ(net.weights("m_dw").size(), 1U);  // no bias
  net.output(y);
  net.initialize(1);
  expect_compiles(net);
}

TEST(LayerFunctions, MobileNetTheOtherWayRound) {
  Network net;
  const Symbol x = net.add(QActivation{"quantized_bits(4,1,1)"}, net.input({6, 6, 3}, "x"), "in");
  QMobileNetSeparableConv2D function = separable();
  function.pw_first = true;
  function.depthwise_dropout_rate = 0;
  function.activation = {};
  net.output(function(net, x, "m"));
  EXPECT_EQ(net.layers(), (std::vector<std::string>{"x", "in", "m_pw", "m_dw_act", "m_dw"}));
  net.initialize(1);
  expect_compiles(net);
}

QOctaveConv2D octave() {
  return {.filters = 8,
          .kernel_size = 3,
          .alpha = 0.25,
          .padding = "same",
          .kernel_quantizer = "quantized_bits(4,0,1,alpha=1.0)",
          .depthwise_quantizer = "quantized_bits(4,0,1,alpha=1.0)",
          .pointwise_quantizer = "quantized_bits(4,0,1,alpha=1.0)",
          .bias_quantizer = "quantized_bits(4,1,1)",
          .acc_quantizer = "quantized_bits(10,4,1)",
          .activation = "quantized_relu(4,2)"};
}

TEST(LayerFunctions, OctavesExchangeWhatTheyFind) {
  for (const bool use_separable : {true, false}) {
    Network net;
    const Symbol x = net.add(QActivation{"quantized_bits(4,1,1)"}, net.input({8, 8, 3}, "x"), "in");
    QOctaveConv2D function = octave();
    function.use_separable = use_separable;
    const Octaves first = function(net, {x, std::nullopt}, "a");
    ASSERT_TRUE(first.high && first.low);
    EXPECT_EQ(to_string(first.high->shape()), "[N, 8, 8, 6]");
    EXPECT_EQ(to_string(first.low->shape()), "[N, 4, 4, 2]");
    const Octaves second = function(net, first, "b");
    EXPECT_EQ(net.layers(), (std::vector<std::string>{"x",
                                                      "in",
                                                      "a_c_h_to_h",
                                                      "a_c_h_to_h_act_qb10_41",
                                                      "a_avg_h_to_l",
                                                      "a_c_h_to_l",
                                                      "a_c_h_to_l_act_qb10_41",
                                                      "a_h_act_qr42",
                                                      "a_l_act_qr42",
                                                      "b_c_h_to_h",
                                                      "b_c_h_to_h_act_qb10_41",
                                                      "b_avg_h_to_l",
                                                      "b_c_h_to_l",
                                                      "b_c_h_to_l_act_qb10_41",
                                                      "b_c_l_to_h",
                                                      "b_c_l_to_h_act_qb10_41",
                                                      "b_u_l_to_h",
                                                      "b_c_l_to_l",
                                                      "b_c_l_to_l_act_qb10_41",
                                                      "b_a_h",
                                                      "b_a_l",
                                                      "b_h_act_qr42",
                                                      "b_l_act_qr42"}));
    function.alpha = -1;
    const Octaves last = function(net, second, "c");
    EXPECT_FALSE(last.low.has_value());
    net.output(*last.high);
    net.output(*second.low);
    net.initialize(1);
    expect_compiles(net);
  }
}

TEST(LayerFunctions, OctavesSayWhatIsWrong) {
  Network net;
  const Symbol x = net.input({8, 8, 3}, "x");
  QOctaveConv2D function = octave();
  function.alpha = 2;
  testing::expect_user_error([&] { (void)function(net, {x, std::nullopt}, "a"); },
                             {"layer_functions_test.cc", "'a'", "alpha is 2"});
  function.alpha = -1;
  testing::expect_user_error([&] { (void)function(net, {std::nullopt, x}, "a"); },
                             {"'a'", "high frequencies"});
}

}  // namespace
}  // namespace qloom::test
