// Normalization, functions of elements and quantizers as ops, in both evaluations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "tests/graph/op_runner.h"

namespace qloom {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the words of these tests

// --- normalization and functions
// ----------------------------------------------------------------------

TEST(BatchNorm, RoundsInKerasOrder) {
  const Floats gamma{1.3F, -0.7F}, beta{0.1F, 0.2F}, mean{0.3F, -0.9F}, variance{1.7F, 0.4F};
  const Tensor x = tensor({1, 2, 1, 2}, {0.37F, 1.91F, -2.3F, 0.77F});
  const auto normalized = [&](ops::BatchNormForm form, BatchNormRounding rounding) {
    return run(x, nullptr,
               [&](Builder& b, ValueId v) {
                 return b.batch_norm(v, b.constant("g", tensor({2}, gamma)),
                                     b.constant("b", tensor({2}, beta)),
                                     b.constant("m", tensor({2}, mean)),
                                     b.constant("v", tensor({2}, variance)), {.form = form});
               },
               {.batch_norm = rounding});
  };
  using F = ops::BatchNormForm;
  using R = BatchNormRounding;
  Floats affine, centered, fused;
  for (size_t i = 0; i < 4; ++i) {
    const size_t k = i % 2;
    const float v = x.f32()[i], r = 1.0F / std::sqrt(variance[k] + 1e-3F), inv = r * gamma[k];
    affine.push_back(v * inv + (beta[k] - mean[k] * inv));
    centered.push_back((v - mean[k]) * inv + beta[k]);
    fused.push_back(std::fma((v - mean[k]) * r, gamma[k], beta[k]));
  }
  expect_both(normalized(F::affine, R::plain), affine);
  expect_both(normalized(F::affine, R::fused_multiply_add), affine);
  expect_both(normalized(F::centered, R::plain), centered);
  expect_both(normalized(F::centered, R::fused_multiply_add), fused);
}

TEST(BatchNorm, QuantizesTheInverse) {
  // The example of the specification: inverse quantized_bits(8, 0, 1), gamma (1, 0.25), variance
  // (1.5, 1): the inverse is (0.8125, 0.25).
  const Ran r = run(tensor({1, 2}, {1, 1}), nullptr, [](Builder& b, ValueId v) {
    ops::BatchNorm a;
    a.inverse_quantizer = "quantized_bits";
    a.inverse_arguments = quantizer("quantized_bits(8, 0, 1)").arguments();
    const ValueId zero = b.constant("zero", tensor({2}, {0, 0}));
    return b.batch_norm(v, b.constant("g", tensor({2}, {1, 0.25F})), zero, zero,
                        b.constant("v", tensor({2}, {1.5F, 1})), a);
  });
  expect_both(r, {0.8125F, 0.25F});
}

TEST(BatchNorm, DirectionFollowsGamma) {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 3});
  const ValueId gamma = b.constant("gamma", tensor({3}, {1, -1, 0}));
  const ValueId one = b.constant("one", tensor({3}, {1, 1, 1}));
  const ValueId y = b.batch_norm(x, gamma, one, one, one, {});
  const Graph& g = b.graph();
  const Node& n = g.producer(y);
  std::vector<TensorType> types;
  std::vector<const Node*> constants;
  for (const ValueId v : n.operands) {
    types.push_back(g.type(v));
    constants.push_back(g.constant_of(v));
  }
  using D = Direction;
  EXPECT_EQ(ops::batch_norm.direction(n, 0, types, constants),
            (std::vector{D::up, D::down, D::constant}));
}

Floats activated(ops::Activation a, Floats x, const char* quantize = nullptr) {
  const auto n = static_cast<int64_t>(x.size());
  const Ran r = run(tensor({1, n}, std::move(x)), quantize,
                    [&](Builder& b, ValueId v) { return b.activation(v, a); });
  EXPECT_EQ(r.qkeras, r.canonical) << a.function;
  return r.canonical;
}

