// Random arguments of every layer: the interpreter (canonical evaluation) against the compiled
// network. QLOOM_TEST_SEED chooses others, and a failure says which.
#include "tests/cpp/random_layers.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "bindings/import/layer.h"
#include "bindings/import/layers_table.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "graph/text.h"
#include "tests/passes/run_model.h"
#include "tests/support/random_graph.h"

namespace qloom::test {
namespace {

uint64_t first_seed() {
  const char* text = std::getenv("QLOOM_TEST_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

std::string replay(uint64_t seed, const std::string& text) {
  return join_text(text, "\n  replay: QLOOM_TEST_SEED=", seed,
                   " qloom-test-cpp --gtest_filter=RandomLayers.One");
}

void check(uint64_t seed, std::map<std::string, int>& seen) {
  std::optional<RandomLayer> layer;
  try {
    layer.emplace(random_layer(seed));
  } catch (const UserError& e) {
    FAIL() << replay(seed, e.what());
  }
  ++seen[layer->class_name];
  const Graph graph = layer->network.graph("predict");
  const std::vector<Tensor> inputs = testing::random_inputs(graph, 3, seed);
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  std::vector<Tensor> want;
  for (const RuntimeValue& v : interpret(graph, inputs, options)) want.push_back(to_f32(v));
  try {
    const passes::Compilation compiled = passes::compile(graph.clone());
    const std::vector<Tensor> got = run_model(compiled, inputs, 3, 1, 2);
    ASSERT_EQ(got.size(), want.size());
    for (size_t k = 0; k < got.size(); ++k)
      expect_equal_or_ulps(got[k], want[k], replay(seed, layer->text));
  } catch (const std::exception& e) {
    FAIL() << replay(seed, join_text(layer->text, ": ", e.what(), "\n", to_text(graph, false)));
  }
}

void check_many(int count) {
  std::map<std::string, int> seen;
  for (int i = 0; i < count && !::testing::Test::HasFatalFailure(); ++i)
    check(first_seed() + static_cast<uint64_t>(i), seen);
  const auto classes = random_layer_classes();
  if (count >= 20 * static_cast<int>(classes.size())) {
    for (const std::string& name : classes) EXPECT_GT(seen[name], 3) << name << " was hardly drawn";
  }
}

TEST(RandomLayers, One) { check_many(1); }
TEST(RandomLayers, AgreeWithTheInterpreter) { check_many(200); }
TEST(RandomLayersLong, AgreeWithTheInterpreter) { check_many(10000); }

/// Classes without random arguments are named here, with the reason.
TEST(RandomLayers, AreOfEveryClass) {
  const std::vector<std::string_view> left_out{"InputLayer",
                                               "TFOpLambda",
                                               "ops.Add",
                                               "ops.Subtract",
                                               "ops.Multiply",  // no layers
                                               "Masking",
                                               "Embedding",  // token numbers, masks
                                               "Dropout",
                                               "SpatialDropout1D",
                                               "SpatialDropout2D",
                                               "GaussianNoise",
                                               "GaussianDropout",
                                               "AlphaDropout",
                                               "ActivityRegularization",
                                               "Identity",  // nothing at inference
                                               "SimpleRNN",
                                               "LSTM",
                                               "GRU",
                                               "QSimpleRNN",
                                               "QLSTM",
                                               "QGRU",
                                               "RNN",
                                               "Bidirectional",
                                               "QBidirectional"};  // not drawn yet
  const auto drawn = random_layer_classes();
  for (const keras::LayerDef* def : keras::layers::all_layers())
    for (const std::string_view name : def->class_names)
      EXPECT_TRUE(std::ranges::find(drawn, name) != drawn.end() ||
                  std::ranges::find(left_out, name) != left_out.end())
          << name << " has no maker in random_layers.cc";
}

}  // namespace
}  // namespace qloom::test
