// Real networks: what runs where, and compiled code against the interpreter on copies whose weights
// were changed at random.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "bindings/cpp/load.h"
#include "bindings/golden/compare.h"
#include "bindings/import/keras_import.h"
#include "graph/interpret.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "tests/models/model_files.h"
#include "tests/support/paths.h"

namespace qloom::testing {
namespace {

/// Samples that reach the whole range of the input's quantizers and beyond.
std::vector<Tensor> random_inputs(const Graph& graph, int64_t samples, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.25F, 0.7F);
  std::vector<Tensor> out;
  for (const ValueId input : graph.inputs()) {
    Extents extents = bind(graph.type(input).shape, samples);
    std::vector<float> values(static_cast<size_t>(element_count(extents)));
    for (float& v : values) v = normal(random);
    out.emplace_back(std::move(extents), std::move(values));
  }
  return out;
}

/// First element whose bits differ, as text; "" if there is none. A tensor that is all one value
/// proves nothing and is reported too.
std::string difference(const Tensor& got, const Tensor& expected) {
  if (got.extents() != expected.extents()) return "shapes differ";
  const auto g = got.f32(), e = expected.f32();
  bool varied = e.size() < 2;
  for (size_t i = 0; i < e.size(); ++i) {
    varied = varied || e[i] != e[0];
    if (golden::ulp_distance(g[i], e[i]) != 0)
      return "index " + std::to_string(i) + ": got " + std::to_string(g[i]) + ", expected " +
             std::to_string(e[i]);
  }
  return varied ? "" : "all values are equal: this compares nothing";
}

std::string compare_with_interpreter(const Graph& graph, int64_t samples, uint32_t seed) {
  const std::vector<Tensor> inputs = random_inputs(graph, samples, seed);
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  const std::vector<RuntimeValue> expected = interpret(graph, inputs, options);
  const passes::Compilation compilation = passes::compile(graph.clone());
  const std::vector<Tensor> got = golden::run_model(compilation.model, inputs, 2);
  for (size_t i = 0; i < got.size(); ++i) {
    const std::string text = difference(got[i], to_f32(expected[i]));
    if (!text.empty()) return "output " + graph.outputs()[i].name + ", " + text;
  }
  return "";
}

TEST(Models, CompiledCodeIsTheInterpreterOnChangedWeights) {
  for (uint32_t seed = 1; seed <= 5; ++seed) {
    const Graph graph =
        import_keras(with_changed_weights(demo_model(), seed), {.split_softmax = true});
    EXPECT_EQ(compare_with_interpreter(graph, 9, seed), "") << "seed " << seed;
  }
}

TEST(Models, CompiledCodeIsTheInterpreterOnChangedWeightsOfEveryModel) {
  QLOOM_NEEDS_SHARED();
  for (const ModelFile& file : shared_models())
    for (uint32_t seed = 1; seed <= 2; ++seed) {
      const Graph graph = import_keras(with_changed_weights(file, seed), {.split_softmax = true});
      EXPECT_EQ(compare_with_interpreter(graph, 3, seed), "") << file.name << ", seed " << seed;
    }
}

TEST(Models, NearlyAllQuantizedMacsRunInEmittedKernels) {
  QLOOM_NEEDS_SHARED();
  int64_t counted = 0;
  for (const ModelFile& file : shared_models()) {
    const passes::Compilation c = passes::compile(load_graph(file.path, file.weights));
    int64_t quantized = 0, emitted = 0;
    for (const passes::RegionReport& region : c.regions) {
      if (!region.both_quantized) continue;
      quantized += region.macs;
      emitted += region.emitted ? region.macs : 0;
    }
    counted += quantized;
    EXPECT_GE(static_cast<double>(emitted), 0.95 * static_cast<double>(quantized)) << file.name;
  }
  EXPECT_GT(counted, 1000000) << "hardly anything was counted";
}

/// Reference kernels that a model still needs, by layer.
std::set<std::string> reference_layers(const passes::Compilation& c,
                                       const std::set<std::string>& allowed_ops) {
  std::set<std::string> out;
  for (const passes::RegionReport& region : c.regions)
    if (!region.emitted && !allowed_ops.contains(region.op))
      out.insert(region.layers.empty() ? region.name : region.layers[0]);
  return out;
}

TEST(Models, WhatRunsOnReferenceKernelsIsKnown) {
  QLOOM_NEEDS_SHARED();
  const std::set<std::string> allowed{"softmax"};
  const std::vector<std::pair<std::string, std::set<std::string>>> expected{
      {"digits_cnn_w4a4", {}}, {"resnet8_w2a2", {}}, {"resnet8_w1a1", {}}, {"mobilenet_w4a4", {}}};
  for (const auto& [name, layers] : expected) {
    const ModelFile file = shared_model(name);
    const passes::Compilation c = passes::compile(load_graph(file.path, file.weights));
    EXPECT_EQ(reference_layers(c, allowed), layers) << name;
    for (const passes::RegionReport& region : c.regions)
      EXPECT_NE(region.op, "quantize") << name << ": " << region.name;
  }
}

/// Calls within a loop, and those of layers with more than a hundredth of the products.
TEST(Models, FoldedAndRecurrentModelsRunOnEmittedKernelsWhereItMatters) {
  QLOOM_NEEDS_SHARED();
  for (const char* name : {"digits_rnn", "digits_folded", "ad08", "rn06", "svhn_folded"}) {
    const ModelFile file = shared_model(name);
    const passes::Compilation c = passes::compile(load_graph(file.path, file.weights));
    int64_t total = 0, emitted = 0;
    std::map<std::string, int64_t> of_layer;
    for (const passes::RegionReport& region : c.regions) {
      total += region.macs;
      emitted += region.emitted ? 1 : 0;
      for (const std::string& layer : region.layers) of_layer[layer] += region.macs;
    }
    EXPECT_GT(total, 20000) << name;
    EXPECT_GE(emitted, 5) << name;
    for (const passes::RegionReport& region : c.regions)
      for (const std::string& layer : region.layers)
        EXPECT_TRUE(region.emitted || 100 * of_layer[layer] <= total)
            << name << ": " << region.name << " of layer " << layer << " runs on " << region.kernel;
    EXPECT_EQ(c.program.loops.size(), std::string(name) == "digits_rnn" ? 2U : 0U) << name;
    for (const runtime::Loop& loop : c.program.loops)
      for (int i = loop.first; i < loop.last; ++i) {
        const runtime::Call& call = c.program.calls[static_cast<size_t>(i)];
        EXPECT_LT(call.reference, 0) << name << ": " << call.node << " runs on " << call.kernel;
      }
    // Nor anything else, as it is.
    EXPECT_EQ(reference_layers(c, {}), std::set<std::string>{}) << name;
  }
}

TEST(Models, ThreadsAndBatchSplitsChangeNothing) {
  QLOOM_NEEDS_SHARED();
  for (const char* name : {"digits_cnn_w4a4", "resnet8_w1a1", "resnet8_w2a2", "jets_mlp"}) {
    const ModelFile file = shared_model(name);
    const Graph graph = load_graph(file.path, file.weights);
    const std::vector<Tensor> inputs = random_inputs(graph, 37, 7);
    const auto model = passes::compile(graph.clone()).model;
    const Tensor whole = golden::run_model(model, inputs, 1)[0];
    for (int threads = 2; threads <= 4; ++threads)
      EXPECT_EQ(difference(golden::run_model(model, inputs, threads)[0], whole), "")
          << name << ", threads " << threads;
    const int64_t in_size = inputs[0].size() / 37, out_size = whole.size() / 37;
    for (const int64_t tile : {1, 3, 8, 64}) {
      runtime::Executor executor(model, {.threads = 2, .tile = tile});
      std::vector<float> result(static_cast<size_t>(whole.size()));
      for (int64_t at = 0; at < 37;) {  // parts of 1, 2, 3, … samples
        const int64_t count = std::min<int64_t>(1 + at / 3, 37 - at);
        const std::span<const float> in[] = {inputs[0].f32().subspan(
            static_cast<size_t>(at * in_size), static_cast<size_t>(count * in_size))};
        const std::span<float> out[] = {std::span(result).subspan(
            static_cast<size_t>(at * out_size), static_cast<size_t>(count * out_size))};
        ASSERT_TRUE(executor.run(in, out, count).ok());
        at += count;
      }
      EXPECT_EQ(difference(Tensor(whole.extents(), result), whole), "")
          << name << ", tile " << tile;
    }
  }
}

}  // namespace
}  // namespace qloom::testing
