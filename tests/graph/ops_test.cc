// Types and values of each op, in both evaluations. On power-of-two grids below 2^24 steps both
// have to give the same numbers; expected values are written out or come from the plainest other
// formula.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "tests/graph/op_runner.h"
#include "tests/support/random_graph.h"
#include "tests/support/round_trip.h"

namespace qloom {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the words of these tests

// --- dense and conv
// -----------------------------------------------------------------------------------

TEST(Dense, MultipliesAndKnowsItsInterval) {
  const Ran r = run(tensor({2, 2}, {1, 2, -1, 0.5F}), kGrid, [](Builder& b, ValueId x) {
    return b.dense(x, b.constant("w", tensor({2, 3}, {1, 0, -1, 2, 1, 0.5F})));
  });
  expect_both(r, {5, 2, 0, 0, 0.5F, 1.25F});
  // Codes of x in [-128, 127], of w in halves: columns (2, 4), (0, 2), (-2, 1).
  EXPECT_EQ(r.type.to_string(), "[N, 3] integers(-768, 762, 5)");
}

TEST(Dense, KeepsScalesThatFactorOut) {
  const Ran r = run(quarters({3, 8}, 1), kGrid, [](Builder& b, ValueId x) {
    const ValueId w = b.quantize(quantizer("quantized_bits(4, 0, 1, alpha='auto')"),
                                 b.constant("w", quarters({8, 5}, 2)));
    EXPECT_EQ(b.type(w).scale.values().extents(), (Extents{1, 5}));
    return b.dense(x, w);
  });
  EXPECT_TRUE(r.codes);
  EXPECT_EQ(r.type.scale.values().extents(), (Extents{1, 5}));
  for (size_t i = 0; i < r.qkeras.size(); ++i)
    EXPECT_NEAR(r.qkeras[i], r.canonical[i], 1e-5 * (1 + std::abs(r.qkeras[i])));
}

TEST(Dense, ReexpressesScalesAlongTheSum) {
  // One scale per input: it does not factor out of the sum, but all are powers of two.
  Graph g;
  const ValueId x = g.add_input("x", {{Dim::batch(), 3}, Numeric::fixed(4, 0, true), {}});
  const Tensor codes({3, 2}, std::vector<int64_t>{1, -2, 3, 1, -1, 2});
  const auto with = [&](std::vector<double> scale) {
    return TensorType{
        {3, 2}, Numeric::fixed(3, 0, true), Scale::constant(Tensor({3, 1}, std::move(scale)))};
  };
  const ValueId w = g.add_constant("w", codes, with({1, 0.25, 4}));
  const ValueId v = g.add_constant("v", codes, with({1, 0.3, 4}));
  const ValueId y = g.add(ops::dense, "y", {x, w}).results[0];
  const ValueId z = g.add(ops::dense, "z", {x, v}).results[0];
  g.add_output("y", y);
  g.add_output("z", z);
  EXPECT_TRUE(g.type(y).has_codes());
  EXPECT_TRUE(g.type(y).scale.is_per_tensor());
  EXPECT_TRUE(g.type(z).is_float32());
  const auto out = interpret(g, std::vector{tensor({1, 3}, {2, -4, 1})}, {});
  const Tensor f = to_f32(out[0]);
  EXPECT_EQ(f.f32()[0], 2.0F - 3.0F - 4.0F);
  EXPECT_EQ(f.f32()[1], -4.0F - 1.0F + 8.0F);
  testing::check_round_trip(g, std::vector{tensor({1, 3}, {2, -4, 1})});
}

TEST(Dense, FloatsAreSummedInOrderAndRoundedOnce) {
  // In float32, 2^24 + 1 + 1 … would stay at 2^24; in float64 it does not.
  Floats x(5, 1.0F), w(5, 1.0F);
  x[0] = 0x1p24F;
  w[1] = 0.7F;
  const Ran r = run(tensor({1, 5}, x), nullptr, [&](Builder& b, ValueId v) {
    return b.dense(v, b.constant("w", tensor({5, 1}, w)));
  });
  EXPECT_TRUE(r.type.is_float32());
  const auto expected = static_cast<float>(0x1p24 + static_cast<double>(0.7F) + 3);
  expect_both(r, {expected});
}

struct ConvCase {
  const char* name;
  Extents x, kernel;
  ops::Conv conv;
  Extents out;
};
std::ostream& operator<<(std::ostream& out, const ConvCase& c) { return out << c.name; }

// By the definition: a copy of x with its zeros written out, then a valid correlation.
Floats by_definition(const Tensor& x, const Tensor& w, const ConvCase& c) {
  const bool flat = x.rank() == 3;
  const auto at = [&](const Extents& e, size_t i) {
    return flat ? (i == 0 ? 1 : e[i - 1 + 1]) : e[i + 1];
  };
  int64_t in[2], taps[2], stride[2] = {1, 1}, dilation[2] = {1, 1}, before[2] = {0, 0}, out[2];
  for (size_t i = 0; i < 2; ++i) {
    in[i] = at(x.extents(), i);
    taps[i] = flat ? (i == 0 ? 1 : c.kernel[0]) : c.kernel[i];
    if (!flat || i == 1) {
      stride[i] = c.conv.strides[flat ? 0 : i];
      dilation[i] = c.conv.dilations[flat ? 0 : i];
    }
    out[i] = flat ? (i == 0 ? 1 : c.out[1]) : c.out[i + 1];
    const int64_t reach = (taps[i] - 1) * dilation[i] + 1;
    if (c.conv.padding == ops::Padding::same)
      before[i] = std::max<int64_t>((out[i] - 1) * stride[i] + reach - in[i], 0) / 2;
    if (c.conv.padding == ops::Padding::causal && i == 1) before[i] = reach - 1;
  }
  const int64_t n = x.extents()[0], channels = x.extents().back();
  const int64_t group_in = c.kernel[c.kernel.size() - 2], k = c.kernel.back();
  Floats y;
  for (int64_t s = 0; s < n; ++s)
    for (int64_t i = 0; i < out[0]; ++i)
      for (int64_t j = 0; j < out[1]; ++j)
        for (int64_t o = 0; o < k; ++o) {
          double sum = 0;
          const int64_t group = o / (k / c.conv.groups);
          for (int64_t r = 0; r < taps[0]; ++r)
            for (int64_t t = 0; t < taps[1]; ++t)
              for (int64_t ci = 0; ci < group_in; ++ci) {
                const int64_t row = i * stride[0] + r * dilation[0] - before[0];
                const int64_t column = j * stride[1] + t * dilation[1] - before[1];
                if (row < 0 || row >= in[0] || column < 0 || column >= in[1]) continue;
                const int64_t xi =
                    ((s * in[0] + row) * in[1] + column) * channels + group * group_in + ci;
                const int64_t wi = ((r * taps[1] + t) * group_in + ci) * k + o;
                sum += static_cast<double>(x.f32()[static_cast<size_t>(xi)]) *
                       static_cast<double>(w.f32()[static_cast<size_t>(wi)]);
              }
          y.push_back(static_cast<float>(sum));
        }
  return y;
}

class Convolutions : public ::testing::TestWithParam<ConvCase> {};

TEST_P(Convolutions, FollowTheDefinition) {
  const ConvCase& c = GetParam();
  const Tensor x = quarters(c.x, 11, 16), w = quarters(c.kernel, 12);
  const Floats expected = by_definition(x, w, c);
  ASSERT_GT(std::set<float>(expected.begin(), expected.end()).size(), 3U);
  for (const char* q : {kGrid, static_cast<const char*>(nullptr)}) {
    const Ran r =
        run(x, q, [&](Builder& b, ValueId v) { return b.conv(v, b.constant("w", w), c.conv); });
    EXPECT_EQ(r.extents, c.out);
    expect_both(r, expected);
    EXPECT_EQ(r.codes, q != nullptr);
  }
}

using ops::Padding;
INSTANTIATE_TEST_SUITE_P(
    Cases, Convolutions,
    ::testing::Values(
        ConvCase{"valid", {2, 5, 6, 3}, {3, 2, 3, 4}, {}, {2, 3, 5, 4}},
        ConvCase{"same", {2, 5, 6, 3}, {3, 2, 3, 4}, {.padding = Padding::same}, {2, 5, 6, 4}},
        ConvCase{"same_strides",
                 {1, 6, 7, 2},
                 {3, 3, 2, 3},
                 {.strides = {2, 3}, .padding = Padding::same},
                 {1, 3, 3, 3}},
        ConvCase{"same_wide_stride",
                 {1, 7, 7, 2},
                 {1, 2, 2, 3},
                 {.strides = {3, 3}, .padding = Padding::same},
                 {1, 3, 3, 3}},
        ConvCase{"valid_strides", {1, 7, 8, 2}, {3, 3, 2, 3}, {.strides = {2, 2}}, {1, 3, 3, 3}},
        ConvCase{"same_dilation",
                 {1, 6, 6, 2},
                 {3, 3, 2, 2},
                 {.dilations = {2, 3}, .padding = Padding::same},
                 {1, 6, 6, 2}},
        ConvCase{"valid_dilation", {1, 7, 7, 2}, {3, 2, 2, 2}, {.dilations = {2, 3}}, {1, 3, 4, 2}},
        ConvCase{"groups", {2, 4, 4, 6}, {3, 3, 2, 9}, {.groups = 3}, {2, 2, 2, 9}},
        ConvCase{"depthwise",
                 {1, 5, 5, 3},
                 {3, 3, 1, 3},
                 {.padding = Padding::same, .groups = 3},
                 {1, 5, 5, 3}},
        ConvCase{"depthwise_multiplier",
                 {1, 5, 4, 3},
                 {2, 3, 1, 6},
                 {.strides = {2, 2}, .padding = Padding::same, .groups = 3},
                 {1, 3, 2, 6}},
        ConvCase{"pointwise", {2, 3, 3, 5}, {1, 1, 5, 7}, {}, {2, 3, 3, 7}},
        ConvCase{"flat_valid", {2, 9, 3}, {4, 3, 2}, {.strides = {2}, .dilations = {1}}, {2, 3, 2}},
        ConvCase{"flat_same",
                 {2, 9, 3},
                 {4, 3, 2},
                 {.strides = {2}, .dilations = {1}, .padding = Padding::same},
                 {2, 5, 2}},
        ConvCase{"flat_causal",
                 {2, 9, 3},
                 {3, 3, 2},
                 {.strides = {1}, .dilations = {2}, .padding = Padding::causal},
                 {2, 9, 2}},
        ConvCase{"flat_causal_stride",
                 {1, 8, 2},
                 {3, 2, 4},
                 {.strides = {3}, .dilations = {1}, .padding = Padding::causal},
                 {1, 3, 4}},
        ConvCase{"flat_groups",
                 {1, 8, 4},
                 {3, 2, 4},
                 {.strides = {1}, .dilations = {1}, .groups = 2},
                 {1, 6, 4}}),
    ::testing::PrintToStringParamName());

TEST(Conv, WrittenOutValues) {
  // 1 2 3 4 with kernel 1 10 100.
  const auto one = [](ops::Conv conv) {
    conv.dilations = {conv.dilations[0]};
    return run(tensor({1, 4, 1}, {1, 2, 3, 4}), kGrid, [&](Builder& b, ValueId x) {
      return b.conv(x, b.constant("w", tensor({3, 1, 1}, {1, 10, 100})), conv);
    });
  };
  expect_both(one({.strides = {1}}), {321, 432});
  expect_both(one({.strides = {1}, .padding = Padding::same}), {210, 321, 432, 43});
  expect_both(one({.strides = {2}, .padding = Padding::same}), {321, 43});
  expect_both(one({.strides = {1}, .padding = Padding::causal}), {100, 210, 321, 432});
  expect_both(one({.strides = {1}, .dilations = {2}, .padding = Padding::causal}),
              {100, 200, 310, 420});
}

TEST(Conv, IntervalCountsZerosOnlyWhereTapsCanDrop) {
  // x in [1, 15]/2^0 never is zero; the kernel's taps are all 1.
  Graph g;
  const ValueId x = g.add_input("x", {{Dim::batch(), 5, 1}, Numeric::integers(1, 15, 0), {}});
  const ValueId w = g.add_constant("w", Tensor::filled({3, 1, 1}, 1.0F));
  const auto add = [&](const char* name, const char* padding) {
    const Attributes a{{"strides", AttributeValue::Integers{1}},
                       {"dilations", AttributeValue::Integers{1}},
                       {"padding", padding}};
    return g.type(g.add(ops::conv, name, {x, w}, a).results[0]).numeric;
  };
  EXPECT_EQ(add("valid", "valid"), Numeric::integers(3, 45, 0));
  EXPECT_EQ(add("same", "same"), Numeric::integers(1, 45, 0));      // the middle tap stays
  EXPECT_EQ(add("causal", "causal"), Numeric::integers(1, 45, 0));  // the last tap stays
}

TEST(Conv, WorstCaseHoldsWhereTheKernelIsNoConstant) {
  Graph g;
  const ValueId x = g.add_input("x", {{Dim::batch(), 4, 4, 2}, Numeric::fixed(4, 0, false), {}});
  const ValueId w = g.add_input("w", {{3, 3, 2, 5}, Numeric::binary(1), {}});
  const ValueId y = g.add(ops::conv, "y", {x, w}).results[0];
  EXPECT_EQ(g.type(y).numeric, Numeric::integers(-15 * 18, 15 * 18, 1));
  const std::vector types{g.type(x), g.type(w)}, results{g.type(y)};
  EXPECT_EQ(ops::conv.count(*g.find("y"), types, results).multiply_accumulates, 2 * 2 * 5 * 18);
}

// --- pooling and reductions
// ---------------------------------------------------------------------------

TEST(Pool, IgnoresCellsOutside) {
  const Tensor x = tensor({1, 3, 3, 1}, {-1, -2, -3, -4, -5, -6, -7, -7.5F, -8});
  const auto pooled = [&](ops::PoolKind kind, Padding padding) {
    return run(x, kGrid, [&](Builder& b, ValueId v) {
      return b.pool(v, {.kind = kind, .padding = padding});
    });
  };
  expect_both(pooled(ops::PoolKind::max, Padding::same), {-1, -3, -7, -8});
  const Ran same = pooled(ops::PoolKind::average, Padding::same);
  expect_both(same, {-3, -4.5F, -7.25F, -8});
  EXPECT_TRUE(same.codes);  // 4, 2 or 1 cells
  const Ran valid = pooled(ops::PoolKind::average, Padding::valid);
  expect_both(valid, {-3});
  const Ran sums = pooled(ops::PoolKind::sum, Padding::same);
  expect_both(sums, {-12, -9, -14.5F, -8});
  EXPECT_EQ(sums.type.to_string(), "[N, 2, 2, 1] integers(-512, 508, 4)");
  EXPECT_EQ(valid.type.to_string(), "[N, 1, 1, 1] integers(-512, 508, 6)");
  const Ran max = pooled(ops::PoolKind::max, Padding::valid);
  EXPECT_EQ(max.type.numeric, Numeric::fixed(8, 4, true));
}

TEST(Pool, DividesOnceWhereCountsAreNoPowersOfTwo) {
  const Tensor x = quarters({2, 6, 7, 3}, 4);
  const Ran r = run(x, kGrid, [](Builder& b, ValueId v) {
    return b.pool(v, {.kind = ops::PoolKind::average, .sizes = {3, 3}, .strides = {3, 2}});
  });
  EXPECT_TRUE(r.type.is_float32());
  EXPECT_EQ(r.extents, (Extents{2, 2, 3, 3}));
  float sum = 0;  // exact: quarters
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j) sum += x.f32()[(i * 7 + j) * 3];
  EXPECT_EQ(r.canonical[0], sum / 9.0F);
  EXPECT_EQ(r.qkeras, r.canonical);
}

