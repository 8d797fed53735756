// Forms in which Keras versions write the same thing, as small inline files.
#include "bindings/import/read_architecture.h"

#include <gtest/gtest.h>

#include "bindings/import/json.h"
#include "bindings/import/normalize.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using testing::expect_user_error;

KerasModel read(std::string_view text) {
  return keras::read_architecture(keras::parse_json(text, "m.json"), "m.json");
}

std::string normal(std::string_view text) {
  return keras::normalize(keras::parse_json(text, "test")).to_string(1000);
}

TEST(Normalize, LegacyAndNewObjectsBecomeOne) {
  const char* legacy = R"({"class_name": "quantized_bits", "config": {"bits": 4}})";
  EXPECT_EQ(normal(legacy), legacy);
  EXPECT_EQ(
      normal(
          R"({"class_name": "quantized_bits", "config": {"bits": 4}, "__passive_serialization__": true,
                       "shared_object_id": 5})"),
      legacy);
  EXPECT_EQ(
      normal(
          R"({"module": "qkeras.quantizers", "class_name": "quantized_bits", "config": {"bits": 4},
                       "registered_name": "qkeras>quantized_bits", "build_config": {"input_shape": [null, 4]}})"),
      legacy);
  EXPECT_EQ(normal(R"([{"q": {"class_name": "Custom>quantized_bits", "config": {"bits": 4}}}])"),
            std::string("[{\"q\": ") + legacy + "}]");
}

TEST(Normalize, WrappersBecomeTheirContents) {
  EXPECT_EQ(
      normal(
          R"({"class_name": "__tuple__", "items": [1, {"class_name": "__tuple__", "items": [2]}]})"),
      "[1, [2]]");
  EXPECT_EQ(normal(R"({"class_name": "TensorShape", "items": [null, 8]})"), "[null, 8]");
  EXPECT_EQ(normal(R"({"class_name": "__numpy__", "config": {"value": 3.5, "dtype": "float32"}})"),
            "3.5");
  EXPECT_EQ(
      normal(
          R"({"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"})"),
      "\"relu\"");
  EXPECT_EQ(
      normal(R"({"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"},
                       "registered_name": null})"),
      "\"float32\"");
  EXPECT_EQ(
      normal(
          R"({"class_name": "PolicyV1", "config": {"name": "mixed_float16", "loss_scale": null}})"),
      "\"mixed_float16\"");
}

TEST(Normalize, Keras3OperationsAreNoLayers) {
  EXPECT_EQ(
      normal(
          R"({"module": "keras.src.ops.numpy", "class_name": "Add", "config": {}, "registered_name": "Add"})"),
      R"({"class_name": "ops.Add", "config": {}})");
}

TEST(ReadArchitecture, SequentialAsListOfKeras2_0) {
  const KerasModel m = read(R"({"class_name": "Sequential", "config": [
      {"class_name": "Dense", "config": {"name": "d1", "units": 3, "batch_input_shape": [null, 16]}},
      {"class_name": "Dense", "config": {"name": "d2", "units": 2}}], "keras_version": "2.0.5"})");
  ASSERT_EQ(m.layers.size(), 3u);
  EXPECT_EQ(m.layers[0].class_name, "InputLayer");
  EXPECT_EQ(m.layers[0].name, "d1_input");
  EXPECT_EQ(m.layers[0].config.find("batch_input_shape")->to_string(), "[null, 16]");
  EXPECT_EQ(m.layers[2].calls.at(0).inputs.at(0), (InputRef{"d1", 0, 0}));
  EXPECT_EQ(m.inputs.at(0).layer, "d1_input");
  EXPECT_EQ(m.outputs.at(0).layer, "d2");
  EXPECT_EQ(m.keras_version, "2.0.5");
  EXPECT_FALSE(m.functional);
}

TEST(ReadArchitecture, SequentialInputShapeFromEachPlace) {
  const auto shape = [](const KerasModel& m) {
    return m.layers.at(0).config.find("batch_input_shape")->to_string();
  };
  const std::string head =
      R"({"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "Dense",
      "config": {"name": "d", "units": 1)";
  EXPECT_EQ(shape(read(head + R"(, "batch_shape": [null, 5]}}]}})")), "[null, 5]");
  EXPECT_EQ(shape(read(head + R"(, "input_shape": [5]}}]}})")), "[null, 5]");
  EXPECT_EQ(shape(read(head + R"(}}], "build_input_shape": [null, 6]}})")), "[null, 6]");
  EXPECT_EQ(
      shape(
          read(head +
               R"(}}], "build_input_shape": {"class_name": "TensorShape", "items": [null, 7]}}})")),
      "[null, 7]");
  expect_user_error([&] { read(head + "}}]}}"); }, {"m.json", "no input shape"});
}

