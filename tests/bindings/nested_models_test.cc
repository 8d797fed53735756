// Nested and shared models, wrappers and operators, on inline models small enough to follow by
// hand.
#include <gtest/gtest.h>

#include "bindings/import/assign_weights.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/interpret.h"
#include "tests/bindings/expect_error.h"

namespace qloom {
namespace {

using testing::expect_user_error;

std::string input(const std::string& name, const std::string& shape = "[null, 2]") {
  return R"({"name": ")" + name + R"(", "class_name": "InputLayer", "inbound_nodes": [],
             "config": {"name": ")" +
         name + R"(", "batch_input_shape": )" + shape + "}}";
}

std::string layer(const std::string& name, const std::string& class_name, const std::string& config,
                  const std::string& inbound) {
  return R"({"name": ")" + name + R"(", "class_name": ")" + class_name +
         R"(", "config": {"name": ")" + name + "\"" + (config.empty() ? "" : ", " + config) +
         R"(}, "inbound_nodes": )" + inbound + "}";
}

std::string functional_config(const std::string& layers, const std::string& inputs,
                              const std::string& outputs) {
  return R"("layers": [)" + layers + R"(], "input_layers": )" + inputs + R"(, "output_layers": )" +
         outputs;
}

KerasModel read(const std::string& layers, const std::string& inputs, const std::string& outputs) {
  return parse_keras_architecture(
      R"({"class_name": "Functional", "keras_version": "2.15.0", "config": {"name": "m", )" +
          functional_config(layers, inputs, outputs) + "}}",
      "m.json");
}

Tensor run(const KerasModel& model, const std::vector<Tensor>& inputs) {
  const Graph graph = import_keras(model, {.evaluation = "eager"});
  return to_f32(
      interpret(graph, inputs, EvaluationOptions::preset("eager", Evaluation::qkeras)).at(0));
}

Tensor floats(Extents extents, std::vector<float> v) {
  return Tensor(std::move(extents), std::move(v));
}

std::vector<float> values(const Tensor& t) { return {t.f32().begin(), t.f32().end()}; }

const std::string kScale = R"("scale": 10.0, "offset": 1.0)";

// y = 10 x + 1, and the input handed through.
std::string inner_config() {
  return functional_config(
      input("in") + ", " + layer("r", "Rescaling", kScale, R"([[["in", 0, 0, {}]]])"),
      R"([["in", 0, 0]])", R"([["r", 0, 0], ["in", 0, 0]])");
}

TEST(NestedModels, AreReplacedByTheirLayersOncePerCall) {
  // inner(a), inner(inner(a)[0]); Keras 2 counts their calls from 1.
  const KerasModel m =
      read(input("a") + ", " +
               layer("inner", "Functional", inner_config(),
                     R"([[["a", 0, 0, {}]], [["inner", 1, 0, {}]]])") +
               ", " + layer("t", "Subtract", "", R"([[["inner", 2, 0, {}], ["inner", 1, 1, {}]]])"),
           R"([["a", 0, 0]])", R"([["t", 0, 0]])");
  ASSERT_EQ(m.layers.size(), 3u);
  const KerasLayer& r = *m.find("inner/r");
  ASSERT_EQ(r.calls.size(), 2u);
  EXPECT_EQ(r.calls[0].inputs, (std::vector<InputRef>{{"a", 0, 0}}));
  EXPECT_EQ(r.calls[1].inputs, (std::vector<InputRef>{{"inner/r", 0, 0}}));
  EXPECT_EQ(m.find("t")->calls[0].inputs, (std::vector<InputRef>{{"inner/r", 1, 0}, {"a", 0, 0}}));
  // 10 (10 x + 1) + 1 - x
  EXPECT_EQ(values(run(m, {floats({1, 2}, {1.0F, 2.0F})})), (std::vector<float>{110, 209}));
}

TEST(NestedModels, InOtherNestedModelsAndInSequentialOnes) {
  const std::string middle = functional_config(
      input("x") + ", " + layer("inner", "Functional", inner_config(), R"([[["x", 0, 0, {}]]])"),
      R"([["x", 0, 0]])", R"([["inner", 1, 0]])");
  const KerasModel m = parse_keras_architecture(
      R"({"class_name": "Sequential", "keras_version": "2.15.0", "config": {"name": "s", "layers": [)" +
          layer("middle", "Functional", middle, "[]") + ", " +
          layer("f", "Rescaling", kScale, "[]") + "]}}",
      "s.json");
  ASSERT_NE(m.find("middle/inner/r"), nullptr);
  EXPECT_EQ(values(run(m, {floats({1, 2}, {1.0F, 2.0F})})), (std::vector<float>{111, 211}));
}

