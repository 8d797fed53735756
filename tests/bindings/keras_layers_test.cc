// Keras layers that are made of several ops, on models small enough to follow by hand.
#include <gtest/gtest.h>

#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using testing::expect_user_error;
using Floats = std::vector<float>;

// A Sequential model of one layer called `t`.
KerasModel model(const std::string& input_shape, const std::string& class_name,
                 const std::string& config, std::vector<KerasWeight> weights = {}) {
  KerasModel m = parse_keras_architecture(
      R"json({"class_name": "Sequential", "keras_version": "2.15.0", "config": {"name": "net", "layers": [
          {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": )json" +
          input_shape + R"json(}}, {"class_name": ")json" + class_name +
          R"json(", "config": {"name": "t")json" + (config.empty() ? "" : ", ") + config + "}}]}}",
      "net.json");
  set_weights(m, std::move(weights));
  return m;
}

Floats call(const Graph& graph, const Tensor& x, State* state = nullptr) {
  const auto options = EvaluationOptions::preset("eager", Evaluation::qkeras);
  const Tensor y = to_f32(interpret(graph, std::vector{x}, options, {}, state).at(0));
  return {y.f32().begin(), y.f32().end()};
}

Floats run(const KerasModel& m, const Extents& extents, Floats x) {
  return call(import_keras(m, {.evaluation = "eager"}), Tensor(extents, std::move(x)));
}

// The vector of QKeras's own test: a kernel of ones, signs of weights, bias 1.
TEST(KerasLayers, TransposedConvolution) {
  const KerasModel m =
      model("[null, 4, 4, 1]", "QConv2DTranspose",
            R"json("filters": 1, "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid",
             "kernel_quantizer": "binary()", "bias_quantizer": "binary()")json",
            {{"t/kernel:0", {3, 3, 1, 1}, Floats(9, 1)}, {"t/bias:0", {1}, {1}}});
  EXPECT_EQ(run(m, {1, 4, 4, 1}, Floats(16, 1)),
            (Floats{2, 3, 4,  4,  3, 2, 3, 5, 7, 7, 5, 3, 4, 7, 10, 10, 7, 4,
                    4, 7, 10, 10, 7, 4, 3, 5, 7, 7, 5, 3, 2, 3, 4,  4,  3, 2}));
  const Graph g = import_keras(m);
  EXPECT_EQ(g.find("t/conv")->op, &ops::conv_transpose);
  EXPECT_EQ(g.find("t")->op, &ops::elementwise);
}

TEST(KerasLayers, ScaleShift) {
  const KerasModel m = model("[null, 2]", "QScaleShift",
                             R"json("weight_quantizer": "quantized_bits(8,2,alpha=1.0)",
                                    "bias_quantizer": "quantized_bits(8,2,alpha=1.0)",
                                    "activation": "quantized_bits(8,4,alpha=1.0)")json",
                             {{"t/weight:0", {1, 1}, {1}}, {"t/bias:0", {1, 1}, {4}}});
  EXPECT_EQ(run(m, {2, 2}, {1, 1, 2, 2}), (Floats{5, 5, 6, 6}));
}

// γ 2, variance 2, mean 4: the kernel of ones becomes 2/√2.001, the bias -4 times that.
TEST(KerasLayers, FoldedWeightsAreConstants) {
  const KerasModel m = model("[null, 1, 1, 1]", "QDepthwiseConv2DBatchnorm",
                             R"json("kernel_size": [1, 1], "epsilon": 0.001)json",
                             {{"t/depthwise_kernel:0", {1, 1, 1, 1}, {1}},
                              {"t/bias:0", {1}, {0}},
                              {"t/bn/gamma:0", {1}, {2}},
                              {"t/bn/beta:0", {1}, {0}},
                              {"t/iteration:0", {}, {-1}},
                              {"t/bn/moving_mean:0", {1}, {4}},
                              {"t/bn/moving_variance:0", {1}, {2}}});
  const Graph g = import_keras(m);
  for (const NodeId id : g.order()) {
    const Node& node = g.node(id);
    EXPECT_TRUE(node.is(ops::input) || node.is(ops::constant) || node.is(ops::conv) ||
                node.is(ops::reshape) || node.name == "t")
        << node.name;
  }
  const Floats y = run(m, {2, 1, 1, 1}, {0, 1});
  EXPECT_FLOAT_EQ(y[0], -5.655441F);
  EXPECT_FLOAT_EQ(y[1] - y[0], 1.4138602F);
}

