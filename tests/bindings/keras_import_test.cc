// Keras layers → ops, on inline models small enough to follow by hand.
#include "bindings/import/keras_import.h"

#include <gtest/gtest.h>

#include <numeric>

#include "bindings/import/read.h"
#include "graph/interpret.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using testing::expect_user_error;

std::vector<float> counting(int64_t count, float first = 1, float step = 1) {
  std::vector<float> v(static_cast<size_t>(count));
  for (size_t k = 0; k < v.size(); ++k) v[k] = first + step * static_cast<float>(k);
  return v;
}

Tensor floats(Extents extents, std::vector<float> v) {
  return Tensor(std::move(extents), std::move(v));
}

// A Sequential model: an input of the shape and the given layer entries.
KerasModel sequential(const std::string& input_shape, const std::string& layers,
                      std::vector<KerasWeight> weights = {}) {
  KerasModel m = parse_keras_architecture(
      R"json({"class_name": "Sequential", "keras_version": "2.15.0", "config": {"name": "net", "layers": [
          {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": )json" +
          input_shape + "}}, " + layers + "]}}",
      "net.json");
  set_weights(m, std::move(weights));
  return m;
}

// A Functional model with inputs a and b of the given shapes and a layer `t` that reads both.
KerasModel two_inputs(const std::string& a, const std::string& b, const std::string& class_name,
                      const std::string& config = R"json("name": "t")json") {
  const auto input = [](const std::string& name, const std::string& shape) {
    return R"json({"name": ")json" + name +
           R"json(", "class_name": "InputLayer", "inbound_nodes": [], "config": {"name": ")json" +
           name + R"json(", "batch_input_shape": )json" + shape + "}}";
  };
  return parse_keras_architecture(
      R"json({"class_name": "Functional", "keras_version": "2.15.0", "config": {"name": "net", "layers": [)json" +
          input("a", a) + ", " + input("b", b) + R"json(, {"name": "t", "class_name": ")json" +
          class_name + R"json(", "config": {)json" + config + R"json(}, "inbound_nodes":
      [[["a", 0, 0, {}], ["b", 0, 0, {}]]]}], "input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": [["t", 0, 0]]}})json",
      "net.json");
}

Tensor run(const KerasModel& model, const std::vector<Tensor>& inputs) {
  const Graph graph = import_keras(model, {.evaluation = "eager"});
  const auto options = EvaluationOptions::preset("eager", Evaluation::qkeras);
  return to_f32(interpret(graph, inputs, options).at(0));
}

std::vector<float> values(const Tensor& t) { return {t.f32().begin(), t.f32().end()}; }

TEST(KerasImport, DenseIsProductBiasAndActivationUnderTheLayersName) {
  const KerasModel m = sequential(
      "[null, 2]", R"json({"class_name": "QDense", "config": {"name": "fc", "units": 2,
      "kernel_quantizer": "quantized_bits(4,1,1,alpha=1.0)", "bias_quantizer": "quantized_bits(4,2)",
      "activation": "quantized_relu(4,3)"}})json",
      {{"fc/kernel:0", {2, 2}, {1.1F, -0.6F, 0.24F, 9.0F}}, {"fc/bias:0", {2}, {1.0F, 0.7F}}});
  const Graph g = import_keras(m);
  for (const char* name : {"in", "fc/kernel", "fc/kernel_quantizer", "fc/dense", "fc/bias",
                           "fc/bias_quantizer", "fc/bias_add", "fc"}) {
    EXPECT_NE(g.find(name), nullptr) << name;
  }
  EXPECT_EQ(g.find("fc")->origins.at(0).layer_class, "QDense");
  EXPECT_EQ(g.outputs()[0].name, "fc");
  // Kernel: steps of 1/4 in [-1.75, 1.75]; bias: steps of 1/2 (0.7 → 0.5); activation: steps of
  // 1/2.
  EXPECT_EQ(values(run(m, {floats({1, 2}, {2.0F, 1.0F})})), (std::vector<float>{3.0F, 1.0F}));
}

TEST(KerasImport, UnsaidAlphaOfAKernelBecomesAutoPo2ButNotThatOfABias) {
  const KerasModel m =
      sequential("[null, 2]", R"json({"class_name": "QDense", "config": {"name": "fc", "units": 1,
      "kernel_quantizer": {"class_name": "quantized_bits", "config": {"bits": 4, "integer": 0, "alpha": null}},
      "bias_quantizer": "quantized_bits(4,0)"}})json",
                 {{"k", {2, 1}, {0.5F, 0.25F}}, {"b", {1}, {0.5F}}});
  const Graph g = import_keras(m);
  const auto arguments = [&](const char* node) {
    return g.find(node)->attributes["arguments"].as_attributes();
  };
  EXPECT_EQ(arguments("fc/kernel_quantizer")["alpha"].as_string(), "auto_po2");
  EXPECT_TRUE(arguments("fc/bias_quantizer")["alpha"].is_none());
}

