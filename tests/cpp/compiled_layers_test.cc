// Layers whose arguments once broke their compilation: compiled against the interpreter.
#include <gtest/gtest.h>

#include "bindings/cpp/qloom.h"
#include "graph/interpret.h"
#include "passes/compile.h"
#include "tests/cpp/layer_of.h"
#include "tests/passes/run_model.h"
#include "tests/support/random_graph.h"

namespace qloom::test {
namespace {

void check(const Extents& shape, std::initializer_list<Layer> layers) {
  Network net("net");
  Symbol x = net.input(shape, "x");
  for (const Layer& layer : layers) x = net.add(layer, x);
  net.output(x);
  net.initialize(5);
  const Graph graph = net.graph("eager");
  const std::vector<Tensor> inputs = testing::random_inputs(graph, 7, 3);
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  const Tensor want = to_f32(interpret(graph, inputs, options)[0]);
  const passes::Compilation compiled = passes::compile(graph.clone());
  for (const passes::RegionReport& region : compiled.regions)
    EXPECT_FALSE(region.kernel.starts_with("reference_")) << region.name << ": " << region.kernel;
  expect_equal(run_model(compiled, inputs, 7)[0], want, layers.begin()->class_name);
}

Layer quantized(const std::string& config) {
  return layer_of(
      "QActivation",
      "\"activation\": {\"class_name\": \"quantized_bits\", \"config\": {" + config + "}}");
}

// Depthwise phases have a scale for each group, which lies before the phases, and a float32 conv
// reads their values.
TEST(CompiledLayers, TransposedWithAScaleForEachChannel) {
  check({4, 3, 5}, {quantized("\"bits\": 4, \"integer\": 2"),
                    layer_of("QSeparableConv2DTranspose",
                             "\"filters\": 4, \"kernel_size\": [4, 1], \"strides\": [3, 3], "
                             "\"padding\": \"same\", \"use_bias\": false, "
                             "\"depthwise_kernel_quantizer\": \"binary()\"")});
  check({7, 9, 6}, {quantized("\"bits\": 4, \"integer\": 2"),
                    layer_of("QSeparableConv2DTranspose",
                             "\"filters\": 2, \"kernel_size\": [3, 1], \"strides\": [3, 1], "
                             "\"depthwise_kernel_quantizer\": "
                             "\"quantized_bits(5,0,1,alpha='auto')\"")});
}

// One number of integer bits for each channel, the same throughout or not.
TEST(CompiledLayers, QuantizersWithAListOfIntegers) {
  for (const char* integers : {"[1, 1, 1]", "[0, 1, 2]"}) {
    SCOPED_TRACE(integers);
    const std::string config = std::string("\"bits\": 4, \"integer\": ") + integers;
    check({3}, {quantized(config)});
    check({5, 3}, {quantized("\"bits\": 6, \"integer\": 2"),
                   layer_of("Dense", "\"units\": 3, \"use_bias\": false"), quantized(config)});
    check({4, 4, 2}, {quantized("\"bits\": 4, \"integer\": 2"),
                      layer_of("QConv2D",
                               "\"filters\": 3, \"kernel_size\": 2, \"kernel_quantizer\": "
                               "\"quantized_bits(4,0,1,alpha=1)\", \"use_bias\": false"),
                      quantized(config)});
  }
}

// Constants that vary by position, sums along any axis, averages over fewer cells at the ends.
TEST(CompiledLayers, ConstantsByPosition) {
  const Layer in = quantized("\"bits\": 6, \"integer\": 2");
  check({4, 3, 5}, {in, layer_of("PReLU", "")});
  check({4, 3, 5}, {in, layer_of("PReLU", "\"shared_axes\": [1]")});
  check({4, 3, 5}, {in, layer_of("BatchNormalization", "\"axis\": 1")});
  check({4, 3, 5}, {in, layer_of("LayerNormalization", "\"axis\": [1, 3]")});
  check({4, 3, 5}, {in, layer_of("AveragePooling2D",
                                 "\"pool_size\": [3, 2], \"strides\": 1, \"padding\": \"same\"")});
  check({5, 4, 4}, {in, layer_of("GlobalAveragePooling2D", "\"data_format\": \"channels_first\"")});
}

}  // namespace
}  // namespace qloom::test
