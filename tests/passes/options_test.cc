#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "graph/builder.h"
#include "graph/quantizer.h"
#include "graph/support/error.h"
#include "kernels/kernel.h"
#include "passes/compile.h"
#include "passes/program/build_program.h"
#include "tests/passes/networks.h"
#include "tests/passes/run_model.h"

namespace qloom::test {
namespace {

const std::string kW4 = "quantized_bits(4,0,1,alpha=1)", kRelu = "quantized_relu(4,2)";

std::string message(const Graph& graph, const passes::CompileOptions& options) {
  try {
    (void)passes::compile(graph.clone(), options);
  } catch (const UserError& e) {
    return e.what();
  }
  return {};
}

TEST(CompileOptions, DisabledKernelsGiveWayToReferenceKernels) {
  const Graph graph = small_cnn(kW4, kRelu);
  passes::CompileOptions options;
  options.disabled_kernels = {"conv_pairs", "conv_winograd_4x4", "dense_packed"};
  const auto compiled = passes::compile(graph.clone(), options);
  for (const auto& r : compiled.regions) EXPECT_TRUE(r.macs == 0 || !r.emitted) << r.name;
  ASSERT_FALSE(compiled.notes.empty());
  EXPECT_NE(compiled.notes[0].find("runs on reference kernels: no emitted kernel takes it: "),
            std::string::npos)
      << compiled.notes[0];
  EXPECT_NE(compiled.notes[0].find("conv_pairs: disabled by an option"), std::string::npos)
      << compiled.notes[0];
  expect_agrees(graph, options);
}

TEST(CompileOptions, PinnedKernelIsTaken) {
  const Graph graph = residual_block("binary(alpha=1)", "binary(alpha=1)");
  for (const char* kernel : {"conv_pairs", "conv_xnor"}) {
    passes::CompileOptions options;
    options.pinned = {{"conv1", kernel}, {"conv2", kernel}};
    const auto compiled = passes::compile(graph.clone(), options);
    EXPECT_EQ(report(compiled, "conv1").kernel, kernel);
    EXPECT_EQ(report(compiled, "conv2").kernel, kernel);
    expect_agrees(graph, options);
  }
}

TEST(CompileOptions, UnknownNamesAreErrorsThatListTheNames) {
  const Graph graph = mlp(kW4, kRelu);
  passes::CompileOptions options;
  options.disabled_kernels = {"conv_magic"};
  EXPECT_NE(message(graph, options).find("cannot disable kernel 'conv_magic': the kernels are "),
            std::string::npos);
  options = {};
  options.pinned = {{"fc1", "conv_magic"}};
  EXPECT_NE(message(graph, options)
                .find("cannot pin node 'fc1' to kernel 'conv_magic': the kernels are "),
            std::string::npos);
  options = {};
  options.passes.disabled = {"fuse_magic"};
  EXPECT_NE(message(graph, options).find("cannot disable pass 'fuse_magic'"), std::string::npos);
}

TEST(CompileOptions, EveryPassCanBeLeftOut) {
  const Graph graph = residual_block(kW4, kRelu);
  for (const passes::PassDef* pass : passes::inference_pipeline()) {
    passes::CompileOptions options;
    options.passes.disabled = {std::string(pass->name)};
    expect_agrees(graph, options);
  }
}

TEST(CompileOptions, PortableCodeGivesTheSame) {
  passes::CompileOptions options;
  options.target = jit::Target::portable();
  expect_agrees(small_cnn(kW4, kRelu), options);
  expect_agrees(residual_block("binary(alpha=1)", "binary(alpha=1)"), options);
}

/// elementwise_chain behind a loop over `live` sums, which fit into registers or do not; where they
/// fit, `rounds` times, so that it takes longer.
void emit_sums(const kernels::Query& q, const kernels::Variant& v, jit::Emitter& e, int live,
               int rounds) {
  if (live > 32) rounds = 4;
  const jit::Value input = e.buffer(0);
  const jit::Value scratch =
      e.buffer(static_cast<int>(2 + q.tail->operands.size() + q.tail->outputs.size()));
  std::vector<jit::Variable> sums;
  for (int i = 0; i < live; ++i)
    sums.push_back(e.variable(e.splat(e.integer(i, jit::Element::i8), e.bytes())));
  e.loop("sums", e.integer(0), e.integer(rounds), 1, 1, [&](jit::Value) {
    const jit::Value x = e.load(input, jit::Element::i8, e.bytes());
    for (const jit::Variable sum : sums)
      e.set(sum, e.binary(jit::Binary::bit_xor, e.add(e.get(sum), x), x));
  });
  for (int i = 0; i < live; ++i)
    e.store(e.offset(scratch, i * e.bytes()), e.get(sums[static_cast<size_t>(i)]));
  kernels::find_kernel("elementwise_chain")->emit(q, v, e);
}
constexpr int kTooMany = 48, kFew = 4;
constexpr int kSomeRounds = 52, kManyRounds = 1000;  // a little slower, much slower
template <int kFirst, int kSecond, int kRounds = kSomeRounds>
const kernels::KernelDef& kernel_of_sums(const char* name) {
  static kernels::KernelDef def = *kernels::find_kernel("elementwise_chain");
  def.name = name;
  def.experimental = true;  // only where pinned
  def.variants = [](const kernels::Query& q, const jit::Target& t) {
    kernels::Variant first = kernels::find_kernel("elementwise_chain")->variants(q, t).front();
    kernels::Variant second = first;
    first.option = 1;
    second.option = 2;
    return std::vector{first, second};
  };
  def.emit = [](const kernels::Query& q, const kernels::Variant& v, jit::Emitter& e) {
    emit_sums(q, v, e, v.option == 1 ? kFirst : kSecond, kRounds);
  };
  def.scratch_bytes = [](const kernels::Query&, const kernels::Variant&, const jit::Target&) {
    return int64_t{1} << 13;
  };
  return def;
}

TEST(CompileOptions, VariantsThatUseTheStackInTheirInnerLoopGiveWay) {
  kernels::register_kernel(kernel_of_sums<kTooMany, kFew>("test_some_spill"));
  kernels::register_kernel(kernel_of_sums<kTooMany, kTooMany + 1>("test_all_spill"));
  const Graph graph = small_cnn(kW4, kRelu);
  const auto plain = passes::compile(graph.clone());
  const auto node = std::ranges::find(plain.regions, "elementwise", &passes::RegionReport::op);
  ASSERT_NE(node, plain.regions.end());
  passes::CompileOptions options;
  options.pinned = {{node->name, "test_some_spill"}};
  const auto some = passes::compile(graph.clone(), options);
  const auto& r = report(some, node->name);
  EXPECT_EQ(r.kernel, "test_some_spill");
  EXPECT_NE(r.variant.find("option 2"), std::string::npos) << r.variant;
  const auto candidate = std::ranges::find(r.candidates, r.kernel, &passes::Candidate::kernel);
  EXPECT_NE(candidate->variants.front().first, r.variant) << "the other must have looked cheaper";
  EXPECT_TRUE(some.notes.empty());
  // Not where it is predicted to cost more than the stack does.
  kernels::register_kernel(kernel_of_sums<kTooMany, kFew, kManyRounds>("test_much_slower"));
  options.pinned = {{node->name, "test_much_slower"}};
  const auto slower = passes::compile(graph.clone(), options);
  EXPECT_NE(report(slower, node->name).variant.find("option 1"), std::string::npos)
      << report(slower, node->name).variant;
  EXPECT_TRUE(slower.notes.empty());
  options.pinned = {{node->name, "test_all_spill"}};
  const auto all = passes::compile(graph.clone(), options);
  ASSERT_EQ(all.notes.size(), 1U);
  EXPECT_NE(all.notes[0].find("every variant uses the stack in its inner loop"), std::string::npos)
      << all.notes[0];
  expect_agrees(graph, options);
}

TEST(CompileOptions, OtherTargetsAreCompiledForButNotLoaded) {
  passes::CompileOptions options;
  for (const std::string_view name : jit::Target::names()) {
    options.target = jit::Target::named(name);
    options.in_memory = false;
    const auto compiled = passes::compile(small_cnn(kW4, kRelu), options);
    EXPECT_FALSE(compiled.objects.empty()) << name;
    EXPECT_EQ(compiled.model, nullptr);
    EXPECT_GT(report(compiled, "conv_sum").predicted_ns, 0) << name;
    options.in_memory = true;
    const std::string refused =
        options.target.runs_here() ? "" : message(small_cnn(kW4, kRelu), options);
    EXPECT_EQ(refused.find("this machine does not run it") != std::string::npos,
              !options.target.runs_here())
        << name << refused;
  }
}

TEST(Explain, ListsEveryEmittedKernelWithVerdict) {
  const auto compiled = passes::compile(small_cnn(kW4, kRelu));
  const auto& conv = report(compiled, "conv_sum");
  EXPECT_EQ(conv.op, "conv");
  EXPECT_EQ(conv.layers, (std::vector<std::string>{"conv", "bn", "act"}));
  ASSERT_TRUE(conv.accumulator);
  EXPECT_LT(conv.accumulator->first, 0);
  EXPECT_GT(conv.accumulator->second, 0);
  EXPECT_EQ(conv.macs, 8 * 8 * 9 * 3 * 3 * 3);
  EXPECT_TRUE(conv.both_quantized);
  EXPECT_TRUE(conv.emitted);
  bool chosen = false;
  for (const auto& candidate : conv.candidates) {
    EXPECT_EQ(candidate.matches, candidate.reason.empty()) << candidate.kernel;
    if (candidate.kernel != conv.kernel) continue;
    chosen = true;
    EXPECT_LE(candidate.predicted_ns, conv.predicted_ns);  // a cheaper variant may use the stack
    const auto variant = std::ranges::find(candidate.variants, conv.variant,
                                           &decltype(candidate.variants)::value_type::first);
    ASSERT_NE(variant, candidate.variants.end()) << conv.variant;
    EXPECT_DOUBLE_EQ(variant->second, conv.predicted_ns);
  }
  EXPECT_TRUE(chosen);
}

TEST(Input, OfAQuantizedTypeIsConverted) {
  Graph graph;
  graph.name = "typed";
  const ValueId x = graph.add_input(
      "x", {.shape = {Dim::batch(), 10}, .numeric = Numeric::fixed(4, 2, true), .scale = {}});
  TensorType type{.shape = {10, 6}, .numeric = Numeric::fixed(3, 1, true), .scale = {}};
  std::vector<int64_t> codes(60);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<int64_t>(i % 7) - 3;
  const ValueId w = graph.add_constant("w", Tensor({10, 6}, std::move(codes)), type);
  graph.add_output("y", graph.add(*find_op("dense"), "fc", {x, w}).results[0]);
  std::vector<float> values(40);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>(i * 5 % 16) - 8) / 4;
  const std::vector<Tensor> inputs{Tensor({4, 10}, std::move(values))};
  const auto compiled = passes::compile(graph.clone());
  expect_equal(run_model(compiled, inputs, 4)[0], reference(graph, inputs)[0], "y");
  EXPECT_TRUE(compiled.program.inputs[0].check_finite);
}

TEST(Output, MayBeAReshapeAndOneValueTwice) {
  Builder b("twice");
  ValueId x = b.input("x", {Dim::batch(), 4, 4, 2});
  x = b.apply(parse_quantizer("quantized_bits(4,1,1,alpha=1)"), x, "in_q");
  b.output("codes", x);
  x = b.reshape(x, {-1}, "flat");
  b.output("flat", x);
  b.output("again", x);
  expect_agrees(b.finish(), {});
}

TEST(Ports, OfUnusualGraphs) {
  {
    Builder b("two_inputs");  // and one that nothing uses
    const ValueId x = b.input("x", {Dim::batch(), 6}), y = b.input("y", {Dim::batch(), 6});
    b.input("unused", {Dim::batch(), 3});
    const ValueId q = b.apply(parse_quantizer("quantized_bits(4,1,1,alpha=1)"), y, "y_q");
    b.output("sum", b.add(x, q));
    expect_agrees(b.finish(), {});
  }
  {
    Builder b("identity");
    b.output("y", b.input("x", {Dim::batch(), 6}));
    expect_agrees(b.finish(), {});
  }
  {
    Builder b("constant");
    b.input("x", {Dim::batch(), 6});
    b.output("y", b.constant("c", random_tensor({6}, 1)));
    EXPECT_NE(message(b.finish(), {}).find("output 'y' is a constant"), std::string::npos);
  }
}

TEST(Compile, SaysWhichSumLeaves32Bits) {
  Builder b("wide");
  ValueId x = b.input("x", {Dim::batch(), 40});
  x = b.apply(parse_quantizer("quantized_bits(16,0,1,alpha=1)"), x, "in_q");
  x = b.dense(x,
              b.apply(parse_quantizer("quantized_bits(16,0,1,alpha=1)"),
                      b.constant("w", random_tensor({40, 3}, 1))),
              "fc");
  b.output("y", b.apply(parse_quantizer("quantized_relu(4,1)"), x, "act"));
  const Graph graph = b.finish();
  const auto compiled = passes::compile(graph.clone());
  ASSERT_EQ(compiled.notes.size(), 1U);
  EXPECT_NE(compiled.notes[0].find("'fc' runs on a reference kernel: its sum"), std::string::npos)
      << compiled.notes[0];
  expect_agrees(graph, {});
}

TEST(Memory, DeadBuffersAreUsedAgain) {
  Builder b("deep");
  ValueId x = b.input("x", {Dim::batch(), 64});
  x = b.apply(parse_quantizer("quantized_bits(8,2,1,alpha=1)"), x, "in_q");
  for (int i = 0; i < 12; ++i) {
    const std::string name = "fc" + std::to_string(i);
    x = b.dense(x,
                b.apply(parse_quantizer(kW4),
                        b.constant(name + "_w", random_tensor({64, 64}, static_cast<uint64_t>(i)))),
                name);
    x = b.apply(parse_quantizer("quantized_relu(8,3)"), x);
  }
  b.output("y", x);
  const auto compiled = passes::compile(b.finish());
  int64_t sum = 0;
  for (const auto& buffer : compiled.program.buffers) sum += buffer.bytes_per_sample;
  EXPECT_LT(compiled.program.arena_bytes_per_sample, sum / 2);
  for (const auto& buffer : compiled.program.buffers) {
    EXPECT_EQ(buffer.offset_fixed % 64, 0);
    EXPECT_EQ(buffer.offset_per_sample % 8, 0);
  }
}

TEST(WholeBatch, IsMarked) {
  Builder b("auto");
  ValueId x = b.input("x", {Dim::batch(), 16});
  b.output("y", b.apply(parse_quantizer("quantized_bits(4,0,1,alpha='auto_po2')"), x, "q"));
  const Graph graph = b.finish();
  const auto compiled = passes::compile(graph.clone());
  EXPECT_TRUE(compiled.program.whole_batch);
  const auto inputs = random_inputs(graph, 9, 3);
  expect_equal(run_model(compiled, inputs, 9, 2)[0], reference(graph, inputs)[0], "y");
  EXPECT_FALSE(passes::compile(mlp(kW4, kRelu)).program.whole_batch);
}

}  // namespace
}  // namespace qloom::test