TEST(Pool, InfersHugeShapesAtOnce) {
  Graph g;
  const ValueId x =
      g.add_input("x", {{Dim::batch(), int64_t{1} << 40, 4, 1}, Numeric::fixed(4, 0, true), {}});
  const auto codes = [&](const char* name, int64_t size, int64_t stride) {
    const Attributes a{{"kind", "average"},
                       {"sizes", AttributeValue::Integers{size, 2}},
                       {"strides", AttributeValue::Integers{stride, 2}},
                       {"padding", "same"}};
    return g.type(g.add(ops::pool, name, {x}, a).results[0]).has_codes();
  };
  EXPECT_TRUE(codes("two", 2, 1));
  EXPECT_FALSE(codes("three", 3, 1));
  EXPECT_FALSE(codes("many", int64_t{1} << 30, 1));
  EXPECT_TRUE(codes("four", 4, 4));
}

TEST(Pool, OneDimension) {
  const Tensor x = tensor({1, 5, 2}, {1, 10, 2, 20, 5, 5, 3, 8, -1, -2});
  const auto pooled = [&](ops::PoolKind kind) {
    return run(x, nullptr, [&](Builder& b, ValueId v) {
      return b.pool(v, {.kind = kind, .sizes = {2}, .strides = {2}, .padding = Padding::same});
    });
  };
  expect_both(pooled(ops::PoolKind::max), {2, 20, 5, 8, -1, -2});
  expect_both(pooled(ops::PoolKind::average), {1.5F, 15, 4, 6.5F, -1, -2});
  expect_both(pooled(ops::PoolKind::sum), {3, 30, 8, 13, -1, -2});
}

