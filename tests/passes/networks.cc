#include "tests/passes/networks.h"

#include <random>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/quantizer.h"

namespace qloom::test {
namespace {

ValueId weights(Builder& b, const std::string& quantizer, Extents extents, uint64_t seed,
                const std::string& name) {
  return b.apply(parse_quantizer(quantizer),
                 b.constant(name, random_tensor(std::move(extents), seed)), name + "_q");
}

ValueId batch_norm(Builder& b, ValueId x, int64_t channels, uint64_t seed, const std::string& name,
                   ops::BatchNormForm form) {
  ops::BatchNorm attributes;
  attributes.form = form;
  return b.batch_norm(x, b.constant(name + "_gamma", random_tensor({channels}, seed, -1.5F, 1.5F)),
                      b.constant(name + "_beta", random_tensor({channels}, seed + 1)),
                      b.constant(name + "_mean", random_tensor({channels}, seed + 2)),
                      b.constant(name + "_variance", random_tensor({channels}, seed + 3, 0.1F, 2)),
                      attributes, name);
}

}  // namespace

Tensor random_tensor(Extents extents, uint64_t seed, float lo, float hi) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> uniform(lo, hi);
  std::vector<float> values(static_cast<size_t>(element_count(extents)));
  for (float& v : values) v = uniform(random);
  return Tensor(std::move(extents), std::move(values));
}

std::vector<Tensor> random_inputs(const Graph& graph, int64_t batch, uint64_t seed) {
  std::vector<Tensor> out;
  for (ValueId input : graph.inputs())
    out.push_back(random_tensor(bind(graph.type(input).shape, batch), ++seed, -2, 2));
  return out;
}

std::vector<Tensor> reference(const Graph& graph, const std::vector<Tensor>& inputs) {
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  std::vector<Tensor> out;
  for (const RuntimeValue& value : interpret(graph, inputs, options)) out.push_back(to_f32(value));
  return out;
}

Graph small_cnn(const std::string& quantizer, const std::string& activation, uint64_t seed) {
  Builder b("small_cnn");
  ValueId x = b.input("image", {Dim::batch(), 8, 8, 3});
  b.set_layer("in_q", "QActivation");
  x = b.apply(parse_quantizer("quantized_bits(8,1,1,alpha=1)"), x);
  b.set_layer("conv", "QConv2D");
  x = b.conv(x, weights(b, quantizer, {3, 3, 3, 9}, seed, "kernel"),
             {.padding = ops::Padding::same}, "conv_sum");
  x = b.add(x, weights(b, "quantized_bits(6,1,1,alpha=1)", {9}, seed + 10, "bias"));
  b.set_layer("bn", "BatchNormalization");
  x = batch_norm(b, x, 9, seed + 20, "bn", ops::BatchNormForm::centered);
  b.set_layer("act", "QActivation");
  x = b.apply(parse_quantizer(activation), x);
  b.set_layer("pool", "MaxPooling2D");
  x = b.pool(x, {.kind = ops::PoolKind::max});
  b.set_layer("flat", "Flatten");
  x = b.reshape(x, {-1});
  b.set_layer("fc", "QDense");
  x = b.dense(x, weights(b, quantizer, {4 * 4 * 9, 10}, seed + 30, "fc_kernel"));
  x = b.add(x, weights(b, "quantized_bits(6,1,1,alpha=1)", {10}, seed + 40, "fc_bias"));
  b.output("logits", x);
  return b.finish();
}

Graph float_functions(const std::string& function, double alpha, uint64_t seed) {
  Builder b("float_functions");
  ValueId x = b.input("x", {Dim::batch(), 3, 20});
  b.set_layer("in_q", "QActivation");
  x = b.apply(parse_quantizer("quantized_bits(8,2,1,alpha=1)"), x);
  b.set_layer("fc", "QDense");
  x = b.dense(x, weights(b, "quantized_bits(4,0,1,alpha=1)", {20, 37}, seed, "kernel"));
  b.set_layer("bn", "QBatchNormalization");
  const auto parameter = [&](const char* name, const char* quantizer, uint64_t more, float lo) {
    return b.apply(parse_quantizer(quantizer),
                   b.constant(name, random_tensor({37}, seed + more, lo)),
                   std::string(name) + "_q");
  };
  // Powers of two far apart: gamma and variance are on no grid of 62 bits.
  x = b.batch_norm(
      x, parameter("gamma", "quantized_relu_po2(6,2048)", 1, 0.2F),
      parameter("beta", "quantized_po2(5)", 2, -1), parameter("mean", "quantized_po2(5)", 3, -1),
      parameter("variance", "quantized_relu_po2(6,quadratic_approximation=True)", 4, 0.1F),
      {.form = ops::BatchNormForm::affine}, "bn");
  b.set_layer("act", "Activation");
  ops::Activation activation{.function = function};
  activation.alpha = alpha;
  x = b.activation(x, activation, "act");
  b.output("act", x);
  b.set_layer("probabilities", "Softmax");
  b.output("probabilities", b.softmax(x, -1, "probabilities"));
  return b.finish();
}