TEST(NestedModels, GroupsOfWeightsAreNamedByClassAndPosition) {
  const KerasModel m =
      read(input("a") + ", " + layer("p", "QConv2DTranspose", "", R"([[["a", 0, 0, {}]]])") + ", " +
               layer("q", "QConv2DTranspose", "", R"([[["p", 0, 0, {}]]])") + ", " +
               layer("inner", "Functional", inner_config(), R"([[["q", 0, 0, {}]]])"),
           R"([["a", 0, 0]])", R"([["inner", 1, 0]])");
  EXPECT_EQ(m.find("p")->places.at(0).group, "q_conv2d_transpose");
  EXPECT_EQ(m.find("q")->places.at(0).group, "q_conv2d_transpose_1");
  ASSERT_EQ(m.find("inner/r")->places.size(), 2u);
  EXPECT_EQ(m.find("inner/r")->places[0].group, "functional");
  EXPECT_EQ(m.find("inner/r")->places[1].group, "rescaling");
}

TEST(NestedModels, AreRefusedWhereCallsDoNotFit) {
  const auto with = [](const std::string& inbound, const std::string& output) {
    return [=] {
      (void)read(input("a") + ", " + layer("inner", "Functional", inner_config(), inbound),
                 R"([["a", 0, 0]])", output);
    };
  };
  expect_user_error(with(R"([[["a", 0, 0, {}], ["a", 0, 0, {}]]])", R"([["inner", 1, 0]])"),
                    {"inner", "2 inputs", "expected 1"});
  expect_user_error(with(R"([[["a", 0, 0, {}]]])", R"([["inner", 1, 2]])"),
                    {"output 2", "inner", "has 2"});
  expect_user_error(with(R"([[["a", 0, 0, {"training": true}]]])", R"([["inner", 1, 0]])"),
                    {"inner", "training=true"});
  // Its own input, handed through.
  expect_user_error(with(R"([[["inner", 1, 1, {}]]])", R"([["inner", 1, 1]])"), {"cycle"});
}

TEST(NestedModels, DoublingModelsEndInAMessage) {
  std::string config = inner_config();
  for (int depth = 0; depth < 30; ++depth) {
    config = functional_config(
        input("in") + ", " +
            layer("n", "Functional", config, R"([[["in", 0, 0, {}]], [["n", 1, 0, {}]]])"),
        R"([["in", 0, 0]])", R"([["n", 2, 0]])");
  }
  expect_user_error(
      [&] {
        (void)read(input("a") + ", " + layer("n", "Functional", config, R"([[["a", 0, 0, {}]]])"),
                   R"([["a", 0, 0]])", R"([["n", 1, 0]])");
      },
      {"m.json", "nested models", "calls"});
}

TEST(NestedModels, WeightsOfTheOlderLayoutAreSplitByName) {
  KerasModel m =
      read(input("a") + ", " +
               layer("inner", "Functional",
                     functional_config(
                         input("in") + ", " +
                             layer("d", "Dense", R"("units": 1)", R"([[["in", 0, 0, {}]]])") +
                             ", " + layer("e", "Dense", R"("units": 1)", R"([[["d", 0, 0, {}]]])"),
                         R"([["in", 0, 0]])", R"([["e", 0, 0]])"),
                     R"([[["a", 0, 0, {}]]])"),
           R"([["a", 0, 0]])", R"([["inner", 1, 0]])");
  m.weight_groups = {{"inner",
                      {{"e/kernel:0", {1, 1}, {5}},
                       {"d/kernel:0", {2, 1}, {1, 2}},
                       {"e/bias:0", {1}, {7}},
                       {"d/bias:0", {1}, {3}}}}};
  keras::split_nested_weights(m);
  ASSERT_EQ(m.weight_groups.size(), 2u);
  EXPECT_EQ(m.weight_groups[0].name, "inner/d");
  // 5 (1 + 2 · 2 + 3) + 7
  EXPECT_EQ(values(run(m, {floats({1, 2}, {1.0F, 2.0F})})), (std::vector<float>{47}));
}

TEST(Operators, ConstantsAndTensorsOnEitherSide) {
  const auto of = [](const std::string& function, const std::string& inbound) {
    return values(
        run(read(input("a") + ", " + input("b") + ", " +
                     layer("t", "TFOpLambda", R"("function": ")" + function + "\"", inbound),
                 R"([["a", 0, 0], ["b", 0, 0]])", R"([["t", 0, 0]])"),
            {floats({1, 2}, {1.0F, 2.0F}), floats({1, 2}, {5.0F, 7.0F})}));
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(of("__operators__.add", R"([["a", 0, 0, {"y": 1.5, "name": null}]])"),
            (Floats{2.5F, 3.5F}));
  EXPECT_EQ(of("math.subtract", R"([["a", 0, 0, {"y": ["b", 0, 0]}]])"), (Floats{-4, -5}));
  EXPECT_EQ(of("math.subtract", R"([["_CONSTANT_VALUE", -1, 10, {"y": ["b", 0, 0]}]])"),
            (Floats{5, 3}));
  EXPECT_EQ(of("math.multiply", R"([["b", 0, 0, {"y": [2, 3]}]])"), (Floats{10, 21}));
  expect_user_error([&] { of("math.atan2", R"([["a", 0, 0, {"y": 1}]])"); }, {"math.atan2", "'t'"});
  expect_user_error([&] { of("math.multiply", R"([["a", 0, 0, {"y": 1, "z": 2}]])"); }, {"z=2"});
  expect_user_error([&] { of("math.multiply", R"([["a", 0, 0, {}]])"); }, {"two operands"});
}

