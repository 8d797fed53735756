// The statistics of small networks that can be followed by hand, and what becomes of networks that
// QTools refuses.
#include "bindings/cpp/stats.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bindings/import/read.h"
#include "bindings/report/qtools_json.h"
#include "bindings/report/stats.h"
#include "graph/support/error.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using Json = nlohmann::ordered_json;
using qtools::LayerTypes;

/// An entry of a functional model: class, configuration, names of the layers it reads.
struct Entry {
  std::string class_name, name;
  Json config = Json::object();
  std::vector<std::string> inputs = {};
};

KerasModel functional(const std::vector<Entry>& entries) {
  Json layers = Json::array(), inputs = Json::array();
  for (const Entry& e : entries) {
    Json config = e.config, nodes = Json::array();
    config["name"] = e.name;
    for (const std::string& input : e.inputs) nodes.push_back({input, 0, 0, Json::object()});
    layers.push_back({{"class_name", e.class_name},
                      {"name", e.name},
                      {"config", config},
                      {"inbound_nodes", e.inputs.empty() ? Json::array() : Json::array({nodes})}});
    if (e.class_name == "InputLayer") inputs.push_back({e.name, 0, 0});
  }
  const Json model{{"class_name", "Functional"},
                   {"config",
                    {{"name", "m"},
                     {"layers", layers},
                     {"input_layers", inputs},
                     {"output_layers", {{entries.back().name, 0, 0}}}}}};
  return parse_keras_architecture(model.dump(), "m.json");
}

Entry input(const std::string& name, const Json& shape) {
  return {"InputLayer", name, {{"batch_input_shape", shape}, {"dtype", "float32"}}};
}

Entry dense(const std::string& name, int units, const std::string& kernel, const Json& bias,
            const std::string& from) {
  return {"QDense",
          name,
          {{"units", units},
           {"use_bias", !bias.is_null()},
           {"activation", "linear"},
           {"kernel_quantizer", kernel},
           {"bias_quantizer", bias}},
          {from}};
}

bool refuses(const std::vector<qtools::Refusal>& refusals, std::string_view exception) {
  return std::ranges::find(refusals, exception, &qtools::Refusal::exception) != refusals.end();
}

/// The example of the specification (7.3, 8): three layers, all numbers known.
KerasModel three_layers() {
  return functional({input("x", {nullptr, 16}),
                     dense("fc1", 8, "ternary()", "quantized_bits(4,1,1)", "x"),
                     {"QActivation", "act1", {{"activation", "quantized_relu(3,1)"}}, {"fc1"}},
                     dense("fc2", 4, "quantized_po2(4,1)", nullptr, "act1")});
}

TEST(Stats, MapOfThreeLayers) {
  const Json map = report::to_json(model_stats(three_layers()).map);
  EXPECT_EQ(map.begin().key(), "source_quantizers");
  EXPECT_EQ(map["fc1"]["multiplier"],
            Json::parse(R"({"quantizer_type": "quantized_bits", "bits": 8, "int_bits": 1,
                            "is_signed": 1, "op_type": "mux"})"));
  EXPECT_EQ(map["fc1"]["accumulator"],
            Json::parse(R"({"quantizer_type": "quantized_bits", "bits": 13, "int_bits": 6,
                            "is_signed": 1, "op_type": "add"})"));
  EXPECT_EQ(map["fc1"]["weight_quantizer"],
            Json::parse(R"({"quantizer_type": "ternary", "bits": 2, "int_bits": 2, "is_signed": 1,
                            "values": [0, -1, 1], "shape": [16, 8]})"));
  EXPECT_EQ(map["fc1"]["bias_quantizer"]["shape"], 8);
  EXPECT_EQ(map["act1"]["output_quantizer"]["shape"], Json::parse("[-1, 8]"));
  EXPECT_EQ(map["fc2"]["weight_quantizer"],
            Json::parse(R"({"quantizer_type": "quantized_po2", "bits": 4, "is_signed": 1,
                            "max_value": 1, "shape": [8, 4]})"));
  EXPECT_EQ(map["fc2"]["multiplier"]["op_type"], "shifter");
  EXPECT_EQ(map["fc2"]["accumulator"]["bits"], 11);
  EXPECT_EQ(map["fc2"]["accumulator"]["int_bits"], 5);
  EXPECT_FALSE(map["fc2"].contains("bias_quantizer"));
}