TEST(KerasLayers, FoldedLayersRefuseWhatTheyCannot) {
  const std::string geometry = R"json("filters": 1, "kernel_size": [1, 1])json";
  std::vector<KerasWeight> weights{{"t/kernel:0", {1, 1, 1, 1}, {1}}, {"t/bias:0", {1}, {0}},
                                   {"t/gamma:0", {1}, {2}},           {"t/beta:0", {1}, {0}},
                                   {"t/iteration:0", {}, {-1}},       {"t/mean:0", {1}, {4}},
                                   {"t/variance:0", {1}, {2}}};
  expect_user_error(
      [&] {
        (void)import_keras(model("[null, 1, 1, 1]", "QConv2DBatchnorm",
                                 geometry + R"json(, "folding_mode": "other")json", weights));
      },
      {"'t' (QConv2DBatchnorm)", "folding_mode", "other", "batch_stats_folding"});
  expect_user_error(
      [&] {
        (void)import_keras(model("[null, 1, 1, 1]", "QConv2DBatchnorm",
                                 geometry + R"json(, "axis": [1])json", weights));
      },
      {"axis", "channels"});
}

// Training: y normalized by the batch, moving statistics a tenth of the way there.
TEST(KerasLayers, BatchNormalizationFollowsTheBatch) {
  const KerasModel m = model("[null, 2]", "BatchNormalization",
                             R"json("axis": [1], "momentum": 0.875, "epsilon": 0.0)json",
                             {{"t/gamma:0", {2}, {1, 1}},
                              {"t/beta:0", {2}, {0, 10}},
                              {"t/moving_mean:0", {2}, {8, 0}},
                              {"t/moving_variance:0", {2}, {1, 1}}});
  const Graph training = import_keras(m, {.evaluation = "eager", .phase = Phase::training});
  const Graph inference = import_keras(m, {.evaluation = "eager", .keep_state = true});
  const Tensor x({2, 2}, Floats{-2, 3, 2, 5});
  State state;
  EXPECT_EQ(call(training, x, &state), (Floats{-1, 9, 1, 11}));
  EXPECT_EQ(state.at("t/moving_mean").f32()[0], 7);
  EXPECT_EQ(state.at("t/moving_mean").f32()[1], 0.5F);
  EXPECT_EQ(state.at("t/moving_variance").f32()[0], 1 + 3 / 8.0F);
  EXPECT_EQ(state.at("t/moving_variance").f32()[1], 1);
  EXPECT_EQ(call(inference, x, &state)[1], 12.5F);
  EXPECT_EQ(state.size(), 2U);
  // A frozen layer does not follow.
  const KerasModel frozen = model("[null, 2]", "BatchNormalization",
                                  R"json("axis": [1], "epsilon": 0.0, "trainable": false)json",
                                  {{"t/gamma:0", {2}, {1, 1}},
                                   {"t/beta:0", {2}, {0, 10}},
                                   {"t/moving_mean:0", {2}, {8, 0}},
                                   {"t/moving_variance:0", {2}, {1, 1}}});
  State untouched;
  EXPECT_EQ(
      call(import_keras(frozen, {.evaluation = "eager", .phase = Phase::training}), x, &untouched),
      (Floats{-10, 13, -6, 15}));
  EXPECT_TRUE(untouched.empty());
}

// total_bits 3 unsigned: codes of 1/8 with no integer bit, of 1/4 with one.
TEST(KerasLayers, AdaptiveActivationUsesTheBitsOfTheCallBefore) {
  const KerasModel m =
      model("[null, 2]", "QAdaptiveActivation",
            R"json("activation": "quantized_relu", "total_bits": 3,
                                    "current_step": -1, "ema_decay": 0.0)json",
            {{"t/step:0", {}, {-1}}, {"t/ema_min:0", {1}, {0}}, {"t/ema_max:0", {1}, {0}}});
  const Graph training = import_keras(m, {.evaluation = "eager", .phase = Phase::training});
  const Graph inference = import_keras(m, {.evaluation = "eager", .keep_state = true});
  const Tensor x({1, 2}, Floats{-1, 1.5F});
  State state;
  EXPECT_EQ(call(training, x, &state), (Floats{0, 0.875F}));
  EXPECT_EQ(state.at("t/step").f32()[0], 0);
  EXPECT_EQ(state.at("t/ema_max").f32()[0], 1.5F);
  EXPECT_EQ(state.at("t/integer").f32()[0], 1);
  EXPECT_EQ(call(inference, x, &state), (Floats{0, 1.5F}));
  // Without state: a plain quantizer with the integer bits of the stored averages.
  KerasModel trained = m;
  trained.layers[1].weights[2].values = {1.5F};
  const Graph plain = import_keras(trained);
  EXPECT_EQ(plain.find("t")->op, &ops::quantize);
  EXPECT_EQ(call(plain, x), (Floats{0, 1.5F}));
}

