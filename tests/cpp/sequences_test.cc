// Masks, layers at each time step, time first: compiled against the interpreter, and against the
// same network written in another way.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "bindings/cpp/qloom.h"
#include "bindings/golden/compare.h"
#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "tests/bindings/expect_error.h"
#include "tests/cpp/layer_of.h"
#include "tests/support/random_graph.h"

namespace qloom {
namespace {

using test::layer_of;
using Add = std::function<Symbol(Network&, Symbol)>;

Symbol add(Network& net, Symbol x, const std::string& class_name, const std::string& config = "") {
  return net.add(layer_of(class_name, config), x);
}

Graph graph_of(const Extents& shape, const Add& layers) {
  Network net("net");
  net.output(layers(net, net.input(shape, "x")));
  net.initialize(11);
  return net.graph("eager");
}

/// Eighths; whole time steps of zeros among them.
Tensor drawn(const Extents& extents, bool tokens = false) {
  testing::Random r(3);
  std::vector<float> values(static_cast<size_t>(element_count(extents)));
  const auto features = static_cast<size_t>(tokens ? 1 : extents.back());
  for (size_t i = 0; i < values.size(); i += features) {
    const bool masked = r.chance(40);
    for (size_t k = i; k < i + features; ++k)
      values[k] = masked   ? 0.0F
                  : tokens ? static_cast<float>(r.integer(1, 4))
                           : static_cast<float>(r.integer(-16, 16)) / 8;
  }
  return Tensor(extents, std::move(values));
}

std::vector<float> interpreted(const Graph& graph, const Tensor& x) {
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  const Tensor y = to_f32(interpret(graph, std::vector{x}, options)[0]);
  return {y.f32().begin(), y.f32().end()};
}

/// What both give, which must agree.
std::vector<float> run(const Extents& shape, const Add& layers, bool tokens = false) {
  const Graph graph = graph_of(shape, layers);
  Extents extents = shape;
  extents.insert(extents.begin(), 7);
  const Tensor x = drawn(extents, tokens);
  const std::vector<float> want = interpreted(graph, x);
  const passes::Compilation compiled = passes::compile(graph.clone());
  for (const int threads : {1, 2}) {
    const Tensor got = golden::run_model(compiled.model, {x}, threads)[0];
    EXPECT_EQ(got.size(), std::ssize(want));
    for (size_t i = 0; i < want.size(); ++i)
      if (std::fabs(got.f32()[i] - want[i]) > 1e-6F) {
        ADD_FAILURE() << "element " << i << " is " << got.f32()[i] << " instead of " << want[i];
        break;
      }
  }
  return want;
}

const std::string kLstm =
    "\"units\": 5, \"kernel_quantizer\": \"quantized_bits(4,0,1,alpha=1)\", "
    "\"recurrent_quantizer\": \"quantized_bits(4,0,1,alpha=1)\", \"state_quantizer\": "
    "\"quantized_bits(4,0,1)\", \"activation\": \"quantized_tanh(4)\"";
const std::string kSequences = ", \"return_sequences\": true";

TEST(Masks, OfEmbeddingsLeaveTokensOut) {
  const auto layers = [](const std::string& zero) {
    return [zero](Network& net, Symbol x) {
      x = add(net, x, "Embedding", "\"input_dim\": 5, \"output_dim\": 4, \"mask_zero\": " + zero);
      return add(net, add(net, x, "QLSTM", kLstm + kSequences), "LSTM", "\"units\": 3");
    };
  };
  EXPECT_NE(run({6}, layers("true"), true), run({6}, layers("false"), true));
}

TEST(Masks, GoAsFarAsKerasSendsThem) {
  const auto through = [](const std::string& class_name, const std::string& config) {
    return run({6, 3}, [&](Network& net, Symbol x) {
      x = add(net, x, "Masking");
      x = add(net, x, class_name, config);
      return add(net, x, "SimpleRNN", "\"units\": 3");
    });
  };
  const auto masked = through("Activation", "\"activation\": \"linear\"");
  EXPECT_EQ(masked, through("Dropout", "\"rate\": 0.5"));
  EXPECT_EQ(masked, through("LeakyReLU", "\"alpha\": 1.0"));
  // These layers support no masks: what is masked counts behind them.
  const auto dropped = through("Reshape", "\"target_shape\": [6, 3]");
  EXPECT_NE(masked, dropped);
  EXPECT_EQ(dropped, through("Identity", ""));
  EXPECT_EQ(dropped, through("Rescaling", "\"scale\": 1.0"));
  EXPECT_EQ(dropped, through("QActivation", "\"activation\": \"quantized_bits(8,3,1,alpha=1)\""));
}

TEST(Masks, AreJoinedAlongTheSteps) {
  const auto joined = [](int axis, bool one_masked) {
    return run({6, 3}, [&](Network& net, Symbol x) {
      const Symbol a = add(net, x, "Masking");
      const Symbol b = one_masked ? x : add(net, x, "Masking", "\"mask_value\": 1.0");
      return add(net, net.add(layer_of("Concatenate", "\"axis\": " + std::to_string(axis)), {a, b}),
                 "GRU", "\"units\": 3");
    });
  };
  EXPECT_FALSE(joined(1, false).empty());
  EXPECT_FALSE(joined(-1, true).empty());
  Network net("net");
  const Symbol x = net.input({6, 3}, "x");
  const Symbol m = add(net, x, "Masking");
  testing::expect_user_error(
      [&] { (void)net.add(layer_of("Concatenate", "\"axis\": 1"), {m, x}, "both"); },
      {"both", "axis", "mask"});
}

TEST(Masks, MeansAreOfTheStepsThatCount) {
  const Tensor x({1, 4, 1}, std::vector<float>{0, 3, 0, 6});
  const Graph graph = graph_of({4, 1}, [](Network& net, Symbol s) {
    return add(net, add(net, s, "Masking"), "GlobalAveragePooling1D");
  });
  EXPECT_EQ(interpreted(graph, x), (std::vector<float>{4.5F}));
  EXPECT_EQ(golden::run_model(passes::compile(graph.clone()).model, {x}, 1)[0].f32()[0], 4.5F);
}

// What a masked step does is done in the calls of its loop.
TEST(Masks, CostNoCallsOfTheirOwnInLoops) {
  for (const std::string& more : {std::string(), kSequences}) {
    const passes::Compilation compiled =
        passes::compile(graph_of({8, 16}, [&](Network& net, Symbol x) {
          x = add(net, x, "Masking");
          return add(net, x, "QLSTM",
                     kLstm + ", \"recurrent_activation\": \"quantized_sigmoid(4)\"" + more);
        }));
    ASSERT_EQ(compiled.program.loops.size(), 1U);
    const runtime::Loop& loop = compiled.program.loops[0];
    EXPECT_LE(loop.last - loop.first, 4) << compiled.program.to_text();
    for (int i = loop.first; i < loop.last; ++i)
      EXPECT_LT(compiled.program.calls[static_cast<size_t>(i)].reference, 0)
          << compiled.program.to_text();
  }
}

TEST(Masks, FloatCellsRunOnEmittedKernels) {
  for (const char* cell : {"SimpleRNN", "LSTM", "GRU"}) {
    const passes::Compilation compiled =
        passes::compile(graph_of({8, 16}, [&](Network& net, Symbol x) {
          return add(net, add(net, x, "Masking"), cell, "\"units\": 9");
        }));
    const runtime::Loop& loop = compiled.program.loops.at(0);
    for (int i = loop.first; i < loop.last; ++i)
      EXPECT_LT(compiled.program.calls[static_cast<size_t>(i)].reference, 0)
          << cell << "\n"
          << compiled.program.to_text();
  }
}

/// A model of a file: an input of `shape`, batch axis included, and one layer.
Graph model_of(const std::string& shape, const std::string& layer,
               const std::vector<Extents>& weights) {
  KerasModel model = parse_keras_architecture(
      R"({"class_name": "Sequential", "keras_version": "2.15.0", "config": {"name": "m", "layers": [
         {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": )" +
          shape + "}}, " + layer + "]}}",
      "m.json");
  testing::Random r(9);
  std::vector<KerasWeight> values;
  for (const Extents& extents : weights) {
    std::vector<float> v(static_cast<size_t>(element_count(extents)));
    for (float& f : v) f = static_cast<float>(r.integer(-8, 8)) / 8;
    values.push_back({"t/" + std::to_string(values.size()), extents, std::move(v)});
  }
  set_weights(model, std::move(values));
  return import_keras(model, {.evaluation = "eager"});
}

std::string layer_text(const std::string& class_name, const std::string& config) {
  return R"({"class_name": ")" + class_name + R"(", "config": {"name": "t")" +
         (config.empty() ? "" : ", " + config) + "}}";
}

std::vector<float> compiled_result(const Graph& graph, const Tensor& x) {
  const Tensor y = golden::run_model(passes::compile(graph.clone()).model, {x}, 2)[0];
  return {y.f32().begin(), y.f32().end()};
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-6) << "element " << i;
}

/// The layer on each index of axis 1 is the layer on a batch of them all.
void check_distributed(const Extents& shape, const std::string& class_name,
                       const std::string& config, const std::vector<Extents>& weights) {
  SCOPED_TRACE(class_name);
  constexpr int64_t kSamples = 3, kIndices = 2;
  std::string inner;
  for (const int64_t e : shape) inner += ", " + std::to_string(e);
  const std::string layer = layer_text(class_name, config);
  const Graph plain = model_of("[null" + inner + "]", layer, weights);
  const Graph each = model_of("[null, " + std::to_string(kIndices) + inner + "]",
                              layer_text("TimeDistributed", R"("layer": )" + layer), weights);
  Extents flat = shape;
  flat.insert(flat.begin(), kSamples * kIndices);
  const Tensor x = drawn(flat);
  Extents split = shape;
  split.insert(split.begin(), {kSamples, kIndices});
  const std::vector<float> want = interpreted(plain, x);
  EXPECT_EQ(interpreted(each, x.reshaped(split)), want);
  expect_near(compiled_result(each, x.reshaped(split)), want);
}

TEST(TimeDistributed, IsTheLayerOnEachIndex) {
  check_distributed({5, 4}, "LSTM", R"("units": 3)", {{4, 12}, {3, 12}, {12}});
  check_distributed({5, 4}, "GRU", R"("units": 3, "return_sequences": true)",
                    {{4, 9}, {3, 9}, {2, 9}});
  check_distributed(
      {5, 4}, "Bidirectional",
      R"("layer": {"class_name": "SimpleRNN", "config": {"units": 2, "return_sequences": true}})",
      {{4, 2}, {2, 2}, {2}, {4, 2}, {2, 2}, {2}});
  check_distributed({5, 4}, "QLSTM",
                    R"json("units": 3, "kernel_quantizer": "quantized_bits(4,0,1,alpha=1)",
                       "state_quantizer": "quantized_bits(4,0,1)", "go_backwards": true)json",
                    {{4, 12}, {3, 12}, {12}});
  check_distributed({6, 5, 2}, "Conv2D", R"("filters": 3, "kernel_size": 3)", {{3, 3, 2, 3}, {3}});
  check_distributed({6, 2}, "QConv1D",
                    R"json("filters": 3, "kernel_size": 2, "activation": "quantized_relu(4)",
                       "kernel_quantizer": "quantized_bits(4,0,1,alpha=1)")json",
                    {{2, 2, 3}, {3}});
  check_distributed({4, 4, 2}, "MaxPooling2D", R"("pool_size": [2, 2])", {});
  check_distributed({4, 4, 2}, "GlobalAveragePooling2D", "", {});
  check_distributed({4, 3}, "Flatten", "", {});
  check_distributed({4, 3}, "Permute", R"("dims": [2, 1])", {});
  check_distributed({4}, "Dense", R"("units": 3)", {{4, 3}, {3}});
}

