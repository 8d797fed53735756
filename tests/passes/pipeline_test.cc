#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/text.h"
#include "passes/edit.h"
#include "passes/pass.h"
#include "tests/passes/networks.h"
#include "tests/support/scratch_folder.h"

namespace qloom::test {
namespace {

struct Case {
  std::string name;
  Graph (*build)();
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const Case kCases[] = {
    {"cnn_w4a4", [] { return small_cnn("quantized_bits(4,0,1,alpha=1)", "quantized_relu(4,2)"); }},
    {"cnn_binary", [] { return small_cnn("binary(alpha=1)", "binary(alpha=1)"); }},
    {"cnn_auto",
     [] { return small_cnn("quantized_bits(4,0,1,alpha='auto')", "quantized_relu(3,1)"); }},
    {"cnn_auto_po2",
     [] {
       return small_cnn("quantized_bits(4,0,1,alpha='auto_po2')", "quantized_bits(8,2,1,alpha=1)");
     }},
    {"cnn_ternary", [] { return small_cnn("ternary(alpha=1)", "quantized_tanh(4)"); }},
    {"residual_w2a2",
     [] { return residual_block("quantized_bits(2,0,1,alpha=1)", "quantized_relu(2,1)"); }},
    {"residual_binary", [] { return residual_block("binary(alpha=1)", "binary(alpha=1)"); }},
    {"channels_first", [] { return channels_first(); }},
    {"mlp", [] { return mlp("quantized_bits(6,0,1,alpha=1)", "quantized_relu(6)"); }},
    {"mlp_po2", [] { return mlp("quantized_po2(4,1)", "quantized_relu_po2(4,2)"); }},
};

void expect_same(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_TRUE(got[i].same_bits(want[i])) << what << ", output " << i;
}

class Pipeline : public ::testing::TestWithParam<Case> {};

TEST_P(Pipeline, EveryPrefixKeepsValues) {
  const Graph original = GetParam().build();
  const auto inputs = random_inputs(original, 3, 7);
  const auto want = reference(original, inputs);
  const int n = static_cast<int>(passes::inference_pipeline().size());
  for (int stop = 0; stop <= n; ++stop) {
    Graph graph = original.clone();
    passes::run_passes(graph, passes::inference_pipeline(), {.stop_after = stop});
    expect_same(reference(graph, inputs), want, "after " + std::to_string(stop) + " passes");
    // Folding may make a promise sharper (sums of known weights), never other.
    for (size_t i = 0; i < original.outputs().size(); ++i) {
      const TensorType& before = original.type(original.outputs()[i].value);
      const TensorType& after = graph.type(graph.outputs()[i].value);
      EXPECT_TRUE(before.numeric.contains(after.numeric)) << before << " became " << after;
      EXPECT_EQ(before.shape, after.shape);
      EXPECT_EQ(before.scale, after.scale);
    }
  }
}

TEST_P(Pipeline, EveryPassIsIdempotent) {
  Graph graph = GetParam().build();
  for (const passes::PassDef* pass : passes::inference_pipeline()) {
    const passes::PassDef* const one[] = {pass};
    passes::run_passes(graph, one, {});
    EXPECT_EQ(passes::run_passes(graph, one, {})[0].rewrites, 0) << pass->name;
  }
}

TEST_P(Pipeline, NothingIsLeftBehindARegion) {
  Graph graph = GetParam().build();
  passes::run_passes(graph, passes::inference_pipeline(), {});
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    EXPECT_TRUE(node.op != &ops::quantize && node.op != &ops::elementwise &&
                node.op != &ops::batch_norm && node.op != &ops::conv && node.op != &ops::dense)
        << node.op->name << " '" << node.name << "' is in no region";
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, Pipeline, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

TEST(Fusion, KeepsASharedValueAsResult) {
  Graph graph = residual_block("quantized_bits(2,0,1,alpha=1)", "quantized_relu(2,1)");
  passes::run_passes(graph, passes::inference_pipeline(), {});
  const Node& last = graph.producer(graph.outputs()[1].value);
  EXPECT_EQ(last.results.size(), 2U);  // the sum and its codes
  EXPECT_EQ(last.id, graph.producer(graph.outputs()[0].value).id);
  EXPECT_EQ(last.operands.size(), 2U);  // the activation and the shortcut
  EXPECT_EQ(passes::root_of(*last.body)->op, &ops::conv);
}

TEST(Fusion, PermutationsOfChannelsFirstCancel) {
  Graph graph = channels_first();
  passes::run_passes(graph, passes::inference_pipeline(), {});
  int permutations = 0;
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    const Node* root = node.op == &ops::region ? passes::root_of(*node.body) : &node;
    permutations += root != nullptr && root->op == &ops::permute ? 1 : 0;
  }
  EXPECT_EQ(permutations, 2);  // of the input and of the output
}

TEST(Manager, RefusesAnUnknownName) {
  Graph graph = channels_first();
  try {
    passes::run_passes(graph, passes::inference_pipeline(), {.disabled = {"fuse_everything"}});
    FAIL() << "no error";
  } catch (const UserError& e) {
    EXPECT_NE(std::string(e.what()).find("cannot disable pass 'fuse_everything': the passes are "),
              std::string::npos)
        << e.what();
  }
}

int break_something(Graph& graph, const passes::PassContext&) {
  graph.clear_outputs();  // half done …
  throw UserError("layer 'fc' is broken");
}
constexpr passes::PassDef kBreaks{.name = "breaks", .doc = "Fails.", .run = break_something};

TEST(Manager, WritesTheGraphBeforeAFailingPass) {
  Graph graph = mlp("quantized_bits(4,0,1,alpha=1)", "quantized_relu(4,1)");
  const std::string before = to_text(graph);
  const qloom::testing::ScratchFolder scratch;
  const std::filesystem::path folder = scratch / "made by the manager";
  const passes::PassDef* const one[] = {&kBreaks};
  std::string text;
  try {
    passes::run_passes(graph, one, {.dump_directory = folder});
  } catch (const UserError& e) {
    text = e.what();
  }
  EXPECT_NE(text.find("pass 0 'breaks' failed: layer 'fc' is broken"), std::string::npos) << text;
  const std::filesystem::path file = folder / "00-breaks-failed.txt";
  EXPECT_NE(text.find("the graph before it is in " + file.string()), std::string::npos) << text;
  EXPECT_NE(text.find("replay with stop_after = 1"), std::string::npos) << text;
  std::ifstream in(file);
  const std::string written((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  EXPECT_EQ(written, before);
}

}  // namespace
}  // namespace qloom::test
