// Scans, and the ops that recurrent layers need besides: slice, select, step_mask.
#include <gtest/gtest.h>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/text.h"
#include "tests/graph/op_runner.h"

namespace qloom {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the words of these tests

TEST(Slice, TakesElementsForwardsAndBackwards) {
  const Tensor x = tensor({1, 2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
  const auto slice = [&](ops::Slice s) {
    return run(x, kGrid, [s](Builder& b, ValueId v) { return b.slice(v, s); });
  };
  expect_both(slice({.axis = 2, .begin = 1, .count = 2}), {1, 2, 5, 6});
  expect_both(slice({.axis = -1, .begin = 0, .count = 2, .stride = 3}), {0, 3, 4, 7});
  expect_both(slice({.axis = 1, .begin = 1, .count = 2, .stride = -1}), {4, 5, 6, 7, 0, 1, 2, 3});
  EXPECT_THROW((void)slice({.axis = 2, .begin = 3, .count = 2}), UserError);
  EXPECT_THROW((void)slice({.axis = 2, .begin = 0, .count = 2, .stride = -1}), UserError);
  EXPECT_THROW((void)slice({.axis = 0, .begin = 0, .count = 1}), UserError);
}

TEST(Slice, TakesTheScalesOfItsElements) {
  Builder b("g");
  const ValueId w = b.quantize(quantizer("quantized_bits(4, 0, 1, alpha='auto_po2')"),
                               b.constant("w", tensor({1, 3}, {0.1F, 0.9F, 0.03F})));
  const Tensor all = b.type(w).scale.values();
  const ValueId y = b.slice(w, {.axis = 1, .begin = 1, .count = 1});
  EXPECT_EQ(b.type(y).scale.per_tensor(), all.f64()[1]);
}

TEST(Select, TakesOneOfTwo) {
  const Ran r = run(tensor({2, 2}, {0, -1, 2, 0}), kGrid, [](Builder& b, ValueId x) {
    const ValueId mask = b.step_mask(b.reshape(x, {2, 1}), 0);
    EXPECT_EQ(b.type(mask).to_string(), "[N, 2] bit");
    const ValueId other = b.constant("other", tensor({2}, {0.25F, 8}));
    return b.select(mask, x, other);
  });
  expect_both(r, {0.25F, -1, 2, 8});
  EXPECT_EQ(r.type.to_string(), "[N, 2] integers(-128, 128, 4)");
}

TEST(Select, WantsABit) {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 2});
  EXPECT_THROW((void)b.select(x, x, x), UserError);
}

// s' = s + x, saturated at 1; collected: 2·s'.
Graph sums(bool reverse, const char* quantize = "quantized_bits(4, 1, 1, alpha=1)") {
  Builder step("step");
  const ValueId x = step.input("x", {Dim::batch(), 2});
  const ValueId s = step.input("s", {Dim::batch(), 2});
  const ValueId sum = step.add(s, x, "sum");
  const ValueId after = quantize ? step.quantize(quantizer(quantize), sum, "after") : sum;
  step.output("s", after);
  step.output("y", step.add(after, after, "twice"));

  Builder b("sums");
  const ValueId all = b.input("x", {Dim::batch(), 3, 2});
  const ValueId grid = b.quantize(quantizer("quantized_bits(4, 1, 1, alpha=1)"), all, "x_q");
  const ValueId zero = b.constant("zero", tensor({2}, {0, 0}));
  const std::vector<ValueId> results = b.scan(
      {grid, zero}, {.sequences = 1, .states = 1, .reverse = reverse}, step.finish(), "scan");
  b.output("last", results[0]);
  b.output("all", results[1]);
  return b.finish();
}

TEST(Scan, CarriesStatesAndCollects) {
  const std::vector<Tensor> x{
      tensor({2, 3, 2}, {0.25F, 1, 0.5F, -0.25F, -0.25F, 1.5F, 0, 0, 1, -1, 1, -1})};
  for (const Evaluation evaluation : {Evaluation::qkeras, Evaluation::canonical}) {
    EvaluationOptions options;
    options.evaluation = evaluation;
    const std::vector<RuntimeValue> out = interpret(sums(false), x, options);
    EXPECT_EQ(to_f32(out[0]).f32()[0], 0.5F);
    const Tensor all = to_f32(out[1]);
    EXPECT_EQ(all.extents(), (Extents{2, 3, 2}));
    EXPECT_EQ(Floats(all.f32().begin(), all.f32().end()),
              (Floats{0.5F, 2, 1.5F, 1.5F, 1, 3.5F, 0, 0, 2, -2, 3.5F, -3.5F}));
    // Backwards: collected in the order in which the steps are done.
    const Tensor back = to_f32(interpret(sums(true), x, options)[1]);
    EXPECT_EQ(Floats(back.f32().begin(), back.f32().begin() + 6),
              (Floats{-0.5F, 3, 0.5F, 2.5F, 1, 3.5F}));
  }
}

TEST(Scan, FindsTheSmallestTypeOfAState) {
  const Graph g = sums(false);
  const Node& scan = *g.find("scan");
  EXPECT_EQ(g.type(scan.results[0]).to_string(), "[N, 2] fixed(4, 2, signed, narrow)");
  EXPECT_EQ(g.type(scan.results[1]).to_string(), "[N, 3, 2] integers(-14, 14, 2)");
  // A state that grows at every step has no such type.
  const Graph h = sums(false, nullptr);
  EXPECT_EQ(h.type(h.find("scan")->results[0]).to_string(), "[N, 2] float32");
  const std::vector<Tensor> x{quarters({2, 3, 2}, 1, 4)};
  check_round_trip(h, x);
}

TEST(Scan, HasATextForm) {
  const Graph g = sums(true);
  check_round_trip(g, std::vector<Tensor>{quarters({2, 3, 2}, 1, 4)});
  const std::string text = to_text(g);
  EXPECT_NE(text.find("= scan(%"), std::string::npos) << text;
  EXPECT_NE(text.find("{sequences=1, states=1, reverse=True}"), std::string::npos) << text;
  const auto count = ops::scan.count;
  const Node& scan = *g.find("scan");
  std::vector<TensorType> operands;
  for (const ValueId v : scan.operands) operands.push_back(g.type(v));
  EXPECT_EQ(count(scan, operands, {}).other, 3 * (2 + 2 + 2));
}

TEST(Scan, RefusesABodyThatDoesNotFit) {
  Builder step("step");
  const ValueId x = step.input("x", {Dim::batch(), 2});
  (void)step.input("s", {Dim::batch(), 3});
  step.output("s", x);
  Builder b("g");
  const ValueId all = b.input("x", {Dim::batch(), 4, 2});
  const ValueId zero = b.constant("zero", tensor({3}, {0, 0, 0}));
  const auto scan = [&](ops::Scan attributes) {
    return b.scan({all, zero}, attributes, step.graph().clone(), "scan");
  };
  const auto message = [&](ops::Scan attributes) {
    try {
      (void)scan(attributes);
    } catch (const UserError& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_NE(message({.sequences = 1, .states = 1}).find("scan 'scan' (scan_test.cc"),
            std::string::npos);
  EXPECT_NE(message({.sequences = 1, .states = 1}).find("state 0"), std::string::npos);
  EXPECT_NE(message({.sequences = 2, .states = 1}).find("operands"), std::string::npos);
}

}  // namespace
}  // namespace qloom
