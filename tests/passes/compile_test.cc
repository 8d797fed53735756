#include "passes/compile.h"

#include <gtest/gtest.h>

#include "graph/support/error.h"
#include "runtime/executor.h"
#include "tests/passes/networks.h"

namespace qloom::test {
namespace {

std::vector<Tensor> run(const passes::Compilation& compiled, const std::vector<Tensor>& inputs, int64_t samples,
                        int threads = 1, int64_t tile = 0) {
  runtime::Executor executor(compiled.model, {.threads = threads, .tile = tile});
  std::vector<std::span<const float>> in;
  for (const Tensor& t : inputs) in.push_back(t.f32());
  std::vector<std::vector<float>> out;
  std::vector<std::span<float>> spans;
  for (const auto& port : compiled.program.outputs) {
    out.emplace_back(static_cast<size_t>(samples * elements_per_sample(port.shape)));
  }
  for (auto& o : out) spans.emplace_back(o);
  const Status status = executor.run(in, spans, samples);
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<Tensor> result;
  for (size_t i = 0; i < out.size(); ++i)
    result.emplace_back(bind(compiled.program.outputs[i].shape, samples), std::move(out[i]));
  return result;
}

void expect_same(const std::vector<Tensor>& got, const std::vector<Tensor>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].extents(), want[i].extents());
    for (size_t k = 0; k < got[i].f32().size(); ++k)
      ASSERT_EQ(got[i].f32()[k], want[i].f32()[k]) << what << ": output " << i << ", element " << k;
  }
}

struct Case {
  std::string name;
  Graph (*build)();
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const Case kCases[] = {
    {"residual_w2a2", [] { return residual_block("quantized_bits(2,0,1,alpha=1)", "quantized_relu(2,1)"); }},
    {"residual_w4a8", [] { return residual_block("quantized_bits(4,0,1,alpha=1)", "quantized_bits(8,2,1,alpha=1)"); }},
    {"residual_binary", [] { return residual_block("binary(alpha=1)", "binary(alpha=1)"); }},
    {"mlp", [] { return mlp("quantized_bits(6,0,1,alpha=1)", "quantized_relu(6)"); }},
    {"mlp_po2", [] { return mlp("quantized_po2(4,1)", "quantized_relu_po2(4,2)"); }},
};

class Compile : public testing::TestWithParam<Case> {};

TEST_P(Compile, AgreesWithTheInterpreter) {
  const Graph graph = GetParam().build();
  const auto inputs = random_inputs(graph, 13, 5);
  const auto want = reference(graph, inputs);
  const auto compiled = passes::compile(graph.clone());
  expect_same(run(compiled, inputs, 13), want, "one thread");
  expect_same(run(compiled, inputs, 13, 3, 2), want, "three threads, tiles of 2");
}

INSTANTIATE_TEST_SUITE_P(Networks, Compile, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace qloom::test
