// Concatenations whose operands are written straight into the result.
#include <gtest/gtest.h>

#include <algorithm>

#include "graph/builder.h"
#include "graph/quantizer.h"
#include "passes/compile.h"
#include "tests/passes/networks.h"
#include "tests/passes/run_model.h"
#include "tests/support/random_graph.h"

namespace qloom::test {
namespace {

/// Builds networks of convolutions whose results are concatenated.
class Network {
 public:
  explicit Network(Shape shape, const std::string& quantizer = "quantized_bits(8,1,1,alpha=1)")
      : b_("network") {
    x = b_.input("image", std::move(shape));
    if (!quantizer.empty()) x = b_.apply(parse_quantizer(quantizer), x, "image_q");
  }

  /// A convolution with bias and activation; "": none. `weights` "": float32.
  ValueId conv(ValueId from, const std::string& name, int64_t channels, int64_t kernel,
               const std::string& activation, const std::string& weights = kWeights) {
    const int64_t c = b_.type(from).shape.back().extent();
    ValueId w =
        b_.constant(name + "_kernel", random_tensor({kernel, kernel, c, channels}, ++seed_));
    if (!weights.empty()) w = b_.apply(parse_quantizer(weights), w, name + "_kernel_q");
    ValueId y = b_.conv(from, w, {.padding = ops::Padding::same}, name);
    if (weights == kWeights) {
      const ValueId bias = b_.constant(name + "_bias", random_tensor({channels}, ++seed_));
      y = b_.add(y, b_.apply(parse_quantizer("quantized_bits(6,1,1,alpha=1)"), bias));
    }
    return activation.empty() ? y : b_.apply(parse_quantizer(activation), y);
  }
  ValueId pool(ValueId from, const std::string& name) {
    return b_.pool(from,
                   {.kind = ops::PoolKind::max,
                    .sizes = {3, 3},
                    .strides = {1, 1},
                    .padding = ops::Padding::same},
                   name);
  }
  ValueId concat(std::vector<ValueId> parts, const std::string& name) {
    const int64_t axis = b_.type(parts[0]).rank() - 1;
    return b_.concat(std::move(parts), axis, name);
  }
  Builder& builder() { return b_; }
  void output(const std::string& name, ValueId value) { b_.output(name, value); }
  Graph finish() { return b_.finish(); }

  static constexpr const char* kWeights = "quantized_bits(4,0,1,alpha=1)";
  ValueId x;