TEST(KerasLayers, MovesAndSimpleFunctions) {
  EXPECT_EQ(run(model("[null, 2, 1]", "UpSampling1D", R"json("size": 2)json"), {1, 2, 1}, {1, 2}),
            (Floats{1, 1, 2, 2}));
  EXPECT_EQ(run(model("[null, 1, 1, 2]", "UpSampling2D",
                      R"json("size": [1, 2], "data_format": "channels_first")json"),
                {1, 1, 1, 2}, {1, 2}),
            (Floats{1, 1, 2, 2}));
  EXPECT_EQ(run(model("[null, 4, 1]", "Cropping1D", R"json("cropping": [1, 2])json"), {1, 4, 1},
                {1, 2, 3, 4}),
            (Floats{2}));
  EXPECT_EQ(run(model("[null, 2, 3, 1]", "Cropping2D", R"json("cropping": [[1, 0], [0, 1]])json"),
                {1, 2, 3, 1}, {1, 2, 3, 4, 5, 6}),
            (Floats{4, 5}));
  EXPECT_EQ(run(model("[null, 2, 3]", "Permute", R"json("dims": [2, 1])json"), {1, 2, 3},
                {1, 2, 3, 4, 5, 6}),
            (Floats{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(run(model("[null, 2]", "RepeatVector", R"json("n": 2)json"), {1, 2}, {1, 2}),
            (Floats{1, 2, 1, 2}));
  EXPECT_EQ(
      run(model("[null, 3]", "ThresholdedReLU", R"json("theta": 1.0)json"), {1, 3}, {1, 1.5F, -2}),
      (Floats{0, 1.5F, 0}));
  EXPECT_EQ(run(model("[null, 2, 2]", "PReLU", R"json("shared_axes": [1])json",
                      {{"t/alpha:0", {1, 2}, {0.5F, 2}}}),
                {1, 2, 2}, {-1, -1, 3, -2}),
            (Floats{-0.5F, -2, 3, -4}));
  EXPECT_EQ(run(model("[null, 2]", "LayerNormalization", R"json("axis": [1], "epsilon": 0.0)json",
                      {{"t/gamma:0", {2}, {1, 2}}, {"t/beta:0", {2}, {0, 1}}}),
                {1, 2}, {1, 5}),
            (Floats{-1, 3}));
  EXPECT_EQ(run(model("[null, 2]", "Embedding", R"json("input_dim": 2, "output_dim": 1)json",
                      {{"t/embeddings:0", {2, 1}, {7, 9}}}),
                {1, 2}, {1, 0}),
            (Floats{9, 7}));
}

TEST(KerasLayers, ErrorsNameLayerAndKey) {
  expect_user_error(
      [] {
        (void)import_keras(model("[null, 4, 1]", "Cropping1D", R"json("cropping": [2, 2])json"));
      },
      {"'t' (Cropping1D)", "cropping", "nothing is left of 4"});
  expect_user_error(
      [] { (void)import_keras(model("[null, 2, 3]", "Permute", R"json("dims": [0, 1])json")); },
      {"'t' (Permute)", "dims", "axes 1 to 2"});
  expect_user_error(
      [] {
        (void)import_keras(
            model("[null, 2]", "QAdaptiveActivation",
                  R"json("activation": "quantized_tanh", "total_bits": 3)json",
                  {{"t/step:0", {}, {-1}}, {"t/ema_min:0", {1}, {0}}, {"t/ema_max:0", {1}, {0}}}));
      },
      {"'t' (QAdaptiveActivation)", "activation", "quantized_tanh", "quantized_relu"});
  expect_user_error(
      [] {
        (void)import_keras(model("[null, 2]", "Dropout", R"json("rate": 0.5)json"),
                           {.phase = Phase::training});
      },
      {"'t' (Dropout)", "training"});
}

}  // namespace
}  // namespace qloom