TEST(Reduce, SumsMeansAndMaxima) {
  const Tensor x = tensor({1, 2, 2, 2}, {1, 2, 3, 4, -5, 6, 7, 8});
  const auto reduced = [&](ops::ReduceKind kind, std::vector<int64_t> axes, bool keep) {
    return run(x, kGrid, [&](Builder& b, ValueId v) {
      return b.reduce(v, {.kind = kind, .axes = axes, .keep_dims = keep});
    });
  };
  const Ran sum = reduced(ops::ReduceKind::sum, {1, 2}, false);
  // 8 saturates to 127/16.
  expect_both(sum, {6, 12 + 127 / 16.0F});
  EXPECT_EQ(sum.type.to_string(), "[N, 2] integers(-512, 508, 4)");
  const Ran mean = reduced(ops::ReduceKind::mean, {2, 1}, true);
  expect_both(mean, {1.5F, (12 + 127 / 16.0F) / 4});
  EXPECT_EQ(mean.type.to_string(), "[N, 1, 1, 2] integers(-512, 508, 6)");
  expect_both(reduced(ops::ReduceKind::max, {3}, false), {2, 4, 6, 127 / 16.0F});
  expect_both(reduced(ops::ReduceKind::max, {-1}, true), {2, 4, 6, 127 / 16.0F});
  const Ran third = run(tensor({1, 3, 1}, {1, 1, 2}), kGrid, [](Builder& b, ValueId v) {
    return b.reduce(v, {.kind = ops::ReduceKind::mean, .axes = {1}});
  });
  EXPECT_TRUE(third.type.is_float32());
  expect_both(third, {4.0F / 3.0F});
}

