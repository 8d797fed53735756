// Variables: what a call leaves for the next.
#include <gtest/gtest.h>

#include <algorithm>

#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/text.h"
#include "tests/graph/op_runner.h"

namespace qloom::testing {
namespace {

constexpr auto kAdd = ops::Elementwise::add;

// y = x + count, count ← count + 1; the sum of all x so far, per sample.
Graph counting() {
  Builder b("counting");
  const ValueId x = b.input("x", {Dim::batch(), 2});
  const ValueId count = b.variable("count", Tensor({1}, Floats{5}));
  const ValueId total = b.variable("total", Tensor({1, 2}, Floats{0, 100}), true);
  b.output("y", b.elementwise(kAdd, x, count, "y"));
  const ValueId sum = b.elementwise(kAdd, total, x, "sum");
  b.assign("total", sum);
  b.output("sum", sum);
  const ValueId one = b.constant("one", Tensor::scalar(1.0F));
  b.assign("count", b.elementwise(kAdd, b.variable("count", Tensor::scalar(0.0F)), one, "next"));
  return b.finish();
}

Floats floats_of(const Tensor& t) { return {t.f32().begin(), t.f32().end()}; }

std::vector<Floats> call(const Graph& g, Floats x, State* state, Evaluation evaluation) {
  const auto samples = static_cast<int64_t>(x.size() / 2);
  const std::vector<Tensor> inputs{Tensor({samples, 2}, std::move(x))};
  std::vector<Floats> out;
  for (const RuntimeValue& v : interpret(g, inputs, {.evaluation = evaluation}, {}, state))
    out.push_back(floats_of(to_f32(v)));
  return out;
}

TEST(State, IsReadAsTheCallBeforeLeftIt) {
  const Graph g = counting();
  for (const Evaluation evaluation : {Evaluation::qkeras, Evaluation::canonical}) {
    State state;
    EXPECT_EQ(call(g, {1, 2, 3, 4}, &state, evaluation),
              (std::vector<Floats>{{6, 7, 8, 9}, {1, 102, 3, 104}}));
    EXPECT_EQ(floats_of(state.at("count")), Floats{6});
    EXPECT_EQ(call(g, {1, 1, 1, 1}, &state, evaluation),
              (std::vector<Floats>{{7, 7, 7, 7}, {2, 103, 4, 105}}));
    EXPECT_EQ(floats_of(state.at("count")), Floats{7});
    // Without a state nothing is kept.
    EXPECT_EQ(call(g, {1, 1}, nullptr, evaluation), (std::vector<Floats>{{6, 6}, {1, 101}}));
  }
}

TEST(State, IsSharedByNameAndKeepsWhatOthersLeft) {
  State state{{"other", Tensor::scalar(3.0F)}, {"count", Tensor({1}, Floats{10})}};
  EXPECT_EQ(call(counting(), {1, 1}, &state, Evaluation::qkeras)[0], (Floats{11, 11}));
  EXPECT_EQ(floats_of(state.at("other")), Floats{3});
}

TEST(State, OfAnotherShapeIsRefused) {
  const Graph g = counting();
  State state;
  (void)call(g, {1, 1, 1, 1}, &state, Evaluation::qkeras);
  try {
    (void)call(g, {1, 1}, &state, Evaluation::qkeras);
    FAIL() << "two samples of state, one of input";
  } catch (const UserError& e) {
    EXPECT_NE(std::string(e.what()).find("state 'total' has the shape [2, 2], expected [1, 2]"),
              std::string::npos)
        << e.what();
  }
}

TEST(State, LaterReadsInTheGraphSeeWhatIsAssigned) {
  Builder b("twice");
  const ValueId x = b.input("x", {Dim::batch(), 1});
  for (int i = 0; i < 2; ++i) {
    const ValueId v = b.variable("v", Tensor::scalar(1.0F));
    b.assign("v", b.elementwise(ops::Elementwise::multiply, v,
                                b.constant("two", Tensor::scalar(2.0F)), "double"));
  }
  b.output("y", b.elementwise(kAdd, x, b.variable("v", Tensor::scalar(0.0F)), "y"));
  const Graph g = b.finish();
  State state;
  const std::vector<Tensor> inputs{Tensor({1, 1}, Floats{0})};
  EXPECT_EQ(floats_of(to_f32(interpret(g, inputs, {}, {}, &state)[0])), Floats{4});
  EXPECT_EQ(floats_of(state.at("v")), Floats{4});
}

TEST(State, SurvivesTextAndTheRemovalOfDeadNodes) {
  Graph g = counting();
  EXPECT_TRUE(equal(parse_graph(to_text(g)), g)) << to_text(g);
  EXPECT_EQ(g.remove_dead(), 0);
  EXPECT_NE(g.find("count/assign"), nullptr);
  verify(g);
  EXPECT_TRUE(equal(g.clone(), g));
}

TEST(State, IsAssignedOnceAndFits) {
  Graph g = counting();
  const ValueId count = g.find("count")->results[0];
  EXPECT_THROW((void)g.add(ops::assign, "odd", {count, g.inputs()[0]}), UserError);
  (void)g.add(ops::assign, "again", {count, count});
  EXPECT_THROW(verify(g), InternalError);
  Graph other = counting();
  (void)other.add(ops::assign, "constant",
                  {other.find("one")->results[0], other.find("one")->results[0]});
  EXPECT_THROW(verify(other), InternalError);
  EXPECT_THROW((void)other.add_variable("count", Tensor::scalar(1.0F)), UserError);
  EXPECT_THROW((void)other.add_variable("per sample", Tensor({3}, Floats{1, 2, 3}), true),
               UserError);
}

TEST(State, BatchStatistics) {
  const Tensor x({2, 2, 2}, Floats{0.25F, 1, 2, -1, 0.75F, 1, 3, -3});
  const auto reduced = [&](ops::Reduce reduce) {
    reduce.over_batch = true;
    return run(x, kGrid, [&](Builder& b, ValueId v) { return b.reduce(v, reduce); });
  };
  expect_both(reduced({.kind = ops::ReduceKind::sum, .axes = {0, 1}}), {6, -2});
  expect_both(reduced({.kind = ops::ReduceKind::mean, .axes = {0, 1}}), {1.5F, -0.5F});
  expect_both(reduced({.kind = ops::ReduceKind::mean, .axes = {0, 1}, .correction = 1}),
              {2, -2.0F / 3});
  expect_both(reduced({.kind = ops::ReduceKind::mean, .axes = {0, 1}, .correction = 9}), {6, -2});
  expect_both(reduced({.kind = ops::ReduceKind::min, .axes = {0, 1}}), {0.25F, -3});
  const Ran most = reduced({.kind = ops::ReduceKind::max, .axes = {0}, .keep_dims = true});
  expect_both(most, {0.75F, 1, 3, -1});
  EXPECT_EQ(most.extents, (Extents{1, 2, 2}));
  EXPECT_TRUE(most.codes);
}

TEST(State, DrawsFollowSeedAndCounter) {
  Builder b("draws");
  const ValueId x = b.input("x", {Dim::batch(), 500});
  const ValueId counter = b.variable("calls", Tensor({1}, Floats{0}));
  const Quantizer q = quantizer("stochastic_binary(alpha=1)");
  const ValueId y = b.quantize(q, x, b.random(counter, 7, "key"), "y");
  b.assign("calls", b.elementwise(kAdd, counter, b.constant("one", Tensor::scalar(1.0F)), "next"));
  b.output("y", y);
  EXPECT_TRUE(b.type(y).is_float32());
  const Graph g = b.finish();
  EXPECT_TRUE(equal(parse_graph(to_text(g)), g));
  const std::vector<Tensor> inputs{Tensor({1, 500}, Floats(500, 0.01F))};
  const auto draw = [&](State& state) {
    return floats_of(to_f32(interpret(g, inputs, {}, {}, &state)[0]));
  };
  State one, two;
  const Floats first = draw(one), second = draw(one);
  EXPECT_NE(first, second);
  EXPECT_EQ(draw(two), first);
  EXPECT_EQ(draw(two), second);
  // Of 500 equal elements with probabilities near one half each sign is drawn often.
  EXPECT_GT(std::ranges::count_if(first, [](float v) { return v < 0; }), 150);
  EXPECT_GT(std::ranges::count_if(first, [](float v) { return v > 0; }), 150);
}

}  // namespace
}  // namespace qloom::testing