TEST(Stats, EnergyAndSizesOfThreeLayers) {
  StatsOptions options;
  options.energy.weights_memory = options.energy.activations_memory = "sram";
  options.energy.through_sram = false;
  const ModelStats stats = model_stats(three_layers(), options);
  const auto cost = [&](size_t layer) { return stats.energy.layers[layer].rounded(); };
  EXPECT_EQ(cost(0), (std::array{0.91, 0.93, 2.14, 7.12}));
  EXPECT_EQ(cost(1), (std::array{0.93, 0.48, 0.0, 0.0}));
  EXPECT_EQ(cost(2), (std::array{0.48, 0.49, 0.91, 1.68}));
  EXPECT_EQ(stats.energy.counted_sum(), 13);
  EXPECT_EQ(stats.energy.total_cost(), 16);
  EXPECT_EQ(stats.roofline.ace, 2432);
  EXPECT_EQ(stats.roofline.weight_bytes, 52);
  EXPECT_EQ(stats.roofline.activation_bytes, 19);
}

TEST(Stats, SubtractAndDotHaveAMarkedRule) {
  const auto branches = [](const std::string& merge, const Json& config) {
    return functional({input("x", {nullptr, 6}),
                       dense("a", 4, "quantized_bits(4,0,1)", nullptr, "x"),
                       dense("b", 4, "quantized_bits(4,0,1)", nullptr, "x"),
                       {"QActivation", "ar", {{"activation", "quantized_relu(4,1)"}}, {"a"}},
                       {"QActivation", "br", {{"activation", "quantized_relu(6,3)"}}, {"b"}},
                       {merge, "merge", config, {"ar", "br"}}});
  };
  const ModelStats subtract = model_stats(branches("Subtract", Json::object()));
  EXPECT_TRUE(refuses(subtract.map.refusals, "AttributeError"));
  const LayerTypes& difference = *subtract.map.find("merge");
  EXPECT_TRUE(difference.output.is_signed);  // of two unsigned numbers
  EXPECT_EQ(difference.output.bits, 8);
  EXPECT_EQ(difference.output.int_bits, 4);
  const ModelStats dot = model_stats(branches("Dot", {{"axes", 1}}));
  EXPECT_TRUE(refuses(dot.map.refusals, "AttributeError"));
  EXPECT_EQ(dot.map.find("merge")->output.bits, 4 + 6 + 2);  // product, and 4 terms
  const std::string text = report::to_text(dot, 80);
  EXPECT_NE(text.find("QTools has no rule for Dot"), std::string::npos) << text;
}

TEST(Stats, AveragePoolingCostsItsAdditions) {
  const ModelStats stats = model_stats(functional(
      {input("x", {nullptr, 4, 4, 2}), {"AveragePooling2D", "p", {{"pool_size", {2, 2}}}, {"x"}}}));
  EXPECT_TRUE(refuses(stats.energy.refusals, "AttributeError"));
  EXPECT_TRUE(stats.map.refusals.empty());
  // 2 channels × 4 elements, sums of 10 bits.
  EXPECT_DOUBLE_EQ(stats.energy.layers[0].operations, 8 * 10 * 0.003125);
}

TEST(Stats, LayersWithoutARulePassTypesOn) {
  const ModelStats stats = model_stats(functional(
      {input("x", {nullptr, 5, 3}),
       {"LSTM", "lstm", {{"units", 4}, {"return_sequences", true}, {"activation", "tanh"}}, {"x"}},
       {"ReLU", "relu", Json::object(), {"lstm"}}}));
  EXPECT_EQ(stats.map.passed_through, (std::vector<std::string>{"lstm", "relu"}));
  EXPECT_EQ(stats.map.find("relu")->output, stats.map.sources[0]);
  EXPECT_EQ(stats.map.find("relu")->output_shape.extents, (Extents{-1, 5, 4}));
}