TEST(KerasImport, HardSigmoidIsQKerassInQLayersAndKerassElsewhere) {
  const std::vector<Tensor> x{floats({1, 1}, {1.0F})};
  const auto of = [&](const char* class_name) {
    return values(
               run(sequential(
                       "[null, 1]",
                       std::string(R"json({"class_name": ")json") + class_name +
                           R"json(", "config": {"name": "t", "activation": "hard_sigmoid"}})json"),
                   x))
        .at(0);
  };
  EXPECT_EQ(of("QActivation"), 1.0F);
  EXPECT_NEAR(of("Activation"), 0.7F, 1e-6F);
}

TEST(KerasImport, Relu6LimitsAt6) {
  const std::vector<Tensor> x{floats({1, 4}, {-1.0F, 2.5F, 6.0F, 7.0F})};
  for (const char* class_name : {"Activation", "QActivation"})
    EXPECT_EQ(
        values(run(sequential("[null, 4]",
                              std::string(R"json({"class_name": ")json") + class_name +
                                  R"json(", "config": {"name": "t", "activation": "relu6"}})json"),
                   x)),
        (std::vector<float>{0.0F, 2.5F, 6.0F, 6.0F}))
        << class_name;
}

TEST(KerasImport, DepthwiseOutputChannelsAreChannelMajor) {
  // One pixel, window 1 × 1: output c·2 + j = x[c] · kernel[0, 0, c, j].
  const KerasModel m = sequential("[null, 1, 1, 3]",
                                  R"json({"class_name": "QDepthwiseConv2D", "config": {"name": "dw",
      "kernel_size": [1, 1], "depth_multiplier": 2, "use_bias": false, "depthwise_quantizer": null}})json",
                                  {{"dw/depthwise_kernel:0", {1, 1, 3, 2}, counting(6)}});
  EXPECT_EQ(values(run(m, {floats({1, 1, 1, 3}, {1.0F, 10.0F, 100.0F})})),
            (std::vector<float>{1, 2, 30, 40, 500, 600}));
}

TEST(KerasImport, ChannelsFirstIsTheSameConvolutionInAnotherLayout) {
  const auto model = [](const std::string& shape, const std::string& format) {
    return sequential(
        shape,
        R"json({"class_name": "QConv2D", "config": {"name": "c", "filters": 3, "kernel_size": [2, 3],
        "padding": "same", "activation": "relu", "data_format": ")json" +
            format + R"json("}})json",
        {{"k", {2, 3, 2, 3}, counting(36, -18)}, {"b", {3}, {1.0F, 2.0F, 3.0F}}});
  };
  const std::vector<float> x = counting(2 * 4 * 5, -20);
  std::vector<float> x_last(x.size());
  for (size_t c = 0; c < 2; ++c) {
    for (size_t p = 0; p < 20; ++p) x_last[p * 2 + c] = x[c * 20 + p];
  }
  const std::vector<float> first =
      values(run(model("[null, 2, 4, 5]", "channels_first"), {floats({1, 2, 4, 5}, x)}));
  const std::vector<float> last =
      values(run(model("[null, 4, 5, 2]", "channels_last"), {floats({1, 4, 5, 2}, x_last)}));
  ASSERT_EQ(first.size(), 60U);
  for (size_t c = 0; c < 3; ++c) {
    for (size_t p = 0; p < 20; ++p) EXPECT_EQ(first[c * 20 + p], last[p * 3 + c]);
  }
  EXPECT_GT(std::accumulate(first.begin(), first.end(), 0.0F), 0.0F);
}

TEST(KerasImport, TheMaskOfQConv2DMultipliesTheQuantizedKernel) {
  const KerasModel m = sequential(
      "[null, 1, 2, 1]", R"json({"class_name": "QConv2D", "config": {"name": "c", "filters": 1,
      "kernel_size": [1, 2], "use_bias": false, "mask": [[[[0.0]], [[2.0]]]],
      "kernel_quantizer": "quantized_bits(3,0,1,alpha=1.0)"}})json",
      {{"k", {1, 2, 1, 1}, {0.5F, 0.7F}}});
  EXPECT_EQ(values(run(m, {floats({1, 1, 2, 1}, {1.0F, 1.0F})})), (std::vector<float>{1.5F}));
  KerasModel wrong = m;
  wrong.layers[1].config.set("mask", ConfigValue::Array{int64_t{1}, int64_t{1}});
  expect_user_error([&] { (void)import_keras(wrong); }, {"layer 'c' (QConv2D): mask", "two axes"});
}