TEST(TimeDistributed, OfStatefulLayersIsRefused) {
  testing::expect_user_error(
      [] {
        (void)model_of(
            "[null, 2, 5, 4]",
            layer_text("TimeDistributed",
                       R"("layer": )" + layer_text("LSTM", R"("units": 3, "stateful": true)")),
            {{4, 12}, {3, 12}, {12}});
      },
      {"'t'", "stateful", "TimeDistributed"});
}

/// [T, N, …] ↔ [N, T, …]
Tensor swapped(const Tensor& x) {
  Extents to = x.extents();
  std::swap(to[0], to[1]);
  const int64_t inner = x.size() / (to[0] * to[1]);
  std::vector<float> y(static_cast<size_t>(x.size()));
  for (int64_t i = 0; i < to[0]; ++i)
    for (int64_t j = 0; j < to[1]; ++j)
      std::copy_n(x.f32().begin() + (j * to[0] + i) * inner, inner,
                  y.begin() + (i * to[1] + j) * inner);
  return Tensor(to, std::move(y));
}

TEST(TimeMajor, IsTheSameWithOtherAxesFirst) {
  const std::vector<Extents> weights{{2, 12}, {3, 12}, {12}};
  for (const bool sequences : {false, true}) {
    const std::string config =
        std::string(R"("units": 3, "return_sequences": )") + (sequences ? "true" : "false");
    const Graph plain = model_of("[null, 4, 2]", layer_text("LSTM", config), weights);
    const Graph major =
        model_of("[4, null, 2]", layer_text("LSTM", config + R"(, "time_major": true)"), weights);
    const Tensor x = drawn({7, 4, 2});
    std::vector<float> want = interpreted(plain, x);
    if (sequences) {
      const Tensor y = swapped(Tensor({7, 4, 3}, std::move(want)));
      want.assign(y.f32().begin(), y.f32().end());
    }
    EXPECT_EQ(interpreted(major, swapped(x)), want);
    expect_near(compiled_result(major, swapped(x)), want);
  }
}