TEST(Operators, OfKeras3) {
  const std::string a =
      R"({"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}})";
  const auto of = [&](const std::string& arguments) {
    return values(
        run(read(input("a") + R"(, {"module": "keras.src.ops.numpy", "class_name": "Subtract",
                 "config": {"name": "s"}, "name": "s", "inbound_nodes": [{"args": [)" +
                     arguments + R"(], "kwargs": {}}]})",
                 R"([["a", 0, 0]])", R"([["s", 0, 0]])"),
            {floats({1, 2}, {1.0F, 2.0F})}));
  };
  EXPECT_EQ(of(a + ", 1.5"), (std::vector<float>{-0.5F, 0.5F}));
  EXPECT_EQ(of("10, " + a), (std::vector<float>{9, 8}));
  EXPECT_EQ(of(a + ", " + a), (std::vector<float>{0, 0}));
}

TEST(Wrappers, TimeDistributedIsOverLayersButNotModels) {
  const auto of = [](const std::string& inner) {
    return read(input("a", "[null, 3, 2]") + ", " +
                    layer("t", "TimeDistributed", R"("layer": )" + inner, R"([[["a", 0, 0, {}]]])"),
                R"([["a", 0, 0]])", R"([["t", 0, 0]])");
  };
  KerasModel dense = of(R"({"class_name": "Dense", "config": {"name": "d", "units": 1}})");
  set_weights(dense, {{"t/kernel:0", {2, 1}, {1, 10}}, {"t/bias:0", {1}, {0.5F}}});
  EXPECT_EQ(values(run(dense, {floats({1, 3, 2}, {1, 2, 3, 4, 5, 6})})),
            (std::vector<float>{21.5F, 43.5F, 65.5F}));
  const KerasModel pool = of(R"({"class_name": "RepeatVector", "config": {"name": "f", "n": 2}})");
  EXPECT_EQ(values(run(pool, {floats({1, 3, 2}, {1, 2, 3, 4, 5, 6})})),
            (std::vector<float>{1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6}));
  expect_user_error(
      [&] { run(of(R"({"class_name": "Sequential", "config": {"name": "f"}})"), {}); },
      {"'t'", "nested model"});
}

TEST(Wrappers, PruningIsStrippedAndItsMaskApplied) {
  KerasModel m =
      read(input("a") + ", " +
               layer("prune_low_magnitude_d", "PruneLowMagnitude",
                     R"("pruning_schedule": {"class_name": "ConstantSparsity", "config": {}},
                   "layer": {"class_name": "Dense", "config": {"name": "d", "units": 1}})",
                     R"([[["a", 0, 0, {}]]])"),
           R"([["a", 0, 0]])", R"([["prune_low_magnitude_d", 0, 0]])");
  m.weight_groups = {{"prune_low_magnitude_d",
                      {{"d/kernel:0", {2, 1}, {3, 4}},
                       {"d/bias:0", {1}, {0.5F}},
                       {"prune_low_magnitude_d/mask:0", {2, 1}, {0, 1}},
                       {"prune_low_magnitude_d/threshold:0", {}, {2}},
                       {"prune_low_magnitude_d/pruning_step:0", {}, {9}}}}};
  std::vector<std::string> notes;
  const Graph graph = import_keras(m, {.evaluation = "eager", .notes = &notes});
  const std::vector<Tensor> x{floats({1, 2}, {1.0F, 2.0F})};
  const Tensor y =
      to_f32(interpret(graph, x, EvaluationOptions::preset("eager", Evaluation::qkeras)).at(0));
  EXPECT_EQ(values(y), (std::vector<float>{8.5F}));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("PruneLowMagnitude"), std::string::npos);
}

TEST(Wrappers, LambdaIsRefusedWithAdvice) {
  expect_user_error(
      [] {
        run(read(input("a") + ", " + layer("l", "Lambda", "", R"([[["a", 0, 0, {}]]])"),
                 R"([["a", 0, 0]])", R"([["l", 0, 0]])"),
            {});
      },
      {"'l' (Lambda)", "byte code", "Rescaling"});
}

TEST(HardSigmoid, OfKeras3IsReluSixOverSix) {
  const auto of = [](const std::string& version) {
    return values(
        run(parse_keras_architecture(
                R"({"class_name": "Sequential", "keras_version": ")" + version +
                    R"(", "config": {"name": "s", "layers": [)" + input("a") + ", " +
                    layer("h", "Activation", R"("activation": "hard_sigmoid")", "[]") + "]}}",
                "s.json"),
            {floats({1, 2}, {1.0F, -2.0F})}));
  };
  EXPECT_EQ(of("3.15.1"), (std::vector<float>{4.0F / 6.0F, 1.0F / 6.0F}));
  EXPECT_NEAR(of("2.15.0")[0], 0.7F, 1e-6F);
}

}  // namespace
}  // namespace qloom