// --- elementwise
// ---------------------------------------------------------------------------------------

TEST(Elementwise, YieldsCodesOnCommonGrids) {
  const Tensor x = tensor({2, 3}, {1, -2, 3, 0.5F, -0.25F, 2});
  const auto with = [&](ops::Elementwise kind, std::vector<float> c) {
    return run(x, kGrid, [&](Builder& b, ValueId v) {
      const auto n = static_cast<int64_t>(c.size());
      return b.elementwise(kind, v, b.constant("c", tensor({n}, c)));
    });
  };
  using ops::Elementwise;
  const Ran add = with(Elementwise::add, {1, 0, 0.125F});
  expect_both(add, {2, -2, 3.125F, 1.5F, -0.25F, 2.125F});
  EXPECT_EQ(add.type.to_string(), "[N, 3] integers(-128, 143, 4)");
  expect_both(with(Elementwise::subtract, {1, 0, 0.125F}), {0, -2, 2.875F, -0.5F, -0.25F, 1.875F});
  const Ran multiply = with(Elementwise::multiply, {0.5F, -1, 2});
  expect_both(multiply, {0.5F, 2, 6, 0.25F, 0.25F, 4});
  EXPECT_EQ(multiply.type.to_string(), "[N, 3] integers(-512, 508, 5)");
  expect_both(with(Elementwise::maximum, {0}), {1, 0, 3, 0.5F, 0, 2});
  const Ran minimum = with(Elementwise::minimum, {0.25F});
  expect_both(minimum, {0.25F, -2, 0.25F, 0.25F, -0.25F, 0.25F});
  EXPECT_EQ(minimum.type.to_string(), "[N, 3] integers(-128, 4, 4)");
  const Ran real = with(Elementwise::add, {0.1F});
  EXPECT_TRUE(real.type.is_float32());
  expect_both(real, {1.1F, -2 + 0.1F, 3 + 0.1F, 0.6F, -0.25F + 0.1F, 2.1F});
}