// Layers on single elements or channels in front and behind are computed with samples first too.
TEST(TimeMajor, LayersAroundAreCompiled) {
  const std::vector<Extents> weights{{2, 5}, {5}, {5, 12}, {3, 12}, {12}, {3, 2}, {2}};
  const auto layers = [](const std::string& time_major) {
    return R"json({"class_name": "Dense", "config": {"name": "first", "units": 5,
        "activation": "relu"}}, {"class_name": "Masking", "config": {"name": "mask"}},
        {"class_name": "LSTM", "config": {"name": "t", "units": 3, "return_sequences": true,
        "time_major": )json" +
           time_major + R"json(}}, {"class_name": "Dense", "config": {"name": "last", "units": 2,
        "activation": "softmax"}})json";
  };
  const Graph plain = model_of("[null, 4, 2]", layers("false"), weights);
  const Graph major = model_of("[4, null, 2]", layers("true"), weights);
  const Tensor x = drawn({7, 4, 2});
  const Tensor y = swapped(Tensor({7, 4, 2}, interpreted(plain, x)));
  const std::vector<float> want(y.f32().begin(), y.f32().end());
  expect_near(interpreted(major, swapped(x)), want);
  expect_near(compiled_result(major, swapped(x)), want);
}

TEST(TimeMajor, CompiledModelsNameTheFirstValueThatIsNotFinite) {
  const Graph graph =
      model_of("[4, null, 2]", layer_text("QLSTM", R"json("units": 3, "time_major": true,
                              "state_quantizer": "quantized_bits(4,0,1)")json"),
               {{2, 12}, {3, 12}, {12}});
  const passes::Compilation compiled = passes::compile(graph.clone());
  std::vector<float> x(4 * 5 * 2, 0.5F), y(5 * 3);
  x[(2 * 5 + 3) * 2 + 1] = NAN;
  runtime::Executor executor(compiled.model, {});
  const std::span<const float> in[] = {x};
  const std::span<float> out[] = {y};
  const Status status = executor.run(in, out, 5);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("sample 3, index 5"), std::string::npos)
      << status.message();
}

