#include "passes/compile.h"

#include <gtest/gtest.h>

#include "graph/support/error.h"
#include "tests/passes/networks.h"
#include "tests/passes/run_model.h"

namespace qloom::test {
namespace {

struct Case {
  std::string name;
  Graph (*build)();
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const Case kCases[] = {
    {"cnn_w4a4", [] { return small_cnn("quantized_bits(4,0,1,alpha=1)", "quantized_relu(4,2)"); }},
    {"cnn_w8a8",
     [] { return small_cnn("quantized_bits(8,0,1,alpha=1)", "quantized_bits(8,2,1,alpha=1)"); }},
    {"cnn_binary", [] { return small_cnn("binary(alpha=1)", "binary(alpha=1)"); }},
    {"cnn_auto",
     [] { return small_cnn("quantized_bits(4,0,1,alpha='auto')", "quantized_relu(3,1)"); }},
    {"cnn_auto_po2",
     [] {
       return small_cnn("quantized_bits(4,0,1,alpha='auto_po2')", "quantized_bits(8,2,1,alpha=1)");
     }},
    {"cnn_ternary", [] { return small_cnn("ternary(alpha=1)", "quantized_tanh(4)"); }},
    {"cnn_leaky",
     [] { return small_cnn("quantized_bits(4,0,1,alpha=1)", "quantized_relu(5,1,0,0.125)"); }},
    {"cnn_sigmoid",
     [] { return small_cnn("quantized_bits(4,0,1,alpha=1)", "quantized_sigmoid(6)"); }},
    {"channels_first", [] { return channels_first(); }},
    {"residual_w2a2",
     [] { return residual_block("quantized_bits(2,0,1,alpha=1)", "quantized_relu(2,1)"); }},
    {"residual_w4a8",
     [] {
       return residual_block("quantized_bits(4,0,1,alpha=1)", "quantized_bits(8,2,1,alpha=1)");
     }},
    {"residual_binary", [] { return residual_block("binary(alpha=1)", "binary(alpha=1)"); }},
    {"mlp", [] { return mlp("quantized_bits(6,0,1,alpha=1)", "quantized_relu(6)"); }},
    {"mlp_po2", [] { return mlp("quantized_po2(4,1)", "quantized_relu_po2(4,2)"); }},
};

class Compile : public ::testing::TestWithParam<Case> {};

TEST_P(Compile, AgreesWithTheInterpreter) {
  const Graph graph = GetParam().build();
  const auto inputs = random_inputs(graph, 13, 5);
  const auto want = reference(graph, inputs);
  const auto compiled = passes::compile(graph.clone());
  const auto one = run_model(compiled, inputs, 13), three = run_model(compiled, inputs, 13, 3, 2);
  for (size_t i = 0; i < want.size(); ++i) {
    expect_equal(one[i], want[i], "one thread");
    expect_equal(three[i], want[i], "three threads, tiles of 2");
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, Compile, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

/// Each function of elements, softmax and wide powers of two run on emitted kernels, and give the
/// interpreter's bits.
TEST(FloatFunctions, AreEmittedAndEqualTheInterpreter) {
  struct Function {
    const char* name;
    double alpha = 1;
  };
  for (const auto& [function, alpha] : {Function{"elu"},
                                        {"elu", 0.25},
                                        {"selu"},
                                        {"softplus"},
                                        {"softsign"},
                                        {"swish"},
                                        {"gelu"},
                                        {"exponential"},
                                        {"mish"},
                                        {"sigmoid"},
                                        {"tanh"},
                                        {"keras_hard_sigmoid"}}) {
    const Graph graph = float_functions(function, alpha);
    const auto inputs = random_inputs(graph, 13, 5);
    const auto want = reference(graph, inputs);
    const auto compiled = passes::compile(graph.clone());
    for (const auto& region : compiled.regions)
      EXPECT_FALSE(region.kernel.starts_with("reference"))
          << function << ": " << region.name << " on " << region.kernel;
    expect_equal(run_model(compiled, inputs, 13)[0], want[0], function);
    const auto three = run_model(compiled, inputs, 13, 3, 2);
    for (size_t i = 0; i < want.size(); ++i)
      expect_equal(three[i], want[i], std::string(function) + ", three threads, tiles of 2");
  }
}

}  // namespace
}  // namespace qloom::test