TEST(Elementwise, LeavesCodesBeyondTwentyFourBits) {
  Graph g;
  const auto type = [](int bits, int fraction) {
    return TensorType{{Dim::batch(), 2}, Numeric::fixed(bits, fraction, true), {}};
  };
  const ValueId a = g.add_input("a", type(12, 0)), b = g.add_input("b", type(12, 13));
  const ValueId c = g.add_input("c", type(12, 12)), d = g.add_input("d", type(14, 0));
  const auto codes = [&](const char* name, ValueId x, ValueId y, const char* kind) {
    return g.type(g.add(ops::elementwise, name, {x, y}, {{"kind", kind}}).results[0]).has_codes();
  };
  EXPECT_FALSE(codes("ab", a, b, "add"));  // 2^11 · 2^13 + 2^11 > 2^24
  EXPECT_TRUE(codes("ac", a, c, "add"));
  EXPECT_TRUE(codes("aa", a, a, "multiply"));
  EXPECT_FALSE(codes("dd", d, d, "multiply"));
  EXPECT_FALSE(codes("div", a, a, "divide"));
}

TEST(Elementwise, DividesByConstantsAsTheSwitchSays) {
  const Tensor x = tensor({1, 4}, {1, 2, 5, 7});
  const auto divided = [&](const char* preset) {
    return run(
        x, nullptr,
        [](Builder& b, ValueId v) {
          return b.elementwise(ops::Elementwise::divide, v, b.constant("c", Tensor::scalar(3.0F)));
        },
        EvaluationOptions::preset(preset, Evaluation::qkeras));
  };
  expect_both(divided("eager"), {1 / 3.0F, 2 / 3.0F, 5 / 3.0F, 7 / 3.0F});
  const float third = 1 / 3.0F;
  expect_both(divided("predict"), {1 * third, 2 * third, 5 * third, 7 * third});
  EXPECT_NE(5 / 3.0F, 5 * third);
}