// A cell whose kernel is drawn anew in every step and call: the layer yields its inputs' signs
// times a scale, added up.
TEST(Draws, InCellsAreCountedByCallsAndSteps) {
  KerasModel model = parse_keras_architecture(
      R"json({"class_name": "Sequential", "keras_version": "2.15.0", "config": {"name": "m",
         "layers": [{"class_name": "InputLayer", "config": {"name": "x",
         "batch_input_shape": [null, 3, 1]}}, {"class_name": "QSimpleRNN", "config": {"name": "t",
         "units": 64, "activation": "linear", "use_bias": false, "return_sequences": true,
         "kernel_quantizer": "stochastic_binary(alpha=1)",
         "recurrent_quantizer": "quantized_bits(4,0,1,alpha=1)"}}]}})json",
      "m.json");
  set_weights(model, {{"t/k", {1, 64}, std::vector<float>(64, 0.0F)},
                      {"t/r", {64, 64}, std::vector<float>(64 * 64, 0.0F)}});
  const auto graph = [&](Phase phase, std::optional<int64_t> seed) {
    return import_keras(model, {.evaluation = "eager", .phase = phase, .random_seed = seed});
  };
  const Tensor x({1, 3, 1}, std::vector<float>(3, 1.0F));
  const auto call = [&](const Graph& g, State& state) {
    const Tensor y = to_f32(interpret(g, std::vector{x}, g.options(), {}, &state)[0]);
    return std::vector<float>(y.f32().begin(), y.f32().end());
  };
  const Graph drawn = graph(Phase::training, 7);
  State state, other;
  const std::vector<float> first = call(drawn, state), second = call(drawn, state);
  EXPECT_EQ(state.at("random/calls").f32()[0], 2.0F);
  const auto step = [](const std::vector<float>& y, size_t at) {
    return std::vector<float>(y.begin() + static_cast<ptrdiff_t>(64 * at),
                              y.begin() + static_cast<ptrdiff_t>(64 * (at + 1)));
  };
  for (const float v : first) EXPECT_TRUE(v == 1 || v == -1) << v;
  EXPECT_NE(step(first, 0), step(first, 1));
  EXPECT_NE(step(first, 1), step(first, 2));
  EXPECT_NE(step(first, 0), step(second, 0));
  EXPECT_EQ(call(drawn, other), first);
  EXPECT_EQ(call(drawn, other), second);
  State of_eight, none;
  EXPECT_NE(call(graph(Phase::training, 8), of_eight), first);
  // Without a seed, and at inference, signs of zeros are +1.
  const std::vector<float> ones(first.size(), 1.0F);
  EXPECT_EQ(call(graph(Phase::training, {}), none), ones);
  EXPECT_EQ(call(graph(Phase::inference, 7), none), ones);
  testing::expect_user_error([&] { (void)passes::compile(graph(Phase::training, 7)); },
                             {"random/calls", "interpreter"});
}

}  // namespace
}  // namespace qloom
