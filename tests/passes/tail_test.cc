#include <gtest/gtest.h>

#include <stdexcept>

#include "graph/builder.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/error.h"
#include "passes/edit.h"
#include "passes/pass.h"
#include "passes/query.h"
#include "passes/tail/accumulator.h"
#include "passes/tail/body_function.h"
#include "passes/tail/lower_tail.h"
#include "passes/tail/verify_tail.h"
#include "tests/passes/networks.h"

namespace qloom::test {
namespace {

using kernels::Storage;
using kernels::Tail;
using kernels::TailOp;

/// dense(quantized x, weights) → batch norm → quantizer, as one region.
Graph dense_region(const std::string& weights, const std::string& quantizer, bool normalize,
                   int64_t channels = 12) {
  Builder b("tail");
  ValueId x = b.input("x", {Dim::batch(), 40});
  x = b.apply(parse_quantizer("quantized_bits(6,1,1,alpha=1)"), x, "in_q");
  x = b.dense(x,
              b.apply(parse_quantizer(weights), b.constant("w", random_tensor({40, channels}, 3))),
              "fc");
  if (normalize) {
    ops::BatchNorm attributes;
    attributes.form = ops::BatchNormForm::affine;
    x = b.batch_norm(x, b.constant("gamma", random_tensor({channels}, 4, -1, 1)),
                     b.constant("beta", random_tensor({channels}, 5)),
                     b.constant("mean", random_tensor({channels}, 6)),
                     b.constant("variance", random_tensor({channels}, 7, 0.2F, 2)), attributes,
                     "bn");
  }
  if (!quantizer.empty()) x = b.apply(parse_quantizer(quantizer), x, "act");
  b.output("y", x);
  Graph graph = b.finish();
  passes::run_passes(graph, passes::inference_pipeline(), {});
  return graph;
}

passes::TailRequest request_of(const Graph& graph, Storage storage) {
  const Node& region = graph.producer(graph.outputs()[0].value);
  const kernels::Query query = passes::query_of(graph, region);
  passes::TailRequest request;
  request.region = &region;
  request.outputs = {{0, storage}};
  request.accumulator = {query.accumulator_lo, query.accumulator_hi};
  return request;
}

struct Form {
  std::string name, weights, quantizer;
  bool normalize;
  Storage storage;
  std::string form;  ///< expected
};
void PrintTo(const Form& f, std::ostream* out) { *out << f.name; }

const std::string kW4 = "quantized_bits(4,0,1,alpha=1)";
const Form kForms[] = {
    {"binary", kW4, "binary(alpha=1)", true, Storage::bytes(1), "thresholds"},
    {"two_bits", kW4, "quantized_relu(2,1)", true, Storage::bytes(0), "thresholds"},
    {"four_bits", kW4, "quantized_relu(4,1)", true, Storage::bytes(0), "scale and round"},
    {"eight_bits", kW4, "quantized_bits(8,2,1,alpha=1)", true, Storage::bytes(128),
     "scale and round"},
    {"twelve_bits", kW4, "quantized_bits(12,3,1,alpha=1)", true, Storage::words(),
     "float32 in reference order, scale and round"},
    {"powers_of_two", kW4, "quantized_relu_po2(4,4)", true, Storage::words(), "thresholds"},
    {"leaky", kW4, "quantized_relu(4,1,0,0.25)", true, Storage::bytes(8), "thresholds"},
    {"tanh", kW4, "quantized_tanh(4)", true, Storage::bytes(8), "scale and round"},
    {"hswish", kW4, "quantized_hswish(4,1,1)", false, Storage::bytes(8),
     "thresholds of rising and falling codes"},
    {"float", kW4, "", true, Storage::f32(), "float32 in reference order"},
    {"scaled_float", "quantized_bits(4,0,1,alpha='auto')", "", true, Storage::f32(),
     "float32 in reference order"},
    {"sum", kW4, "", false, Storage::words(), "codes"},
};

class TailForm : public ::testing::TestWithParam<Form> {};

TEST_P(TailForm, HasTheExpectedFormAndIsExact) {
  const Form& f = GetParam();
  const Graph graph = dense_region(f.weights, f.quantizer, f.normalize);
  passes::TailRequest request = request_of(graph, f.storage);
  const auto lowered = passes::lower_tail(request);
  ASSERT_TRUE(lowered.tail) << lowered.reason;
  EXPECT_EQ(lowered.tail->form, f.form);
  kernels::check_tail(*lowered.tail, 12);
  // Every accumulator of every channel, not only the neighbours of thresholds.
  const std::string proof = passes::verify_tail(request, *lowered.tail, int64_t{1} << 40);
  EXPECT_NE(proof.find("every accumulator"), std::string::npos) << proof;
}

INSTANTIATE_TEST_SUITE_P(Forms, TailForm, ::testing::ValuesIn(kForms),
                         [](const auto& info) { return info.param.name; });

TEST(Verifier, NamesChannelAndAccumulatorOfACorruptedThreshold) {
  const Graph graph = dense_region(kW4, "quantized_relu(2,1)", true);
  passes::TailRequest request = request_of(graph, Storage::bytes(0));
  Tail tail = *passes::lower_tail(request).tail;
  int table = -1;
  for (const auto& step : tail.steps)
    if (step.op == TailOp::count_ge) table = step.index;
  ASSERT_GE(table, 0);
  // Second row, channel 7: found with the full interval as well as with the neighbours only.
  auto& thresholds = tail.tables[static_cast<size_t>(table)].i32;
  const int32_t right = thresholds[12 + 7];
  bool mirrored = false;
  for (const auto& step : tail.steps)
    if (step.op == TailOp::bit_xor)
      mirrored =
          tail.tables[static_cast<size_t>(tail.steps[static_cast<size_t>(step.b)].index)].i32[7] !=
          0;
  for (int32_t wrong : {right - 1, right + 1})
    for (int64_t exhaustive : {int64_t{0}, int64_t{1} << 40}) {
      thresholds[12 + 7] = wrong;
      // The accumulators in between now have the wrong code.
      const int32_t x = wrong < right ? wrong : right;
      const std::string at = "accumulator " + std::to_string(mirrored ? ~x : x);
      try {
        passes::verify_tail(request, tail, exhaustive);
        FAIL() << "threshold " << wrong << " instead of " << right << " was not noticed";
      } catch (const InternalError& e) {
        const std::string text = e.what();
        EXPECT_NE(text.find("tail of 'fc'"), std::string::npos) << text;
        EXPECT_NE(text.find("channel 7"), std::string::npos) << text;
        EXPECT_NE(text.find(at), std::string::npos) << text << "; expected " << at;
        EXPECT_NE(text.find("the interpreter says code"), std::string::npos) << text;
      }
    }
}

TEST(Verifier, CatchesACorruptedScale) {
  const Graph graph = dense_region(kW4, "quantized_bits(8,2,1,alpha=1)", true);
  passes::TailRequest request = request_of(graph, Storage::bytes(128));
  Tail tail = *passes::lower_tail(request).tail;
  ASSERT_EQ(tail.form, "scale and round");
  for (auto& table : tail.tables)
    if (table.is_f32 && table.per_channel) {
      table.f32[3] *= 1.01F;
      break;
    }
  EXPECT_THROW(passes::verify_tail(request, tail), InternalError);
}

/// Thresholds are given here that were looked for in a part of the interval only: what the points
/// next to them say is right, and yet the tail is not verified.
TEST(Verifier, NoticesAThresholdThatWasNotFound) {
  const Graph graph = dense_region(kW4, "quantized_relu(2,1)", true);
  passes::TailRequest request = request_of(graph, Storage::bytes(0));
  const Tail tail = *passes::lower_tail(request).tail;
  const Graph& body = *request.region->body;
  const passes::BodyFunction function(body, passes::tail_source(body), request.options);
  passes::KnownTransitions known;
  const auto& found = known.find(function, body.outputs()[0].value, request.exhaustive_limit,
                                 [] { return passes::Interval{.lo = {0}, .hi = {1}}; });
  ASSERT_TRUE(found);
  ASSERT_TRUE(found->monotone);
  EXPECT_NO_THROW(passes::verify_tail(request, tail, 0));
  request.known = &known;
  try {
    passes::verify_tail(request, tail, 0);
    FAIL() << "it was not noticed";
  } catch (const InternalError& e) {
    EXPECT_NE(std::string(e.what()).find("that was not found"), std::string::npos) << e.what();
  }
}

/// The layouts of a region share what was found for the first.
TEST(KnownTransitions, AreFoundOnce) {
  const Graph graph = dense_region(kW4, "quantized_relu(4,1)", true);
  passes::TailRequest request = request_of(graph, Storage::bytes(0));
  passes::KnownTransitions known;
  request.known = &known;
  const Tail first = *passes::lower_tail(request).tail;
  passes::verify_tail(request, first, 0);
  const Graph& body = *request.region->body;
  const passes::BodyFunction function(body, passes::tail_source(body), request.options);
  const auto& found = known.find(function, body.outputs()[0].value, request.exhaustive_limit,
                                 []() -> passes::Interval { throw std::logic_error("again"); });
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->channels.empty());
  request.outputs = {{0, Storage::words()}};
  EXPECT_EQ(passes::lower_tail(request).tail->form, first.form);
}

TEST(Ordinals, FollowTheOrderOfFloats) {
  const float values[] = {-3e38F, -1.0F, -1e-45F, -0.0F, 0.0F, 1e-45F, 1.0F, 3e38F};
  for (size_t i = 0; i + 1 < std::size(values); ++i)
    EXPECT_LT(passes::ordinal_of(values[i]), passes::ordinal_of(values[i + 1]));
  EXPECT_EQ(passes::ordinal_of(0.0F), passes::ordinal_of(-0.0F) + 1);
  for (float v : values) EXPECT_EQ(passes::float_of(passes::ordinal_of(v)), v);
  EXPECT_EQ(passes::float_of(~passes::ordinal_of(1.5F)), -1.5F);
}

TEST(Accumulator, CountsZerosOfPaddingForSetsWithoutZero) {
  for (const bool padded : {false, true}) {
    Builder b("binary");
    ValueId x = b.input("x", {Dim::batch(), 5, 5, 1});
    x = b.apply(parse_quantizer("binary(alpha=1)"), x, "sign");
    // All weights +1: inside, nine products of ±1; at borders fewer.
    x = b.conv(x,
               b.apply(parse_quantizer("binary(alpha=1)"),
                       b.constant("w", Tensor::filled({3, 3, 1, 2}, 1.0F))),
               {.padding = padded ? ops::Padding::same : ops::Padding::valid}, "conv");
    b.output("y", x);
    const Graph graph = b.finish();
    Graph folded = graph.clone();
    passes::run_passes(folded, passes::inference_pipeline(), {});
    const auto query = passes::query_of(folded, folded.producer(folded.outputs()[0].value));
    EXPECT_EQ(query.accumulator_lo, (std::vector<int64_t>{-9, -9}));
    EXPECT_EQ(query.accumulator_hi, (std::vector<int64_t>{9, 9}));
    EXPECT_EQ(query.window.pad_top, padded ? 1 : 0);
  }
}

TEST(Lowering, RefusesWithAReason) {
  // Codes of a float that is not monotone in x: no form.
  Builder b("refused");
  ValueId x = b.input("x", {Dim::batch(), 4});
  x = b.apply(parse_quantizer("quantized_hswish(4,1,1)"), x, "hswish");
  b.output("y", x);
  Graph graph = b.finish();
  passes::wrap(graph, graph.producer(graph.outputs()[0].value).id);
  passes::TailRequest request = request_of(graph, Storage::bytes(8));
  request.accumulator = {};
  const auto lowered = passes::lower_tail(request);
  EXPECT_FALSE(lowered.tail);
  EXPECT_NE(lowered.reason.find("quantize 'hswish'"), std::string::npos) << lowered.reason;
  EXPECT_NE(lowered.reason.find("neither monotone nor few enough"), std::string::npos)
      << lowered.reason;
}

}  // namespace
}  // namespace qloom::test
