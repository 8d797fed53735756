// The rules `sound` on networks that can be followed by hand.
#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/support/error.h"
#include "passes/analysis/qtools/sound.h"

namespace qloom::passes {
namespace {

using qtools::SoundReport;
using qtools::SoundSum;

Quantizer quantizer(const char* text) { return std::get<Quantizer>(parse_quantizer(text)); }

const qtools::SoundLayer& layer(const SoundReport& report, std::string_view name) {
  for (const qtools::SoundLayer& l : report.layers)
    if (l.name == name) return l;
  throw InternalError("no layer " + std::string(name));
}

/// x of 0..7 / 4, a kernel [3, 2] of -7..7 / 8 and a bias of -7..7 / 8.
Graph dense_network() {
  Builder b("m");
  b.set_layer("x", "InputLayer");
  const ValueId x = b.input("x", {Dim::batch(), 3});
  b.set_layer("act", "QActivation");
  const ValueId q = b.quantize(quantizer("quantized_relu(3,1)"), x, "act");
  b.set_layer("fc", "QDense");
  // Codes: 6, 0, -1 and 1, -4, 0; in bits from the highest to the lowest one 2, 0, 1 and 1, 1, 0.
  const ValueId kernel =
      b.constant("kernel", Tensor({3, 2}, std::vector<float>{0.75F, 0.125F, 0, -0.5F, -0.125F, 0}));
  const ValueId bias = b.constant("bias", Tensor({2}, std::vector<float>{0.25F, -0.25F}));
  const auto weight = quantizer("quantized_bits(4,0,1,alpha=1)");
  const ValueId sum = b.dense(q, b.quantize(weight, kernel, "kernel_q"), "products");
  const ValueId y =
      b.elementwise(ops::Elementwise::add, sum, b.quantize(weight, bias, "bias_q"), "fc");
  b.output("fc", y);
  return b.finish();
}

TEST(SoundRules, DenseByHand) {
  const SoundReport report = qtools::sound_report(dense_network());
  const qtools::SoundLayer& fc = layer(report, "fc");
  ASSERT_EQ(fc.sums.size(), 1U);
  const SoundSum& s = fc.sums[0];
  EXPECT_EQ(s.node, "products");
  EXPECT_EQ(s.sum_node, "fc");
  EXPECT_EQ(s.product, Numeric::integers(-49, 49, 5));
  // 3 · 49 = 147; the bias, 7 on a grid coarser by 4, is 28.
  EXPECT_EQ(s.sum, Numeric::integers(-175, 175, 5));
  // Channel 0: 6·7 above, -7 below, bias 2·4; channel 1: 7 above, -28 below, bias -8.
  EXPECT_EQ(s.exact, Numeric::integers(-36, 50, 5));
  EXPECT_EQ(s.sum.bits(), 9);
  EXPECT_EQ(s.exact.bits(), 7);
  EXPECT_EQ(s.multiplications, 6);
  EXPECT_EQ(s.weights_not_zero, 4);
  EXPECT_EQ(s.bops, 4 * 3 * 4);
  EXPECT_EQ(s.ebops, 3 * (2 + 1 + 1 + 1));
  EXPECT_EQ(fc.weight_bits, (6 + 2) * 4);
  EXPECT_EQ(report.weight_bits(), 32);
  // Three activations of 3 bits, and two outputs.
  EXPECT_EQ(report.activation_bits, 3 * 3 + 2 * s.sum.bits());
  EXPECT_EQ(report.operations(), 6 + layer(report, "act").operations);
}

TEST(SoundRules, EnergyIsThatOfItsTypes) {
  const qtools::EnergyOptions options{.weights_memory = "sram", .activations_memory = "sram"};
  const SoundReport report = qtools::sound_report(dense_network(), options);
  const auto& fc = report.energy.layers.back();
  ASSERT_EQ(fc.name, "fc");
  using qtools::QtoolsType;
  const qtools::Operation product =
      qtools::multiply(QtoolsType::fixed(4, 0, true), QtoolsType::fixed(3, 1, false));
  const auto price = [&](qtools::Implementation how, double bits) {
    return *qtools::operation_energy(*options.process, QtoolsType::fixed(9, 3, true), how, bits);
  };
  const double add = price(qtools::Implementation::add, 9);
  EXPECT_DOUBLE_EQ(fc.operations,
                   6 * (price(product.implementation, product.gates->bits) + add) + 2 * add);
  EXPECT_GT(fc.inputs, 0);
  EXPECT_GT(fc.parameters, 0);
}

TEST(SoundRules, PaddingHasNoEffectiveBits) {
  Builder b("m");
  const ValueId x = b.input("x", {Dim::batch(), 3, 3, 1});
  const ValueId q = b.quantize(quantizer("quantized_relu(2,2)"), x, "act");
  const ValueId kernel = b.constant("kernel", Tensor({3, 3, 1, 1}, std::vector<float>(9, 0.5F)));
  const ValueId y =
      b.conv(q, b.quantize(quantizer("quantized_bits(4,0,1,alpha=1)"), kernel, "kernel_q"),
             {.padding = ops::Padding::same}, "conv");
  b.output("conv", y);
  const SoundReport report = qtools::sound_report(b.finish());
  const SoundSum& s = layer(report, "conv").sums.at(0);
  // The middle tap meets 9 pixels, those of the sides 6, those of the corners 4; each weight, 0.5,
  // is a single one.
  EXPECT_EQ(s.ebops, (9 + 4 * 6 + 4 * 4) * 2);
  EXPECT_EQ(s.multiplications, 81);
  EXPECT_EQ(s.bops, 81 * 2 * 4);
  EXPECT_EQ(s.exact, Numeric::integers(0, 9 * 4 * 3, 3));
}

TEST(SoundRules, TransposedConvolutionsAreSums) {
  Builder b("m");
  const ValueId x = b.input("x", {Dim::batch(), 2, 2, 1});
  const ValueId q = b.quantize(quantizer("quantized_relu(2,2)"), x, "act");
  const ValueId kernel = b.constant("kernel", Tensor({2, 2, 1, 1}, std::vector<float>(4, 0.5F)));
  const ValueId weights =
      b.quantize(quantizer("quantized_bits(4,0,1,alpha=1)"), kernel, "kernel_q");
  b.output("apart", b.conv_transpose(q, weights, {.strides = {2, 2}}, "apart"));
  b.output("cut", b.conv_transpose(q, weights, {.padding = ops::Padding::same}, "cut"));
  const SoundReport report = qtools::sound_report(b.finish());
  // Each of 4 inputs meets each of 4 taps, an output one product.
  const SoundSum& apart = layer(report, "apart").sums.at(0);
  EXPECT_EQ(apart.multiplications, 16);
  EXPECT_EQ(apart.ebops, 16 * 2);
  EXPECT_EQ(apart.exact, Numeric::integers(0, 4 * 3, 3));
  EXPECT_EQ(apart.sum, Numeric::integers(-7 * 3, 7 * 3, 3));
  // Of 3 × 3 outputs the last row and column are cut off: 4 · 2 · 2 meetings less 7 are left.
  const SoundSum& cut = layer(report, "cut").sums.at(0);
  EXPECT_EQ(cut.multiplications, 16);
  EXPECT_EQ(cut.ebops, (4 + 2 + 2 + 1) * 2);
  EXPECT_EQ(cut.exact, Numeric::integers(0, 4 * 4 * 3, 3));
}

TEST(SoundRules, WhatAScanRepeatsCountsForEachStep) {
  Builder body("step");
  body.set_layer("rnn", "RNN");
  const ValueId step = body.input("x", {Dim::batch(), 2});
  const ValueId kernel = body.constant("kernel", Tensor({2, 1}, std::vector<float>{0.75F, -0.5F}));
  body.output(
      "y", body.dense(step,
                      body.quantize(quantizer("quantized_bits(4,0,1,alpha=1)"), kernel, "kernel_q"),
                      "products"));
  Builder b("m");
  b.set_layer("act", "QActivation");
  const ValueId x = b.input("x", {Dim::batch(), 3, 2});
  const ValueId q = b.quantize(quantizer("quantized_relu(3,1)"), x, "act");
  b.set_layer("rnn", "RNN");
  b.output("rnn", b.scan({q}, {.sequences = 1, .states = 0}, body.finish(), "rnn")[0]);
  const SoundReport report = qtools::sound_report(b.finish());
  const qtools::SoundLayer& rnn = layer(report, "rnn");
  ASSERT_EQ(rnn.sums.size(), 1U);
  const SoundSum& s = rnn.sums[0];
  EXPECT_EQ(s.scan, "rnn");
  EXPECT_EQ(s.node, "products");
  EXPECT_EQ(s.sum, Numeric::integers(-2 * 49, 2 * 49, 5));
  EXPECT_EQ(s.exact, Numeric::integers(-4 * 7, 6 * 7, 5));  // codes 6 and -4
  EXPECT_EQ(s.multiplications, 3 * 2);
  EXPECT_EQ(s.bops, 3 * 2 * 3 * 4);
  EXPECT_EQ(s.ebops, 3 * 3 * (2 + 1));
  EXPECT_EQ(rnn.operations, 6);
  EXPECT_EQ(rnn.weight_bits, 2 * 4);
  ASSERT_EQ(rnn.inputs.size(), 1U);
  EXPECT_EQ(rnn.output, s.sum);
  // The sequence that is read, once, and the three outputs.
  EXPECT_EQ(report.activation_bits, 3 * 2 * 3 + 3 * s.sum.bits());
}

TEST(SoundRules, EffectiveBitsOfCodes) {
  const std::vector<std::pair<int64_t, int>> expected{
      {0, 0}, {1, 1}, {-1, 1}, {8, 1}, {6, 2}, {-12, 2}, {5, 3}, {-7, 3}, {24, 2}, {INT64_MIN, 1}};
  for (const auto& [code, bits] : expected) EXPECT_EQ(qtools::effective_bits(code), bits) << code;
}

TEST(SoundRules, InputsCanBeQuantizedFirst) {
  Builder b("m");
  const ValueId x = b.input("x", {Dim::batch(), 2});
  const ValueId kernel = b.constant("kernel", Tensor({2, 1}, std::vector<float>{1, -1}));
  b.output("fc", b.dense(x, b.quantize(quantizer("binary(alpha=1)"), kernel, "kernel_q"), "fc"));
  Graph graph = b.finish();
  EXPECT_TRUE(layer(qtools::sound_report(graph), "fc").sums.at(0).exact.is_float32());
  Graph same = graph.clone();
  qtools::quantize_inputs(same, {"fp32"});
  EXPECT_TRUE(layer(qtools::sound_report(same), "fc").sums.at(0).sum.is_float32());
  qtools::quantize_inputs(graph, {"quantized_bits(4,3,1)"});
  const SoundReport report = qtools::sound_report(graph);
  EXPECT_EQ(layer(report, "fc").sums.at(0).sum, Numeric::integers(-14, 14, 0));
  EXPECT_THROW(qtools::quantize_inputs(graph, {"int8", "int8"}), UserError);
  EXPECT_THROW(qtools::quantize_inputs(graph, {"relu"}), UserError);
}

}  // namespace
}  // namespace qloom::passes
