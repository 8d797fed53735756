// Models whose nodes run as Halide pipelines, or as primitives of oneDNN where float_mode is fast.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "jit/cache.h"
#include "kernels/kernel.h"
#include "passes/compile.h"
#include "runtime/model.h"
#include "tests/passes/networks.h"
#include "tests/passes/run_model.h"
#include "tests/support/scratch_folder.h"

namespace qloom::test {
namespace {

using passes::Candidate;
using passes::Compilation;
using passes::CompileOptions;
using passes::FloatMode;

std::string kernel_of(const Compilation& c, const std::string& node) {
  for (const auto& r : c.regions)
    if (r.name == node) return r.kernel;
  return "no region " + node;
}

std::string reason_of(const Compilation& c, const std::string& node, const std::string& kernel) {
  for (const auto& r : c.regions)
    for (const Candidate& candidate : r.candidates)
      if (r.name == node && candidate.kernel == kernel) return candidate.reason;
  return "no candidate " + kernel;
}

/// image → permute of rows and columns → pads → joined with the image → sum over the pixels.
Graph moves() {
  Graph graph;
  graph.name = "moves";
  const ValueId x = graph.add_input("image", {{Dim::batch(), 12, 12, 24}, Numeric::float32(), {}});
  const auto add = [&](const OpDef& op, const char* name, std::vector<ValueId> operands,
                       const Attributes& attributes) {
    return graph.add(op, name, std::move(operands), attributes).results[0];
  };
  const ValueId turned =
      add(ops::permute, "turned", {x}, to_attributes(ops::Permute{.axes = {0, 2, 1, 3}}));
  const ValueId padded =
      add(ops::pad, "padded", {turned}, to_attributes(ops::Pad{{0, 1, 1, 0}, {0, 1, 1, 0}}));
  const ValueId again =
      add(ops::pad, "again", {x}, to_attributes(ops::Pad{{0, 2, 2, 0}, {0, 0, 0, 0}}));
  const ValueId joined =
      add(ops::concat, "joined", {padded, again}, to_attributes(ops::Concat{.axis = 3}));
  const ValueId sums =
      add(ops::reduce, "sums", {joined},
          to_attributes(ops::Reduce{.kind = ops::ReduceKind::sum, .axes = {1, 2}}));
  graph.add_output("joined", joined);
  graph.add_output("sums", sums);
  return graph;
}

void expect_same_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(got[i].f32(), want[i].f32())) << "output " << i;
}

CompileOptions seen_often() {
  CompileOptions options;
  options.expected_samples = 1'000'000'000;
  // Emitted, so they need no library to be fast.
  options.disabled_kernels = {"concat_lanes", "pool_lanes"};
  options.concat_in_place =
      passes::ConcatInPlace::never;  // else nothing would be left to be joined
  return options;
}

TEST(Pipelines, ModelsThatAreSeenOftenUseThem) {
  if (kernels::find_kernel("halide_concat") == nullptr) GTEST_SKIP() << "built without Halide";
  const Graph graph = moves();
  const auto inputs = random_inputs(graph, 5, 3);
  const auto want = reference(graph, inputs);
  const Compilation often = passes::compile(graph.clone(), seen_often());
  EXPECT_EQ(kernel_of(often, "joined"), "halide_concat");
  EXPECT_EQ(kernel_of(often, "sums"), "halide_reduce");
  for (const int threads : {1, 2}) expect_same_bits(run_model(often, inputs, 5, threads), want);

  CompileOptions options;
  options.expected_samples = 100;
  options.concat_in_place = passes::ConcatInPlace::never;
  const Compilation seldom = passes::compile(graph.clone(), options);
  EXPECT_EQ(kernel_of(seldom, "joined"), "concat_lanes");
  EXPECT_NE(reason_of(seldom, "joined", "halide_concat").find("not worth compiling"),
            std::string::npos)
      << reason_of(seldom, "joined", "halide_concat");
  expect_same_bits(run_model(seldom, inputs, 5), want);
}

TEST(Pipelines, PinnedOnesAreCompiledWhateverTheyCost) {
  if (kernels::find_kernel("halide_concat") == nullptr) GTEST_SKIP() << "built without Halide";
  const Graph graph = moves();
  CompileOptions options;
  options.expected_samples = 1;
  options.disabled_kernels = {"pool_lanes"};
  options.pinned = {{"joined", "halide_concat"}};
  const Compilation compiled = passes::compile(graph.clone(), options);
  EXPECT_EQ(kernel_of(compiled, "joined"), "halide_concat");
  EXPECT_EQ(kernel_of(compiled, "sums"), "reference_reduce");
  const auto inputs = random_inputs(graph, 3, 4);
  expect_same_bits(run_model(compiled, inputs, 3), reference(graph, inputs));
}