TEST(Activation, PiecewiseLinear) {
  const Floats x{-3, -1, -0.5F, 0, 0.1F, 0.3F, 1, 3};
  const auto f = [&](const char* name) { return activated({.function = name}, x); };
  EXPECT_EQ(f("linear"), x);
  EXPECT_EQ(f("hard_sigmoid"), (Floats{0, 0, 0.25F, 0.5F, 0.5F * 0.1F + 0.5F, 0.65F, 1, 1}));
  EXPECT_EQ(f("smooth_sigmoid")[2], 0.5F - 0.09375F);
  EXPECT_EQ(f("binary_sigmoid"), (Floats{0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(f("binary_tanh"), (Floats{-1, -1, -1, -1, 1, 1, 1, 1}));
  EXPECT_EQ(f("hard_tanh")[4], 0x1.9999ap-4F);  // 0.10000002, from the specification
  EXPECT_EQ(f("hard_tanh")[5], 0.29999995F);
  EXPECT_EQ(f("smooth_tanh")[5], 0.11249995F);
  EXPECT_EQ(f("keras_hard_sigmoid"),
            (Floats{0, 0.5F - 0.2F, 0.4F, 0.5F, 0.2F * 0.1F + 0.5F, 0.2F * 0.3F + 0.5F, 0.7F, 1}));
  EXPECT_EQ(activated({.function = "leaky_relu", .negative_slope = 0.3}, {-2, 0, 2}),
            (Floats{-2 * 0.3F, 0, 2}));
}

TEST(Activation, ReluWithAllItsArguments) {
  const Floats x{-2, -1, 0, 0.5F, 1, 2, 6, 7};
  EXPECT_EQ(activated({.function = "relu"}, x), (Floats{0, 0, 0, 0.5F, 1, 2, 6, 7}));
  EXPECT_EQ(activated({.function = "relu", .max_value = 6.0}, x),
            (Floats{0, 0, 0, 0.5F, 1, 2, 6, 6}));
  EXPECT_EQ(
      activated({.function = "relu", .max_value = 6.0, .negative_slope = 0.5, .threshold = 1}, x),
      (Floats{-1.5F, -1, -0.5F, -0.25F, 0, 2, 6, 6}));
  const Ran grid = run(tensor({1, 3}, {-1, 1, 5}), kGrid, [](Builder& b, ValueId v) {
    return b.activation(v, {.function = "relu", .max_value = 2.0});
  });
  expect_both(grid, {0, 1, 2});
  EXPECT_EQ(grid.type.to_string(), "[N, 3] integers(0, 32, 4)");
}

TEST(Activation, SmoothFunctionsAreRoundedOnce) {
  const Floats x{-20, -1.5F, -0.1F, 0, 0.25F, 2, 30};
  const auto check = [&](const char* name, double (*f)(double), double ulps) {
    const Floats y = activated({.function = name}, x);
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = f(static_cast<double>(x[i]));
      EXPECT_NEAR(y[i], expected, ulps * std::abs(expected) * 0x1p-23 + 1e-30)
          << name << " " << x[i];
    }
  };
  check("tanh", [](double v) { return std::tanh(v); }, 0.5);
  check("sigmoid", [](double v) { return 1 / (1 + std::exp(-v)); }, 0.5);
  check("exponential", [](double v) { return std::exp(v); }, 0.5);
  check("softplus", [](double v) { return std::log1p(std::exp(v)); }, 0.5);
  check("elu", [](double v) { return v > 0 ? v : std::expm1(v); }, 0.5);
  check("softsign", [](double v) { return v / (1 + std::abs(v)); }, 1);
  check("swish", [](double v) { return v / (1 + std::exp(-v)); }, 1);
  check("gelu", [](double v) { return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))); }, 1);
  check(
      "selu",
      [](double v) {
        return 1.0507009873554805 * (v > 0 ? v : 1.6732632423543772 * std::expm1(v));
      },
      1);
  check("mish", [](double v) { return v * std::tanh(std::log1p(std::exp(v))); }, 1);
}