TEST(KerasImport, MergeGivesInputsOfLowerRankAxesOfSize1) {
  const Tensor a = floats({1, 2, 3}, counting(6));
  const Tensor b = floats({1, 3}, {10.0F, 20.0F, 30.0F});
  EXPECT_EQ(values(run(two_inputs("[null, 2, 3]", "[null, 3]", "Add"), {a, b})),
            (std::vector<float>{11, 22, 33, 14, 25, 36}));
  EXPECT_EQ(values(run(two_inputs("[null, 2, 3]", "[null, 2, 3]", "Average"),
                       {a, floats({1, 2, 3}, counting(6, 3))})),
            (std::vector<float>{2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(values(run(two_inputs("[null, 3]", "[null, 3]", "Subtract"),
                       {b, floats({1, 3}, counting(3))})),
            (std::vector<float>{9, 18, 27}));
  expect_user_error([] { (void)import_keras(two_inputs("[null, 3]", "[null, 4]", "Maximum")); },
                    {"layer 't' (Maximum)", "shapes", "[N, 3]", "[N, 4]"});
}

TEST(KerasImport, ConcatenateChecksTheOtherAxes) {
  const char* config = R"json("name": "t", "axis": 1)json";
  EXPECT_EQ(values(run(two_inputs("[null, 1, 2]", "[null, 2, 2]", "Concatenate", config),
                       {floats({1, 1, 2}, counting(2)), floats({1, 2, 2}, counting(4, 3))})),
            counting(6));
  expect_user_error(
      [&] {
        (void)import_keras(two_inputs("[null, 1, 2]", "[null, 2, 3]", "Concatenate", config));
      },
      {"'t' (Concatenate)", "outside axis 1"});
  expect_user_error(
      [] {
        (void)import_keras(two_inputs("[null, 2]", "[null, 2]", "Concatenate",
                                      R"json("name": "t", "axis": 0)json"));
      },
      {"axis", "not the batch"});
}

TEST(KerasImport, QAveragePoolingScalesBeforeAndAfter) {
  // A = 4, q(1/4) with 3 bits, integer 0 (steps of 1/4) = 0.25; with 2 bits (steps of 1/2) 0.25 →
  // 0.
  const auto model = [](const char* quantizer) {
    return sequential("[null, 2, 2, 1]",
                      std::string(R"json({"class_name": "QAveragePooling2D", "config": {"name": "p",
        "pool_size": [2, 2], "average_quantizer": )json") +
                          quantizer + "}}");
  };
  const std::vector<Tensor> x{floats({1, 2, 2, 1}, counting(4))};
  EXPECT_EQ(values(run(model("\"quantized_bits(3,0,1)\""), x)), (std::vector<float>{2.5F}));
  EXPECT_EQ(values(run(model("\"quantized_bits(2,0,1)\""), x)), (std::vector<float>{0.0F}));
  EXPECT_EQ(values(run(model("null"), x)), (std::vector<float>{2.5F}));
}

TEST(KerasImport, BatchNormalizationOverTwoAxes) {
  // y = (x - mean) / sqrt(variance + epsilon) · gamma + beta, with parameters [1, 2, 1, 2].
  const std::vector<float> gamma{1, 2, 3, 4};
  const KerasModel m = sequential(
      "[null, 2, 3, 2]", R"json({"class_name": "QBatchNormalization", "config": {"name": "bn",
      "axis": [1, 3], "epsilon": 0.0, "gamma_quantizer": null, "beta_quantizer": null, "mean_quantizer": null,
      "variance_quantizer": null}})json",
      {{"g", {1, 2, 1, 2}, gamma},
       {"b", {1, 2, 1, 2}, {10, 20, 30, 40}},
       {"m", {1, 2, 1, 2}, {0, 1, 0, 1}},
       {"v", {1, 2, 1, 2}, {1, 1, 1, 1}}});
  const std::vector<float> x = counting(12);
  const std::vector<float> y = values(run(m, {floats({1, 2, 3, 2}, x)}));
  ASSERT_EQ(y.size(), 12U);
  for (size_t h = 0; h < 2; ++h) {
    for (size_t w = 0; w < 3; ++w) {
      for (size_t c = 0; c < 2; ++c) {
        const size_t p = h * 2 + c;
        const size_t k = (h * 3 + w) * 2 + c;
        EXPECT_EQ(y[k], (x[k] - static_cast<float>(c)) * gamma[p] + 10 * static_cast<float>(p + 1))
            << k;
      }
    }
  }
}