TEST(Elementwise, KnowsDirections) {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 3}), y = b.input("y", {Dim::batch(), 3});
  const ValueId c = b.constant("c", tensor({3}, {1, -2, 0}));
  const auto direction = [&](ops::Elementwise kind, ValueId l, ValueId r, int operand) {
    const Graph& g = b.graph();
    const Node& n = g.producer(b.elementwise(kind, l, r));
    const std::vector types{g.type(l), g.type(r)};
    const std::vector constants{g.constant_of(l), g.constant_of(r)};
    return ops::elementwise.direction(n, operand, types, constants);
  };
  using D = Direction;
  using ops::Elementwise;
  EXPECT_EQ(direction(Elementwise::add, x, y, 0), std::vector{D::up});
  EXPECT_EQ(direction(Elementwise::subtract, x, y, 1), std::vector{D::down});
  EXPECT_EQ(direction(Elementwise::multiply, x, c, 0), (std::vector{D::up, D::down, D::constant}));
  EXPECT_EQ(direction(Elementwise::multiply, x, y, 0), std::vector{D::none});
  EXPECT_EQ(direction(Elementwise::divide, x, c, 0), (std::vector{D::up, D::down, D::none}));
}

// --- shapes
// ---------------------------------------------------------------------------------------------

TEST(Shapes, MoveValuesAndCodes) {
  const Tensor x = tensor({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  const Ran permuted = run(x, kGrid, [](Builder& b, ValueId v) { return b.permute(v, {0, 2, 1}); });
  expect_both(permuted, {1, 4, 2, 5, 3, 6});
  EXPECT_EQ(permuted.type.to_string(), "[N, 3, 2] fixed(8, 4, signed)");
  const Ran flat = run(x, kGrid, [](Builder& b, ValueId v) { return b.reshape(v, {-1}); });
  expect_both(flat, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(flat.extents, (Extents{1, 6}));
  const Ran padded = run(x, "binary(alpha=1.0)",
                         [](Builder& b, ValueId v) { return b.pad(v, {0, 1, 0}, {0, 0, 2}); });
  expect_both(padded, {0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0});
  EXPECT_TRUE(padded.type.numeric.is_ternary());
}

TEST(Shapes, ScalesMoveWithTheirChannels) {
  Graph g;
  const TensorType type{{2, 3, 2},
                        Numeric::fixed(4, 0, true),
                        Scale::constant(Tensor({1, 3, 1}, std::vector<double>{0.5, 2, 0.3}))};
  std::vector<int64_t> codes(12);
  for (size_t i = 0; i < 12; ++i) codes[i] = static_cast<int64_t>(i) - 6;
  const ValueId w = g.add_constant("w", Tensor({2, 3, 2}, codes), type);
  const ValueId r =
      g.add(ops::reshape, "r", {w}, {{"extents", AttributeValue::Integers{2, 6}}}).results[0];
  const ValueId p =
      g.add(ops::permute, "p", {w}, {{"axes", AttributeValue::Integers{1, 2, 0}}}).results[0];
  EXPECT_EQ(g.type(r).scale,
            Scale::constant(Tensor({1, 6}, std::vector<double>{.5, .5, 2, 2, .3, .3})));
  EXPECT_EQ(g.type(p).scale, Scale::constant(Tensor({3, 1, 1}, std::vector<double>{.5, 2, .3})));
  g.add_output("r", r);
  g.add_output("p", p);
  const auto out = interpret(g, {}, {});
  const Tensor plain = to_f32(constant_value(g, *g.find("w"))), fr = to_f32(out[0]),
               fp = to_f32(out[1]);
  for (size_t i = 0; i < 2; ++i)
    for (size_t j = 0; j < 3; ++j)
      for (size_t k = 0; k < 2; ++k) {
        const float v = plain.f32()[(i * 3 + j) * 2 + k];
        EXPECT_EQ(fr.f32()[(i * 3 + j) * 2 + k], v);
        EXPECT_EQ(fp.f32()[(j * 2 + k) * 2 + i], v);
      }
  testing::check_round_trip(g);
}

TEST(Concat, JoinsSets) {
  const Tensor x = tensor({1, 2}, {1, -2});
  const Ran same = run(x, kGrid, [](Builder& b, ValueId v) {
    return b.concat({v, b.activation(v, {.function = "relu"}), v}, -1);
  });
  expect_both(same, {1, -2, 1, 0, 1, -2});
  EXPECT_EQ(same.type.numeric, Numeric::fixed(8, 4, true));
  const Ran finer = run(x, kGrid, [](Builder& b, ValueId v) {
    return b.concat({v, b.quantize(quantizer("quantized_relu(2, 0)"), v)}, 1);
  });
  expect_both(finer, {1, -2, 0.75F, 0});
  const Ran scales = run(x, kGrid, [](Builder& b, ValueId v) {
    return b.concat({v, b.quantize(quantizer("quantized_bits(4, 1, 1, alpha=0.3)"), v)}, 1);
  });
  EXPECT_TRUE(scales.type.is_float32());
  EXPECT_EQ(scales.canonical[0], 1);
}

TEST(Masking, ZeroesWholeSteps) {
  const Ran r = run(tensor({1, 3, 2}, {1, 2, -1, -1, -1, 3}), kGrid,
                    [](Builder& b, ValueId v) { return b.masking(v, -1); });
  expect_both(r, {1, 2, 0, 0, -1, 3});
  EXPECT_TRUE(r.codes);
}

// --- the table
// ----------------------------------------------------------------------------------------

TEST(Ops, AreComplete) {
  std::set<std::string_view> names;
  for (const OpDef* op : ops::all_ops()) {
    EXPECT_TRUE(names.insert(op->name).second) << op->name;
    EXPECT_FALSE(op->doc.empty()) << op->name;
    EXPECT_TRUE(op->attrs && op->infer && op->evaluate && op->count) << op->name;
    EXPECT_EQ(find_op(op->name), op);
    for (const OperandDef& d : op->operands) EXPECT_FALSE(d.name.empty()) << op->name;
    if (op != &ops::quantize) {
      // Completed attributes stay as they are and print a form that parses back.
      const Attributes a = op->attrs({});
      EXPECT_EQ(op->attrs(a), a) << op->name;
      EXPECT_EQ(Attributes::parse(a.to_string()), a) << op->name;
    }
    EXPECT_THROW((void)op->attrs({{"no_such_attribute", 1}}), UserError) << op->name;
  }
  EXPECT_EQ(find_op("matmul"), nullptr);
  EXPECT_GE(names.size(), 17U);
}

}  // namespace
}  // namespace qloom