TEST(ReadArchitecture, SequentialWithInputLayerEntryAddsNone) {
  const KerasModel m = read(R"({"class_name": "Sequential", "config": {"name": "s", "layers": [
      {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": [null, 4]}},
      {"class_name": "Dense", "config": {"name": "d", "batch_input_shape": [null, 4]}}]}})");
  EXPECT_EQ(m.layers.size(), 2u);
  EXPECT_EQ(m.name, "s");
}

// A Functional model whose only interesting layer `t` has the given inbound_nodes.
std::string functional(const std::string& inbound,
                       const std::string& outputs = R"([["t", 0, 0]])") {
  return R"({"class_name": "Functional", "config": {"name": "f", "layers": [
      {"name": "a", "class_name": "InputLayer", "config": {"name": "a", "batch_input_shape": [null, 4]}, "inbound_nodes": []},
      {"name": "b", "class_name": "InputLayer", "config": {"name": "b", "batch_input_shape": [null, 4]}, "inbound_nodes": []},
      {"name": "t", "class_name": "Thing", "config": {"name": "t"}, "inbound_nodes": )" +
         inbound + R"(}],
      "input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": )" +
         outputs + "}}";
}

const KerasLayer& thing(const KerasModel& m) { return *m.find("t"); }

TEST(ReadArchitecture, InboundNodesOfKeras2) {
  const KerasModel one = read(functional(R"([[["a", 0, 0, {"training": false}]]])"));
  ASSERT_EQ(thing(one).calls.size(), 1u);
  EXPECT_EQ(thing(one).calls[0].inputs.at(0), (InputRef{"a", 0, 0}));
  EXPECT_EQ(thing(one).calls[0].kwargs.to_string(), R"({"training": false})");
  EXPECT_TRUE(one.functional);

  const KerasModel two = read(functional(R"([[["a", 0, 0], ["b", 0, 0, {}]]])"));
  EXPECT_EQ(thing(two).calls.at(0).inputs.size(), 2u);

  const KerasModel shared = read(functional(R"([[["a", 0, 0, {}]], [["b", 0, 0, {}]]])"));
  EXPECT_EQ(thing(shared).calls.size(), 2u);

  // Op layers have one nesting level less.
  const KerasModel op = read(functional(R"([["a", 0, 0, {"y": 3.0, "name": null}]])"));
  ASSERT_EQ(thing(op).calls.size(), 1u);
  EXPECT_EQ(thing(op).calls[0].inputs.size(), 1u);
  EXPECT_EQ(*thing(op).calls[0].kwargs.find("y")->real(), 3.0);

  const KerasModel constant =
      read(functional(R"([["_CONSTANT_VALUE", -1, 2.0, {"y": ["a", 0, 0]}]])"));
  EXPECT_EQ(*thing(constant).calls.at(0).constant->real(), 2.0);

  // Structures are flattened, dicts in the order of their keys.
  const KerasModel dict = read(functional(R"([{"y": ["b", 0, 0, {}], "x": ["a", 0, 0, {}]}])"));
  ASSERT_EQ(thing(dict).calls.at(0).inputs.size(), 2u);
  EXPECT_EQ(thing(dict).calls[0].inputs[0].layer, "a");
}

TEST(ReadArchitecture, InboundNodesOfKeras3) {
  const auto tensor = [](const std::string& layer) {
    return R"({"class_name": "__keras_tensor__", "config": {"shape": [null, 4], "dtype": "float32",
               "keras_history": [")" +
           layer + R"(", 0, 0]}})";
  };
  const KerasModel m = read(functional(R"([{"args": [[)" + tensor("a") + ", " + tensor("b") +
                                       R"(]], "kwargs": {"mask": null}}])"));
  ASSERT_EQ(thing(m).calls.size(), 1u);
  ASSERT_EQ(thing(m).calls[0].inputs.size(), 2u);
  EXPECT_EQ(thing(m).calls[0].inputs[1], (InputRef{"b", 0, 0}));
  EXPECT_TRUE(thing(m).calls[0].kwargs.find("mask")->is_null());
}