TEST(KerasImport, QBatchNormalizationRefusesAnInverseQuantizerBesideItsDefaults) {
  const KerasModel m =
      sequential("[null, 2]", R"json({"class_name": "QBatchNormalization", "config": {"name": "bn",
      "inverse_quantizer": "quantized_bits(8,0,1)"}})json",
                 {{"g", {2}, {1, 1}}, {"b", {2}, {0, 0}}, {"m", {2}, {0, 0}}, {"v", {2}, {1, 1}}});
  expect_user_error([&] { (void)import_keras(m); },
                    {"'bn'", "inverse_quantizer", "gamma_quantizer"});
}

TEST(KerasImport, SplitSoftmaxGivesItsInputAsLogits) {
  const KerasModel m =
      sequential("[null, 2]", R"json({"class_name": "Dense", "config": {"name": "out", "units": 2,
      "activation": "softmax"}}, {"class_name": "Dropout", "config": {"name": "drop", "rate": 0.5}})json",
                 {{"k", {2, 2}, {1, 0, 0, 1}}, {"b", {2}, {1, 2}}});
  const Graph g = import_keras(m, {.split_softmax = true});
  ASSERT_EQ(g.outputs().size(), 2U);
  EXPECT_EQ(g.outputs()[1].name, "logits");
  const auto results = interpret(g, std::vector<Tensor>{floats({1, 2}, {3.0F, 4.0F})},
                                 EvaluationOptions::preset("eager", Evaluation::qkeras));
  EXPECT_EQ(values(to_f32(results[1])), (std::vector<float>{4, 6}));
  EXPECT_EQ(import_keras(m).outputs().size(), 1U);
}

TEST(KerasImport, FlattenReshapePaddingAndPooling) {
  const KerasModel m = sequential("[null, 2, 2, 1]", R"json(
      {"class_name": "ZeroPadding2D", "config": {"name": "pad", "padding": [[1, 0], [0, 1]]}},
      {"class_name": "MaxPooling2D", "config": {"name": "pool", "pool_size": [3, 2], "strides": [1, 1]}},
      {"class_name": "Reshape", "config": {"name": "shape", "target_shape": [-1, 1]}},
      {"class_name": "Flatten", "config": {"name": "flat"}})json");
  EXPECT_EQ(values(run(m, {floats({1, 2, 2, 1}, {1, 5, 3, 4})})), (std::vector<float>{5, 5}));
  const KerasModel wrong = sequential(
      "[null, 4]",
      R"json({"class_name": "Reshape", "config": {"name": "r", "target_shape": [3, -1]}})json");
  expect_user_error([&] { (void)import_keras(wrong); },
                    {"'r' (Reshape)", "target_shape", "product of 4"});
}

TEST(KerasImport, AMaskThatWouldBeUsedOtherwiseIsRefused) {
  const auto model = [](const char* consumer) {
    return sequential(
        "[null, 3, 2]",
        std::string(R"json({"class_name": "Masking", "config": {"name": "mask", "mask_value": 0.0}},
        {"class_name": "Activation", "config": {"name": "act", "activation": "relu"}}, {"class_name": ")json") +
            consumer + R"json(", "config": {"name": "t"}})json");
  };
  expect_user_error([&] { (void)import_keras(model("Softmax")); }, {"'t'", "mask"});
  const Tensor x = floats({1, 3, 2}, {1, 2, 0, 0, 0, 3});
  EXPECT_EQ(values(run(model("Flatten"), {x})), (std::vector<float>{1, 2, 0, 0, 0, 3}));
  EXPECT_EQ(values(run(model("GlobalAveragePooling1D"), {x})), (std::vector<float>{0.5F, 2.5F}));
}

TEST(KerasImport, UnsupportedLayersAreListedAllAtOnce) {
  KerasModel m = two_inputs("[null, 2]", "[null, 2]", "QMagicDense");
  m.layers[1].class_name = "QFancyConv2D";
  expect_user_error([&] { (void)import_keras(m); },
                    {"net.json", "'b' (QFancyConv2D)", "'t' (QMagicDense)"});
}

TEST(KerasImport, UnknownKeysAreErrorsUnlessNull) {
  KerasModel m =
      two_inputs("[null, 2]", "[null, 2]", "Add", R"json("name": "t", "future": null)json");
  EXPECT_EQ(import_keras(m).outputs().size(), 1U);
  m.layers[2].config.set("future", int64_t{3});
  expect_user_error([&] { (void)import_keras(m); }, {"layer 't' (Add): future", "unknown", "3"});
}