TEST(Activation, MonotoneFunctionsAreMonotone) {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch()});
  testing::Random random(7);
  std::vector<float> grid;
  for (int i = 0; i < 20000; ++i) grid.push_back(random.real(-12, 12));
  for (int i = 0; i < 20000; ++i) grid.push_back(random.real(-1e-3F, 1e-3F));
  std::sort(grid.begin(), grid.end());
  int risen = 0;
  for (const char* name :
       {"relu", "elu", "selu", "softplus", "exponential", "sigmoid", "tanh", "hard_sigmoid",
        "smooth_tanh", "binary_tanh", "keras_hard_sigmoid", "softsign", "gelu"}) {
    const Node& n = b.graph().producer(b.activation(x, {.function = name}));
    const auto d = ops::activation.direction(n, 0, {}, {});
    if (d != std::vector{Direction::up}) continue;
    ++risen;
    const Floats y = activated({.function = name}, grid);
    for (size_t i = 1; i < y.size(); ++i) ASSERT_LE(y[i - 1], y[i]) << name << " at " << grid[i];
  }
  EXPECT_EQ(risen, 11);
}

TEST(Softmax, SumsToOne) {
  const Ran r = run(tensor({2, 3}, {1, 2, 3, 1000, -1000, 1000}), nullptr,
                    [](Builder& b, ValueId v) { return b.softmax(v); });
  EXPECT_EQ(r.qkeras, r.canonical);
  EXPECT_EQ(r.canonical[3], 0.5F);
  EXPECT_EQ(r.canonical[4], 0.0F);
  const double e = std::exp(1.0);
  EXPECT_EQ(r.canonical[2], static_cast<float>(1 / (1 + 1 / e + 1 / (e * e))));
}

// --- quantize
// ----------------------------------------------------------------------------------------

TEST(Quantize, TypesComeFromTheQuantizer) {
  const Tensor x = tensor({1, 4}, {0.3F, -0.8F, 2, -5});
  const auto type = [&](const char* text) {
    return run(x, nullptr, [&](Builder& b, ValueId v) { return b.apply(parse_quantizer(text), v); })
        .type;
  };
  EXPECT_EQ(type("quantized_bits(4, 0, 1)").to_string(), "[N, 4] fixed(4, 3, signed, narrow)");
  EXPECT_EQ(type("quantized_relu(4, 2)").to_string(), "[N, 4] fixed(4, 2, unsigned)");
  EXPECT_TRUE(type("binary(alpha=1.0)").numeric.is_binary());
  EXPECT_TRUE(type("ternary(alpha=1.0)").numeric.is_ternary());
  EXPECT_TRUE(type("quantized_po2(4, 1)").numeric.is_power_of_two());
  EXPECT_EQ(type("binary_tanh").to_string(), "[N, 4] binary");
}

TEST(Quantize, HasItsScaleAsSecondResult) {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 3, 2});
  const ValueId q = b.quantize(quantizer("quantized_bits(4, 0, 1, alpha='auto')"), x);
  const Node& n = b.graph().producer(q);
  ASSERT_EQ(n.results.size(), 2U);
  EXPECT_TRUE(b.type(q).scale.is_dynamic());
  EXPECT_EQ(b.type(q).scale.source(), n.results[1]);
  EXPECT_EQ(b.type(n.results[1]).to_string(), "[1, 1, 2] float32");
  EXPECT_TRUE(ops::quantize.whole_batch(n));
  b.output("q", q);
  b.output("scale", n.results[1]);
  const Graph g = b.finish();
  const std::vector<Tensor> inputs{quarters({2, 3, 2}, 3)};
  testing::check_round_trip(g, inputs);
  const auto out = interpret(g, inputs, {});
  const Tensor y = out[0].data, scale = out[1].data;
  ASSERT_EQ(y.dtype(), DType::f32);
  // Every value is a member of the set times its channel's scale, rounded once.
  const Numeric& set = g.type(g.outputs()[0].value).numeric;
  for (size_t i = 0; i < 12; ++i) {
    const double member = std::round(y.f32()[i] / scale.f32()[i % 2] * 8) / 8;
    EXPECT_TRUE(set.contains(member)) << member;
    EXPECT_EQ(static_cast<float>(member * scale.f32()[i % 2]), y.f32()[i]);
  }
}

}  // namespace
}  // namespace qloom