TEST(Stats, WhatCannotBeSaidIsRefusedByName) {
  testing::expect_user_error(
      [] {
        (void)model_stats(
            functional({input("x", {nullptr, 4}), {"Mystery", "m", Json::object(), {"x"}}}));
      },
      {"m.json", "'m'", "Mystery", "not known"});
  testing::expect_user_error(
      [] {
        (void)model_stats(
            functional({input("x", {nullptr, 4}),
                        {"BatchNormalization", "bn", {{"axis", Json::array()}}, {"x"}}}));
      },
      {"m.json", "'bn'", "axis", "one axis or more"});
  StatsOptions options;
  options.rules = "none";
  testing::expect_user_error([&] { (void)model_stats(three_layers(), options); },
                             {"none", "qkeras"});
  options.rules = "qkeras";
  options.process = "tomorrow";
  testing::expect_user_error([&] { (void)model_stats(three_layers(), options); },
                             {"tomorrow", "horowitz"});
  options.process = "horowitz";
  options.map.sources = {{"int8", "int8"}};
  testing::expect_user_error([&] { (void)model_stats(three_layers(), options); },
                             {"2 source types", "1 inputs"});
}

/// The example of the specification (12, E11): a convolution and a batch normalisation in one.
TEST(Stats, BatchNormCanBeMerged) {
  const KerasModel keras = functional({input("x", {nullptr, 23, 23, 1}),
                                       {"QConv2D",
                                        "c",
                                        {{"filters", 4},
                                         {"kernel_size", {2, 2}},
                                         {"strides", {23, 23}},
                                         {"use_bias", false},
                                         {"kernel_quantizer", "quantized_bits(4,0,1)"},
                                         {"bias_quantizer", nullptr},
                                         {"activation", "linear"}},
                                        {"x"}},
                                       {"QBatchNormalization",
                                        "bn",
                                        {{"scale", false},
                                         {"center", false},
                                         {"gamma_quantizer", nullptr},
                                         {"beta_quantizer", nullptr},
                                         {"variance_quantizer", nullptr},
                                         {"mean_quantizer", "quantized_bits(6,0,1)"},
                                         {"inverse_quantizer", "quantized_bits(16,0,1)"}},
                                        {"c"}}});
  StatsOptions options;
  options.fuse_batch_norm = true;
  options.map.sources = {{"quantized_bits(4,0,1)"}};
  const Json map = report::to_json(model_stats(keras, options).map);
  EXPECT_EQ(map["c"]["multiplier"]["bits"], 7);
  EXPECT_EQ(map["c"]["accumulator"]["bits"], 9);
  EXPECT_EQ(map["c"]["fused_accumulator"]["bits"], 25);
  EXPECT_EQ(map["c"]["fused_accumulator"]["int_bits"], 4);
  EXPECT_EQ(map["bn"]["output_quantizer"]["bits"], 25);
  EXPECT_FALSE(map["bn"].contains("gamma_quantizer"));
  options.fuse_batch_norm = false;
  EXPECT_TRUE(report::to_json(model_stats(keras, options).map)["bn"].contains("gamma_quantizer"));
}

TEST(Stats, NamesOfTypesAreShort) {
  using qtools::QtoolsType;
  EXPECT_EQ(report::short_text(QtoolsType::fixed(8, 0, true)), "s8.1");
  EXPECT_EQ(report::short_text(QtoolsType::fixed(4, 1, false)), "u4.1");
  EXPECT_EQ(report::short_text(QtoolsType::po2(4, true)), "po2(4)");
  EXPECT_EQ(report::short_text(QtoolsType::po2(3, false, 2)), "relu_po2(3)");
  EXPECT_EQ(report::short_text(QtoolsType::ternary()), "ternary");
  EXPECT_EQ(report::short_text(QtoolsType::binary(false)), "±1");
  EXPECT_EQ(report::short_text(QtoolsType::binary(true)), "0/1");
  EXPECT_EQ(report::short_text(QtoolsType::floating(16)), "f16");
}

}  // namespace
}  // namespace qloom