Graph residual_block(const std::string& quantizer, const std::string& activation, uint64_t seed) {
  Builder b("residual_block");
  ValueId x = b.input("image", {Dim::batch(), 6, 6, 8});
  b.set_layer("in_act", "QActivation");
  const ValueId shortcut = b.apply(parse_quantizer(activation), x);
  b.set_layer("conv1", "QConv2D");
  x = b.conv(shortcut, weights(b, quantizer, {3, 3, 8, 8}, seed, "kernel1"),
             {.padding = ops::Padding::same});
  x = batch_norm(b, x, 8, seed + 10, "bn1", ops::BatchNormForm::centered);
  x = b.apply(parse_quantizer(activation), x, "act1");
  b.set_layer("conv2", "QConv2D");
  x = b.conv(x, weights(b, quantizer, {3, 3, 8, 8}, seed + 1, "kernel2"),
             {.padding = ops::Padding::same});
  x = batch_norm(b, x, 8, seed + 20, "bn2", ops::BatchNormForm::affine);
  b.set_layer("add", "Add");
  x = b.add(shortcut, x, "sum");
  b.output("sum", x);
  b.set_layer("act2", "QActivation");
  x = b.apply(parse_quantizer(activation), x, "act2");
  b.output("codes", x);
  return b.finish();
}

Graph channels_first(uint64_t seed) {
  Builder b("channels_first");
  ValueId x = b.input("series", {Dim::batch(), 4, 12});
  b.set_layer("in_q", "QActivation");
  x = b.apply(parse_quantizer("quantized_bits(6,1,1,alpha=1)"), x);
  for (int i = 0; i < 2; ++i) {
    const std::string name = "conv" + std::to_string(i + 1);
    b.set_layer(name, "QConv1D");
    x = b.permute(x, {0, 2, 1});
    x = b.conv(x,
               weights(b, "quantized_bits(4,0,1,alpha=1)", {3, 4, 4},
                       seed + static_cast<uint64_t>(i), name + "_kernel"),
               {.strides = {1}, .dilations = {1}, .padding = ops::Padding::causal});
    x = b.permute(x, {0, 2, 1});
    b.set_layer(name + "_act", "QActivation");
    x = b.apply(parse_quantizer("quantized_relu(4,1)"), x);
  }
  b.output("y", x);
  return b.finish();
}

Graph dense_layers(const std::vector<int64_t>& widths, const std::string& quantizer,
                   const std::string& activation, uint64_t seed) {
  Builder b("mlp");
  ValueId x = b.input("x", {Dim::batch(), widths[0]});
  x = b.apply(parse_quantizer("quantized_bits(8,2,1,alpha=1)"), x, "in_q");
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    const std::string name = "fc" + std::to_string(i + 1);
    const int64_t width = widths[i], next = widths[i + 1];
    b.set_layer(name, "QDense");
    x = b.dense(x, weights(b, quantizer, {width, next}, seed + 10 * i, name + "_kernel"));
    x = b.add(
        x, weights(b, "quantized_bits(6,0,1,alpha=1)", {next}, seed + 10 * i + 1, name + "_bias"));
    b.set_layer(name + "_act", "QActivation");
    if (i + 2 < widths.size()) x = b.apply(parse_quantizer(activation), x);
  }
  b.output("y", x);
  return b.finish();
}

Graph mlp(const std::string& quantizer, const std::string& activation, uint64_t seed) {
  return dense_layers({20, 33, 33, 5}, quantizer, activation, seed);
}

}  // namespace qloom::test
