// The statistics of `trace` on values that can be counted by hand, in the interpreter and in
// compiled code.
#include "bindings/report/trace.h"

#include <gtest/gtest.h>

#include <limits>

#include "graph/builder.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

using report::LayerTrace;
using report::TraceReport;

Quantizer quantizer(const char* text) { return std::get<Quantizer>(parse_quantizer(text)); }

/// Two quantizers of the same input, and a sum.
Graph network() {
  Builder b("m");
  b.set_layer("x", "InputLayer");
  const ValueId x = b.input("x", {Dim::batch(), 2});
  b.set_layer("relu", "QActivation");
  const ValueId r = b.quantize(quantizer("quantized_relu(3,1)"), x, "relu");
  b.set_layer("bits", "QActivation");
  b.output("bits", b.quantize(quantizer("quantized_bits(4,1,1,alpha=1)"), x, "bits"));
  b.set_layer("sign", "QActivation");
  b.output("sign", b.quantize(quantizer("binary(alpha=1)"), x, "sign"));
  b.set_layer("fc", "QDense");
  const ValueId kernel = b.constant("kernel", Tensor({2, 1}, std::vector<float>{1, -1}));
  b.output("fc", b.dense(r, b.quantize(quantizer("binary(alpha=1)"), kernel, "kernel_q"), "fc"));
  return b.finish();
}

const std::vector<Tensor>& samples() {
  static const std::vector<Tensor> x{
      Tensor({3, 2}, std::vector<float>{0.3F, -1.0F, 1.0F, 5.0F, 0.26F, 9.0F})};
  return x;
}

void expect_counts(const TraceReport& report) {
  ASSERT_EQ(report.layers.size(), 5U);
  EXPECT_EQ(report.samples, 3);
  const auto layer = [&](std::string_view name) -> const LayerTrace& {
    for (const LayerTrace& l : report.layers)
      if (l.name == name) return l;
    throw InternalError("no layer " + std::string(name));
  };
  // 0.3, -1, 1, 5, 0.26, 9 as they are: no set, no share of it.
  const LayerTrace& x = layer("x");
  EXPECT_EQ(x.values, 6);
  EXPECT_EQ(x.min, -1);
  EXPECT_EQ(x.max, 9);
  EXPECT_EQ(x.zeros, 0);
  EXPECT_FALSE(x.saturated || x.unused);
  // Codes 0 to 7 of a quarter: 1, 0, 4, 7, 1, 7. The zero is no clipped value.
  const LayerTrace& relu = layer("relu");
  EXPECT_EQ(relu.layer_class, "QActivation");
  EXPECT_EQ(relu.min, 0);
  EXPECT_EQ(relu.max, 1.75);
  EXPECT_DOUBLE_EQ(relu.zeros, 1.0 / 6);
  EXPECT_DOUBLE_EQ(relu.saturated.value(), 2.0 / 6);
  EXPECT_DOUBLE_EQ(relu.unused.value(), 0);
  // Codes -7 to 7 of a quarter: 1, -4, 4, 7, 1, 7.
  const LayerTrace& bits = layer("bits");
  EXPECT_EQ(bits.min, -1);
  EXPECT_EQ(bits.max, 1.75);
  EXPECT_EQ(bits.zeros, 0);
  EXPECT_DOUBLE_EQ(bits.saturated.value(), 2.0 / 6);
  EXPECT_DOUBLE_EQ(bits.unused.value(), 1 - 11.0 / 14);
  // Two members: all are ends.
  EXPECT_FALSE(layer("sign").saturated);
  EXPECT_DOUBLE_EQ(layer("sign").unused.value(), 0);
  // Two products with any signs, codes -14 to 14: 1 - 0, 4 - 7, 1 - 7. No quantizer clips a sum.
  const LayerTrace& fc = layer("fc");
  EXPECT_EQ(fc.values, 3);
  EXPECT_EQ(fc.min, -1.5);
  EXPECT_EQ(fc.max, 0.25);
  EXPECT_FALSE(fc.saturated);
  EXPECT_DOUBLE_EQ(fc.unused.value(), 1 - 7.0 / 28);
}

TEST(Trace, CountsByHand) {
  const Graph graph = network();
  std::vector<std::string> names;
  expect_counts(report::trace_of(graph, samples(), [&](const std::string& layer, const Tensor& t) {
    names.push_back(layer);
    if (layer == "fc") {
      EXPECT_EQ(std::vector<float>(t.f32().begin(), t.f32().end()),
                (std::vector<float>{0.25F, -0.75F, -1.5F}));
    }
  }));
  EXPECT_EQ(names.size(), 5U);
}

TEST(Trace, CompiledCodeCountsTheSame) {
  const Graph graph = network();
  int written = 0;
  expect_counts(report::trace_compiled(graph, samples(), 2,
                                       [&](const std::string&, const Tensor&) { ++written; }));
  EXPECT_EQ(written, 5);
}

TEST(Trace, NaNIsCountedApart) {
  Builder b("m");
  b.set_layer("x", "InputLayer");
  const ValueId x = b.input("x", {Dim::batch(), 2});
  b.set_layer("sum", "Add");
  b.output("sum", b.elementwise(ops::Elementwise::add, x, x, "sum"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const TraceReport report = report::trace_of(
      b.finish(), std::vector<Tensor>{Tensor({2, 2}, std::vector<float>{nan, 1, -3, 0})});
  ASSERT_EQ(report.layers.size(), 2U);
  for (const LayerTrace& l : report.layers) EXPECT_EQ(l.nans, 1) << l.name;
  EXPECT_EQ(report.layers[1].min, -6);
  EXPECT_EQ(report.layers[1].max, 2);
  EXPECT_EQ(report.layers[1].zeros, 0.25);
  EXPECT_NE(report::to_text(report).find("\nsum: 1 values are NaN\n"), std::string::npos)
      << report::to_text(report);
}

/// A recurrent layer yields the sequence, and its last state.
TEST(Trace, ShowsWhatALayerYields) {
  Builder body("step");
  body.set_layer("rnn", "RNN");
  const ValueId x = body.input("x", {Dim::batch(), 1});
  const ValueId before = body.input("state", {Dim::batch(), 1});
  const ValueId sum = body.elementwise(ops::Elementwise::add, x, before, "rnn/sum");
  body.output("state", body.quantize(quantizer("quantized_relu(4,4)"), sum, "rnn/state"));
  body.output("y", sum);
  Builder b("m");
  b.set_layer("x", "InputLayer");
  const ValueId sequence = b.input("x", {Dim::batch(), 3, 1});
  b.set_layer("rnn", "RNN");
  const ValueId zero = b.constant("rnn/zero", Tensor::scalar(0.0F));
  b.output("rnn", b.scan({sequence, zero}, {.sequences = 1, .states = 1}, body.finish(), "rnn")[1]);
  const TraceReport report = report::trace_of(
      b.finish(), std::vector<Tensor>{Tensor({1, 3, 1}, std::vector<float>{1, 2, -5})});
  ASSERT_EQ(report.layers.size(), 2U);
  EXPECT_EQ(report.layers[1].values, 3);  // 1, 3, -2; the state ends at 0
  EXPECT_EQ(report.layers[1].min, -2);
  EXPECT_EQ(report.layers[1].max, 3);
}

}  // namespace
}  // namespace qloom