TEST(Pipelines, CodeInTheCacheIsAllThatAWarmStartNeeds) {
  if (kernels::find_kernel("halide_concat") == nullptr) GTEST_SKIP() << "built without Halide";
  const Graph graph = moves();
  CompileOptions options = seen_often();
  options.in_memory = false;
  Compilation compiled = passes::compile(graph.clone(), options);
  const auto object = jit::compiler().link(compiled.objects);
  // What the loader would have to look for elsewhere.
  const std::string_view bytes(reinterpret_cast<const char*>(object.data()), object.size());
  EXPECT_EQ(bytes.find("halide_"), std::string_view::npos);
  EXPECT_EQ(bytes.find("libHalide"), std::string_view::npos);
  const qloom::testing::ScratchFolder folder;
  {
    jit::Cache cache(folder.path());
    jit::CacheKey key;
    key.add("pipelines");
    const auto entry = cache.store(key, object, runtime::serialize(compiled.program));
    ASSERT_TRUE(entry.has_value());
    compiled.model = std::make_shared<const runtime::Model>(
        runtime::deserialize({entry->payload.get(), entry->payload_bytes}), entry->code);
  }
  const auto inputs = random_inputs(graph, 3, 4);
  expect_same_bits(run_model(compiled, inputs, 3), reference(graph, inputs));
}

/// image → conv → average pool → dense → softmax, all float32.
Graph float_network() {
  Graph graph;
  graph.name = "floats";
  const ValueId x = graph.add_input("image", {{Dim::batch(), 12, 12, 8}, Numeric::float32(), {}});
  const auto add = [&](const OpDef& op, const char* name, std::vector<ValueId> operands,
                       const Attributes& attributes) {
    return graph.add(op, name, std::move(operands), attributes).results[0];
  };
  const ValueId k = graph.add_constant("k", random_tensor({3, 3, 8, 32}, 1));
  ops::Conv conv;
  conv.padding = ops::Padding::same;
  const ValueId y = add(ops::conv, "conv", {x, k}, to_attributes(conv));
  const ValueId b = graph.add_constant("b", random_tensor({32}, 2));
  const ValueId biased = add(ops::elementwise, "bias", {y, b},
                             to_attributes(ops::ElementwiseOp{.kind = ops::Elementwise::add}));
  const ValueId relu =
      add(ops::activation, "relu", {biased}, to_attributes(ops::Activation{.function = "relu"}));
  ops::Pool average;
  average.kind = ops::PoolKind::average;
  const ValueId pooled = add(ops::pool, "pool", {relu}, to_attributes(average));
  const ValueId flat =
      add(ops::reshape, "flat", {pooled}, to_attributes(ops::Reshape{.extents = {-1}}));
  const ValueId w = graph.add_constant("w", random_tensor({6 * 6 * 32, 10}, 3, -0.05f, 0.05f));
  const ValueId scores = add(ops::dense, "scores", {flat, w}, Attributes());
  graph.add_output("scores", scores);
  return graph;
}

TEST(FloatMode, FastUsesPrimitivesWithinABoundAndReproducibleNone) {
  const Graph graph = float_network();
  const auto inputs = random_inputs(graph, 19, 7);
  const auto want = reference(graph, inputs);
  const Compilation exact = passes::compile(graph.clone());
  for (const auto& r : exact.regions) EXPECT_FALSE(r.kernel.starts_with("onednn")) << r.name;
  const auto exact_out = run_model(exact, inputs, 19);
  expect_same_bits(exact_out, want);

  CompileOptions options;
  options.float_mode = FloatMode::fast;
  const Compilation fast = passes::compile(graph.clone(), options);
  for (const int threads : {1, 2}) {
    const auto got = run_model(fast, inputs, 19, threads);
    double largest = 1, difference = 0;
    for (int64_t i = 0; i < want[0].size(); ++i) {
      const auto at = static_cast<size_t>(i);
      largest = std::max(largest, std::abs(double{want[0].f32()[at]}));
      difference = std::max(difference, std::abs(double{got[0].f32()[at]} - want[0].f32()[at]));
    }
    EXPECT_LE(difference, 1e-5 * largest);
  }
  if (kernels::find_kernel("onednn_conv") == nullptr) GTEST_SKIP() << "built without oneDNN";
  int primitives = 0;
  for (const auto& r : fast.regions) primitives += r.kernel.starts_with("onednn") ? 1 : 0;
  EXPECT_GE(primitives, 1);
  EXPECT_TRUE(fast.model->bound().size() == fast.program.calls.size());
}

TEST(FloatMode, ReproducibleSaysWhyNoPrimitiveIsTaken) {
  if (kernels::find_kernel("onednn_conv") == nullptr) GTEST_SKIP() << "built without oneDNN";
  Graph graph;
  const ValueId x = graph.add_input("x", {{Dim::batch(), 7, 3}, Numeric::float32(), {}});
  graph.add_output(
      "y", graph.add(ops::softmax, "y", {x}, to_attributes(ops::Softmax{.axis = 1})).results[0]);
  CompileOptions options;
  options.passes.disabled = {"turn_softmax"};  // which makes it one along the last axis
  const Compilation compiled = passes::compile(graph.clone(), options);
  EXPECT_EQ(kernel_of(compiled, "y"), "reference_softmax");
  EXPECT_EQ(reason_of(compiled, "y", "onednn_softmax"),
            "adds floats in another order: only with float_mode fast");
}

}  // namespace
}  // namespace qloom::test