TEST(ReadArchitecture, OutputsInEachForm) {
  const std::string node = R"([[["a", 0, 0, {}]]])";
  EXPECT_EQ(read(functional(node, R"(["t", 0, 0])")).outputs, (std::vector<InputRef>{{"t", 0, 0}}));
  EXPECT_EQ(read(functional(node, R"({"second": ["t", 0, 0], "first": ["b", 0, 0]})")).outputs,
            (std::vector<InputRef>{{"b", 0, 0}, {"t", 0, 0}}));
  expect_user_error([&] { read(functional(node, "[]")); }, {"output_layers", "no output"});
  expect_user_error([&] { read(functional(node, R"([["missing", 0, 0]])")); },
                    {"output_layers", "'missing'"});
}

TEST(ReadArchitecture, OrderPutsEveryCallAfterItsInputs) {
  const KerasModel m = read(R"({"class_name": "Model", "config": {"name": "f", "layers": [
      {"name": "late", "class_name": "T", "config": {"name": "late"}, "inbound_nodes": [[["early", 0, 0, {}]]]},
      {"name": "early", "class_name": "T", "config": {"name": "early"}, "inbound_nodes": [[["in", 0, 0, {}]]]},
      {"name": "in", "class_name": "InputLayer", "config": {"name": "in"}, "inbound_nodes": []}],
      "input_layers": [["in", 0, 0]], "output_layers": [["late", 0, 0]]}})");
  ASSERT_EQ(m.order.size(), 3u);
  EXPECT_EQ(m.layers[m.order[0].layer].name, "in");
  EXPECT_EQ(m.layers[m.order[1].layer].name, "early");
  EXPECT_EQ(m.layers[m.order[2].layer].name, "late");
}

TEST(ReadArchitecture, WiringErrorsNameTheLayers) {
  expect_user_error([] { read(functional(R"([[["nowhere", 0, 0, {}]]])")); },
                    {"layer 't' (Thing)", "'nowhere'"});
  expect_user_error([] { read(functional(R"([[["a", 5, 0, {}]]])")); },
                    {"layer 't' (Thing)", "call 5", "'a'"});
  expect_user_error([] { read(functional(R"([[["a", -1, 0, {}]]])")); },
                    {"'t'", "inbound_nodes[0][0]"});
  expect_user_error([] { read(functional(R"([[["t", 0, 0, {}]]])")); }, {"cycle", "'t' → 't'"});
  expect_user_error([] { read(functional("[[7]]")); },
                    {"layer 't' (Thing)", "inbound_nodes[0][0]", "7"});
  expect_user_error([] { read(functional("4")); },
                    {"layer 't' (Thing)", "inbound_nodes", "a list"});
}

TEST(ReadArchitecture, MalformedEntriesNameThePlace) {
  const auto sequential = [](const std::string& layers) {
    return R"({"class_name": "Sequential", "config": {"name": "s", "build_input_shape": [null, 4], "layers": )" +
           layers + "}}";
  };
  expect_user_error([&] { read(sequential(R"([{"class_name": "D", "config": {"name": 7}}])")); },
                    {"config.layers[0].config.name", "a string", "7"});
  expect_user_error(
      [&] { read(sequential(R"([{"class_name": "D", "config": {"name": "x\u0000"}}])")); },
      {"name", "NUL"});
  expect_user_error([&] { read(sequential(R"([{"class_name": "D"}])")); },
                    {"config.layers[0].config"});
  expect_user_error([&] { read(sequential(R"([{"config": {"name": "x"}}])")); },
                    {"config.layers[0].class_name"});
  expect_user_error([&] { read(sequential(R"({"a": 1})")); }, {"config.layers", "a list"});
  expect_user_error([&] { read(sequential("[]")); }, {"layers", "no output"});
  expect_user_error(
      [&] {
        read(sequential(
            R"([{"class_name": "D", "config": {"name": "x"}}, {"class_name": "E", "config": {"name": "x"}}])"));
      },
      {"layer 'x' (E)", "class D"});
  expect_user_error([] { read("42"); }, {"m.json", "object", "42"});
  expect_user_error([] { read(R"({"class_name": "Sequential", "config": null})"); }, {"config"});
  expect_user_error([] { read(R"({"class_name": "MyNet", "config": {}})"); },
                    {"class_name", "MyNet", "Functional"});
}

}  // namespace
}  // namespace qloom