 private:
  Builder b_;
  uint64_t seed_ = 7;
};

constexpr const char* kRelu = "quantized_relu(4,1)";

/// Four branches of 16, 24, 8 and 5 channels. `is_output`: of the concatenated values too.
Graph inception(bool is_output = false) {
  Network n({Dim::batch(), 7, 9, 3});
  const ValueId stem = n.conv(n.x, "stem", 8, 3, kRelu);
  const ValueId cat =
      n.concat({n.conv(stem, "one", 16, 1, kRelu), n.conv(stem, "three", 24, 3, kRelu),
                n.pool(stem, "pooled"), n.conv(stem, "five", 5, 5, kRelu)},
               "cat");
  n.output("y", n.conv(cat, "behind", 6, 3, kRelu));
  if (is_output) n.output("cat", cat);
  return n.finish();
}

passes::CompileOptions in_place() {
  passes::CompileOptions options;
  options.concat_in_place = passes::ConcatInPlace::where_possible;
  return options;
}

bool has_region(const passes::Compilation& c, const std::string& name) {
  return std::ranges::any_of(c.regions, [&](const auto& r) { return r.name == name; });
}

std::string parts_text(const passes::Compilation& c, const std::string& name) {
  std::string text;
  for (const std::string& part : report(c, name).parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

const runtime::Buffer* buffer_of_parts(const passes::Compilation& c) {
  for (const runtime::Buffer& b : c.program.buffers)
    if (b.writers > 1) return &b;
  return nullptr;
}

/// The interpreter's outputs, in every way to run it; without parts the same bits.
void expect_same(const Graph& graph) {
  passes::CompileOptions apart;
  apart.concat_in_place = passes::ConcatInPlace::never;
  const passes::Compilation without = passes::compile(graph.clone(), apart);
  EXPECT_EQ(buffer_of_parts(without), nullptr);
  for (const int64_t chain_tile : {0, 3}) {
    passes::CompileOptions options = in_place();
    options.chain_tile = chain_tile;
    const passes::Compilation compiled = passes::compile(graph.clone(), options);
    for (const int64_t samples : {1, 2, 9}) {
      const auto inputs = random_inputs(graph, samples, 3);
      const auto want = reference(graph, inputs);
      const auto separate = run_model(without, inputs, samples);
      for (const int threads : {1, 2}) {
        auto got = run_model(compiled, inputs, samples, threads, threads == 1 ? 0 : 4);
        const auto shared =
            run_model_as(compiled, inputs, samples, {.threads = threads, .fork_ns = 0});
        for (size_t i = 0; i < want.size(); ++i) {
          expect_equal(got[i], want[i], "output " + std::to_string(i));
          EXPECT_TRUE(got[i].same_bits(separate[i])) << "output " << i;
          EXPECT_TRUE(got[i].same_bits(shared[i])) << "output " << i;
        }
      }
    }
  }
}

TEST(WriteParts, BranchesWriteChannelsOfTheResult) {
  const Graph graph = inception();
  const passes::Compilation compiled = passes::compile(graph.clone(), in_place());
  EXPECT_FALSE(has_region(compiled, "cat")) << compiled.program.to_text();
  EXPECT_EQ(parts_text(compiled, "one"), "channels 0..15 of 'cat' as bytes");
  EXPECT_EQ(parts_text(compiled, "three"), "channels 16..39 of 'cat' as bytes");
  EXPECT_EQ(parts_text(compiled, "pooled"), "channels 40..47 of 'cat' as bytes");
  EXPECT_EQ(parts_text(compiled, "five"), "channels 48..52 of 'cat' as bytes");
  const runtime::Buffer* buffer = buffer_of_parts(compiled);
  ASSERT_NE(buffer, nullptr);
  EXPECT_EQ(buffer->writers, 4);
  EXPECT_EQ(buffer->bytes_per_sample, 7 * 9 * 53);
  for (const runtime::Chain& chain : compiled.program.chains)
    EXPECT_GE(chain.last - chain.first, 2);
  expect_same(graph);
}

/// Whole vectors go in the same stores to another place: nothing is lost.
TEST(WriteParts, IsDoneWhereItIsFaster) {
  Network n({Dim::batch(), 14, 14, 32});
  const ValueId cat =
      n.concat({n.conv(n.x, "left", 64, 1, kRelu), n.conv(n.x, "right", 64, 3, kRelu)}, "cat");
  n.output("y", n.conv(cat, "behind", 16, 1, kRelu));
  const passes::Compilation compiled = passes::compile(n.finish());
  EXPECT_FALSE(has_region(compiled, "cat"));
  EXPECT_EQ(parts_text(compiled, "right"), "channels 64..127 of 'cat' as bytes");
}

TEST(WriteParts, TheResultMayBeAnOutput) {
  const passes::Compilation compiled = passes::compile(inception(true), in_place());
  EXPECT_FALSE(has_region(compiled, "cat"));
  // As codes for the convolution, as float32 for the caller: nothing is converted.
  for (const char* part : {"channels 48..52 of 'cat' as bytes", "channels 48..52 of 'cat' as f32"})
    EXPECT_NE(parts_text(compiled, "five").find(part), std::string::npos) << part;
  EXPECT_EQ(compiled.program.calls.size(), 7U) << compiled.program.to_text();
  expect_same(inception(true));
}

/// Of two operands; how many words of packed bits a run has, 0 where they are not in place.
void expect_bits(int64_t first, int64_t second, int64_t words) {
  Network n({Dim::batch(), 6, 6, 64}, "binary(alpha=1.0)");
  const std::string binary = "binary(alpha=1.0)";
  const ValueId stem = n.conv(n.x, "stem", 64, 3, binary, binary);
  const ValueId cat = n.concat({n.conv(stem, "left", first, 3, binary, binary),
                                n.conv(stem, "right", second, 3, binary, binary)},
                               "cat");
  n.output("y", n.conv(cat, "behind", 64, 3, binary, binary));
  const Graph graph = n.finish();
  const passes::Compilation compiled = passes::compile(graph.clone(), in_place());
  const std::string part = "channels 0.." + std::to_string(first - 1) + " of 'cat' as bits";
  const runtime::Buffer* buffer = buffer_of_parts(compiled);
  if (words > 0) {
    EXPECT_EQ(parts_text(compiled, "left"), part) << compiled.program.to_text();
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(buffer->bytes_per_sample, 6 * 6 * words * 8);
  } else if (buffer != nullptr) {
    EXPECT_NE(parts_text(compiled, "left"), part);
  }
  expect_same(graph);
}

TEST(WriteParts, PackedBitsByWholeBytes) {
  expect_bits(64, 64, 2);
  expect_bits(24, 40, 1);
  expect_bits(64, 24, 0);  // nobody would write the bytes behind
  expect_bits(60, 68, 0);  // they would share a byte
}

TEST(WriteParts, Floats) {
  Network n({Dim::batch(), 5, 5, 3}, "");
  const ValueId cat = n.concat({n.conv(n.x, "left", 3, 3, "", ""),
                                n.conv(n.x, "right", 17, 1, "", ""), n.pool(n.x, "pooled")},
                               "cat");
  n.output("cat", cat);
  n.output("y", n.conv(cat, "behind", 4, 1, "", ""));
  const Graph graph = n.finish();
  const passes::Compilation compiled = passes::compile(graph.clone(), in_place());
  EXPECT_EQ(parts_text(compiled, "right"), "channels 3..19 of 'cat' as f32");
  expect_same(graph);
}

/// Each layer sees all before it: what is concatenated is concatenated again.
TEST(WriteParts, ConcatenationsOfConcatenations) {
  Network n({Dim::batch(), 6, 5, 3});
  ValueId x = n.conv(n.x, "stem", 8, 3, kRelu);
  for (int i = 1; i <= 3; ++i) {
    const std::string number = std::to_string(i);
    x = n.concat({x, n.conv(x, "layer" + number, 12, 3, kRelu)}, "cat" + number);
  }
  n.output("y", n.conv(x, "behind", 6, 1, kRelu));
  const Graph graph = n.finish();
  const passes::Compilation compiled = passes::compile(graph.clone(), in_place());
  for (const char* name : {"cat1", "cat2", "cat3"})
    EXPECT_FALSE(has_region(compiled, name)) << name;
  EXPECT_EQ(parts_text(compiled, "layer1"),
            "channels 8..19 of 'cat1' as bytes; channels 8..19 of 'cat2' as bytes; "
            "channels 8..19 of 'cat3' as bytes");
  EXPECT_EQ(parts_text(compiled, "layer3"), "channels 32..43 of 'cat3' as bytes");
  // The stem is read by itself too.
  EXPECT_EQ(report(compiled, "stem").results.size(), 4U);
  expect_same(graph);
}

/// What only another concatenation reads is not made for itself.
TEST(WriteParts, NothingIsWrittenThatNobodyReads) {
  Network n({Dim::batch(), 6, 5, 3});
  const ValueId inner =
      n.concat({n.conv(n.x, "a", 8, 3, kRelu), n.conv(n.x, "b", 9, 1, kRelu)}, "inner");
  const ValueId cat = n.concat({n.conv(n.x, "c", 3, 1, kRelu), inner}, "cat");
  n.output("y", n.conv(cat, "behind", 6, 1, kRelu));
  const Graph graph = n.finish();
  const passes::Compilation compiled = passes::compile(graph.clone(), in_place());
  EXPECT_FALSE(has_region(compiled, "inner"));
  EXPECT_FALSE(has_region(compiled, "cat"));
  EXPECT_EQ(parts_text(compiled, "b"), "channels 11..19 of 'cat' as bytes");
  expect_same(graph);
}

TEST(WriteParts, TheSameValueTwice) {
  Network n({Dim::batch(), 6, 5, 3});
  const ValueId a = n.conv(n.x, "a", 8, 3, kRelu);
  n.output("y",
           n.conv(n.concat({a, n.conv(n.x, "b", 9, 1, kRelu), a}, "cat"), "behind", 6, 1, kRelu));
  const Graph graph = n.finish();
  EXPECT_EQ(parts_text(passes::compile(graph.clone(), in_place()), "a"),
            "channels 0..7 of 'cat' as bytes; channels 17..24 of 'cat' as bytes");
  expect_same(graph);
}

TEST(WriteParts, DenseLayersAndOneDimension) {
  Network n({Dim::batch(), 40});
  const auto dense = [&](ValueId from, const std::string& name, int64_t units) {
    Builder& b = n.builder();
    const int64_t c = b.type(from).shape.back().extent();
    const ValueId w =
        b.apply(parse_quantizer(Network::kWeights),
                b.constant(name + "_kernel", random_tensor({c, units}, c + units)), name + "_q");
    return b.apply(parse_quantizer(kRelu), b.dense(from, w, name));
  };
  const ValueId cat =
      n.concat({dense(n.x, "a", 16), dense(n.x, "b", 33), dense(n.x, "c", 7)}, "cat");
  n.output("y", dense(cat, "behind", 10));
  const Graph graph = n.finish();
  const passes::Compilation compiled = passes::compile(graph.clone(), in_place());
  EXPECT_FALSE(has_region(compiled, "cat"));
  EXPECT_EQ(parts_text(compiled, "c"), "channels 49..55 of 'cat' as bytes");
  expect_same(graph);
}

/// Where an operand cannot be written by whoever computes it, all stays as it was.
TEST(WriteParts, AllOperandsOrNone) {
  const auto expect_call = [](Network& n, ValueId cat,
                              const passes::CompileOptions& options = in_place()) {
    n.output("y", n.conv(cat, "behind", 6, 1, kRelu));
    const Graph graph = n.finish();
    const passes::Compilation compiled = passes::compile(graph.clone(), options);
    EXPECT_TRUE(has_region(compiled, "cat"));
    EXPECT_EQ(buffer_of_parts(compiled), nullptr);
    expect_agrees(graph, options);
  };
  {  // codes of another step
    Network n({Dim::batch(), 6, 5, 3});
    expect_call(
        n, n.concat({n.conv(n.x, "a", 8, 3, kRelu), n.conv(n.x, "b", 8, 3, "quantized_relu(5,1)")},
                    "cat"));
  }
  {  // an input
    Network n({Dim::batch(), 6, 5, 3}, "");
    expect_call(n, n.concat({n.conv(n.x, "a", 8, 3, "", ""), n.x}, "cat"));
  }
  {  // another axis
    Network n({Dim::batch(), 6, 5, 3});
    expect_call(n, n.builder().concat(
                       {n.conv(n.x, "a", 8, 3, kRelu), n.conv(n.x, "b", 8, 3, kRelu)}, 1, "cat"));
  }
  {  // the caller wants a kernel
    Network n({Dim::batch(), 6, 5, 3});
    passes::CompileOptions options = in_place();
    options.pinned = {{"cat", "concat_lanes"}};
    expect_call(n, n.concat({n.conv(n.x, "a", 8, 3, kRelu), n.conv(n.x, "b", 8, 3, kRelu)}, "cat"),
                options);
  }
}

/// Any kernel of theirs can do it.
TEST(WriteParts, EveryKernelOfABranch) {
  const Graph graph = inception();
  for (const char* kernel : {"conv_pairs", "conv_table_exact", "conv_lanes", "conv_winograd"})
    for (const char* branch : {"one", "three", "five"}) {
      passes::CompileOptions options = in_place();
      const passes::Compilation any = passes::compile(graph.clone(), in_place());
      const auto& candidates = report(any, branch).candidates;
      if (!std::ranges::any_of(candidates,
                               [&](const auto& c) { return c.kernel == kernel && c.matches; }))
        continue;
      options.pinned = {{branch, kernel}};
      const passes::Compilation compiled = passes::compile(graph.clone(), options);
      EXPECT_EQ(report(compiled, branch).kernel, kernel);
      expect_agrees(graph, options);
    }
}

}  // namespace
}  // namespace qloom::test