TEST(KerasImport, ErrorsNameLayerKeyExpectedAndFound) {
  const auto dense = [](const std::string& keys, std::vector<int64_t> shape = {2, 1}) {
    std::vector<KerasWeight> weights{
        {"fc/kernel:0", shape, std::vector<float>(static_cast<size_t>(shape[0] * shape[1]), 1.0F)},
        {"fc/bias:0", {1}, {0.0F}}};
    return sequential("[null, 2]",
                      R"json({"class_name": "QDense", "config": {"name": "fc")json" + keys + "}}",
                      std::move(weights));
  };
  const auto refuse = [&](const KerasModel& m, const std::vector<std::string>& words) {
    expect_user_error([&] { (void)import_keras(m); }, words);
  };
  const std::string owner = "net.json: layer 'fc' (QDense): ";
  refuse(dense(""), {owner + "units"});
  refuse(dense(R"json(, "units": 2.5)json"),
         {owner + "units: expected a positive integer, found 2.5"});
  refuse(dense(R"json(, "units": 1)json", {1, 2}),
         {owner, "kernel", "shape [1, 2], expected [2, 1]"});
  refuse(dense(R"json(, "units": 1, "dtype": "float16")json"), {owner + "dtype", "float32"});
  refuse(dense(R"json(, "units": 1, "kernel_quantizer": "quantized_magic(4)")json"),
         {owner + "kernel_quantizer", "quantized_magic"});
  refuse(
      dense(
          R"json(, "units": 1, "kernel_quantizer": {"class_name": "quantized_magic", "config": {"bits": 4}})json"),
      {owner + "kernel_quantizer", "quantized_magic"});
  refuse(
      dense(
          R"json(, "units": 1, "kernel_quantizer": {"class_name": "quantized_bits", "config": {"bits": NaN}})json"),
      {owner + "kernel_quantizer", "bits", "NaN"});
  refuse(
      dense(
          R"json(, "units": 1, "kernel_quantizer": {"class_name": "quantized_bits", "config": {"magic": 4}})json"),
      {owner + "kernel_quantizer", "magic"});
  refuse(dense(R"json(, "units": 1, "kernel_quantizer": 4)json"),
         {owner + "kernel_quantizer", "4"});
  refuse(dense(R"json(, "units": 1, "activation": "no_such_thing")json"),
         {owner + "activation", "no_such_thing"});
}

TEST(KerasImport, LayersWithoutTheirWeightsAreRefused) {
  KerasModel m = parse_keras_architecture(
      R"json({"class_name": "Sequential", "config": [{"class_name": "Dense", "config":
      {"name": "fc", "units": 1, "batch_input_shape": [null, 2]}}]})json",
      "net.json");
  expect_user_error([&] { (void)import_keras(m); }, {"'fc'", "0 weights", "expected 2"});
  expect_user_error([&] { set_weights(m, {{"k", {2, 1}, {1, 1}}}); },
                    {"'fc'", "expected 2 weights, only 1"});
}

TEST(KerasImport, NotesSayWhenWeightsAreMatchedByPosition) {
  KerasModel m = parse_keras_architecture(
      R"json({"class_name": "Sequential", "config": [{"class_name": "Dense", "config":
      {"name": "fc", "units": 1, "use_bias": false, "batch_input_shape": [null, 1]}}]})json",
      "net.json");
  m.has_weights = true;
  m.weight_groups = {{"other", {{"other/kernel:0", {1, 1}, {3.0F}}}}};
  std::vector<std::string> notes;
  (void)import_keras(m, {.notes = &notes});
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("by position"), std::string::npos);
  EXPECT_NE(notes[0].find("'other'"), std::string::npos);
}

TEST(KerasImport, ASharedLayerIsBuiltOncePerCall) {
  const KerasModel m = parse_keras_architecture(
      R"json({"class_name": "Functional", "config": {"name": "net", "layers": [
      {"name": "a", "class_name": "InputLayer", "config": {"name": "a", "batch_input_shape": [null, 2]}, "inbound_nodes": []},
      {"name": "s", "class_name": "ReLU", "config": {"name": "s", "threshold": 1.0},
       "inbound_nodes": [[["a", 0, 0, {}]], [["s", 0, 0, {}]]]}],
      "input_layers": [["a", 0, 0]], "output_layers": [["s", 1, 0]]}})json",
      "net.json");
  EXPECT_EQ(values(run(m, {floats({1, 2}, {0.5F, 2.0F})})), (std::vector<float>{0, 2}));
  EXPECT_NE(import_keras(m).find("s.1"), nullptr);
}

}  // namespace
}  // namespace qloom
