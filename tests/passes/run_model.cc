#include "tests/passes/run_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "tests/passes/networks.h"

namespace qloom::test {

std::vector<Tensor> run_model(const passes::Compilation& compiled,
                              const std::vector<Tensor>& inputs, int64_t samples, int threads,
                              int64_t tile) {
  auto outputs = run_model_as(compiled, inputs, samples, {.threads = threads, .tile = tile});
  const auto apart =
      run_model_as(compiled, inputs, samples, {.threads = threads, .tile = tile, .chains = false});
  for (size_t i = 0; i < apart.size(); ++i)
    EXPECT_TRUE(outputs[i].same_bits(apart[i]))
        << "output " << i << ": calls of chains give another result than calls by themselves";
  return outputs;
}

std::vector<Tensor> run_model_as(const passes::Compilation& compiled,
                                 const std::vector<Tensor>& inputs, int64_t samples,
                                 const runtime::ExecutorOptions& options) {
  runtime::Executor executor(compiled.model, options);
  std::vector<std::span<const float>> in;
  for (const Tensor& t : inputs) in.push_back(t.f32());
  std::vector<std::vector<float>> out;
  for (const auto& port : compiled.program.outputs)
    out.emplace_back(static_cast<size_t>(element_count(bind(port.shape, samples))));
  std::vector<std::span<float>> spans(out.begin(), out.end());
  const Status status = executor.run(in, spans, samples);
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<Tensor> result;
  for (size_t i = 0; i < out.size(); ++i)
    result.emplace_back(bind(compiled.program.outputs[i].shape, samples), std::move(out[i]));
  return result;
}

void expect_equal(const Tensor& got, const Tensor& want, const std::string& what) {
  ASSERT_EQ(got.extents(), want.extents()) << what;
  for (size_t k = 0; k < got.f32().size(); ++k)
    ASSERT_EQ(got.f32()[k], want.f32()[k]) << what << ": element " << k;
}

void expect_equal_or_ulps(const Tensor& got, const Tensor& want, const std::string& what) {
  ASSERT_EQ(got.extents(), want.extents()) << what;
  for (size_t k = 0; k < got.f32().size(); ++k) {
    const float g = got.f32()[k], w = want.f32()[k];
    const float ulp = std::nextafterf(std::fabs(w), HUGE_VALF) - std::fabs(w);
    ASSERT_TRUE(g == w || (g != g && w != w) || std::fabs(g - w) <= 4 * ulp ||
                std::fabs(g - w) <= 1e-6F)
        << what << ": element " << k << " is " << g << " instead of " << w;
  }
}

void expect_agrees(const Graph& graph, const passes::CompileOptions& options) {
  const auto inputs = random_inputs(graph, 3, 11);
  const auto compiled = passes::compile(graph.clone(), options);
  const auto got = run_model(compiled, inputs, 3);
  const auto want = reference(graph, inputs);
  for (size_t i = 0; i < want.size(); ++i)
    expect_equal(got[i], want[i], "output " + std::to_string(i));
}

const passes::RegionReport& report(const passes::Compilation& c, const std::string& name) {
  for (const auto& r : c.regions)
    if (r.name == name) return r;
  throw std::runtime_error("no region " + name);
}

}  // namespace qloom::test
