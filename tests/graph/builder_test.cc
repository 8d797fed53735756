// What builders say no to, word for word, and the graphs that verification refuses.
#include "graph/builder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "tests/support/random_graph.h"
#include "tests/support/round_trip.h"

namespace qloom {
namespace {

template <class Make>
std::string user_error(Make&& make) {
  try {
    (void)make();
  } catch (const UserError& e) {
    return e.what();
  }
  return "no error";
}

Tensor ramp(Extents extents, int64_t modulus = 7) {
  std::vector<float> v(static_cast<size_t>(element_count(extents)));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<float>(static_cast<int64_t>(i) % modulus - modulus / 2);
  return Tensor(std::move(extents), std::move(v));
}

Quantizer quantizer(const char* text) { return std::get<Quantizer>(parse_quantizer(text)); }

// The message of one wrong call, with the line number cut out.
template <class Call>
std::string refused(Call&& call) {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 8, 8, 4});
  std::string text = user_error([&] { return call(b, x); });
  const size_t file = text.find("builder_test.cc:");
  if (file != std::string::npos) {
    const size_t end = text.find(')', file);
    text.replace(file, end - file, "here");
  }
  return text;
}

TEST(BuilderErrors, NameNodeOperandsTypesAndPlace) {
  EXPECT_EQ(refused([](Builder& b, ValueId x) {
              return b.conv(x, b.constant("w", ramp({3, 3, 3, 5})), {}, "block2/conv");
            }),
            "conv 'block2/conv' (here): kernel has 3 input channels, x has 4\n"
            "  x:      [N, 8, 8, 4] float32\n"
            "  kernel: [3, 3, 3, 5] fixed(3, 0, signed, narrow)");
  EXPECT_EQ(refused([](Builder& b, ValueId x) {
              b.set_layer("c1", "QConv2D");
              return b.conv(x, b.constant("w", ramp({9, 9, 4, 5})), {});
            }),
            "conv 'c1' of c1 (QConv2D): the kernel does not fit into x\n"
            "  x:      [N, 8, 8, 4] float32\n"
            "  kernel: [9, 9, 4, 5] fixed(3, 0, signed, narrow)");
}

TEST(BuilderErrors, SayWhatIsWrong) {
  const auto starts = [](const std::string& text, const std::string& with) {
    EXPECT_EQ(text.substr(0, text.find('\n')), with);
  };
  starts(refused([](Builder& b, ValueId x) {
           return b.conv(x, b.constant("w", ramp({3, 3, 2, 5})), {.groups = 2});
         }),
         "conv 'conv' (here): 5 output channels are not divisible into 2 groups");
  starts(refused([](Builder& b, ValueId x) {
           return b.conv(x, b.constant("w", ramp({3, 3, 4, 4})), {.padding = ops::Padding::causal});
         }),
         "conv 'conv' (here): padding 'causal' needs [N, T, C]");
  starts(refused([](Builder& b, ValueId x) {
           return b.conv(x, b.constant("w", ramp({3, 3, 4, 4})), {.strides = {0, 1}});
         }),
         "conv 'conv' (here): strides 0 and dilations 1 have to be positive and below 2^31");
  starts(refused(
             [](Builder& b, ValueId x) { return b.conv(x, b.constant("w", ramp({3, 4, 4})), {}); }),
         "conv 'conv' (here): the kernel has 3 axes, x has 4");
  starts(refused([](Builder& b, ValueId x) { return b.dense(x, b.constant("w", ramp({5, 2}))); }),
         "dense 'dense' (here): kernel has 5 inputs, x has 4");
  starts(refused([](Builder& b, ValueId x) { return b.pool(x, {.sizes = {9, 1}}); }),
         "pool 'pool' (here): the window does not fit into x");
  starts(
      refused([](Builder& b, ValueId x) { return b.pool(x, {.padding = ops::Padding::causal}); }),
      "pool 'pool' (here): padding 'causal' is not defined for pooling");
  starts(refused([](Builder& b, ValueId x) { return b.add(x, b.constant("c", ramp({3}))); }),
         "elementwise 'add' (here): the shapes [N, 8, 8, 4] and [3] do not broadcast");
  starts(refused([](Builder& b, ValueId x) {
           return b.reduce(x, {.kind = ops::ReduceKind::sum, .axes = {0}});
         }),
         "reduce 'reduce' (here): axis 0 is the batch axis, which is reduced only where over_batch "
         "says so");
  starts(refused([](Builder& b, ValueId x) {
           return b.concat({x, b.input("z", {Dim::batch(), 8, 7, 4})}, -1);
         }),
         "concat 'concat' (here): the operands differ on axis 2");
  starts(refused([](Builder& b, ValueId x) { return b.reshape(x, {-1, 7}); }),
         "reshape 'reshape' (here): 256 elements do not divide into {extents=[-1, 7]}");
  starts(refused([](Builder& b, ValueId x) { return b.reshape(x, {16, 15}); }),
         "reshape 'reshape' (here): x has 256 elements, the new shape 240");
  starts(refused([](Builder& b, ValueId x) { return b.permute(x, {0, 2, 2, 1}); }),
         "permute 'permute' (here): axes is not a permutation");
  starts(refused([](Builder& b, ValueId x) { return b.pad(x, {1, 0, 0, 0}, {0, 0, 0, 0}); }),
         "pad 'pad' (here): the batch axis cannot be padded");
  starts(refused([](Builder& b, ValueId x) {
           const ValueId c = b.constant("c", ramp({3}));
           return b.batch_norm(x, c, c, c, c, {});
         }),
         "batch_norm 'batch_norm' (here): gamma has the shape [3], x has 4 channels");
  starts(refused([](Builder& b, ValueId x) { return b.softmax(x, 5); }),
         "softmax 'softmax' (here): axis 5 is not an axis of 4 dimensions");
  EXPECT_NE(refused([](Builder& b, ValueId x) { return b.activation(x, {.function = "relux"}); })
                .find("activation 'activation' (here): 'relux' is no activation function; known: "
                      "linear, relu,"),
            0 + std::string::npos);
  starts(refused([](Builder& b, ValueId x) {
           return b.quantize(quantizer("quantized_bits(4, 0, 1, alpha=[0.5, 0.25])"), x);
         }),
         "quantize 'quantize' (here): the quantizer has 2 scales, x has the shape [N, 8, 8, 4]");
  EXPECT_NE(refused([](Builder& b, ValueId) {
              return b.quantize(quantizer("quantized_bits(4)"),
                                b.constant("w", Tensor({2}, std::vector<float>{1, NAN})));
            }).find("x is NaN at sample 1"),
            std::string::npos);
}

TEST(Builder, MakesNamesUniqueAndRemembersOrigins) {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 4});
  b.set_layer("fc", "QDense");
  const ValueId w = b.constant("fc/kernel", ramp({4, 3}));
  const ValueId y = b.dense(x, w);
  const ValueId z = b.add(y, b.constant("fc/bias", ramp({3})));
  b.set_layer("", "");
  const ValueId r = b.activation(z, {.function = "relu"});
  b.output("r", r);
  const Graph g = b.finish();
  EXPECT_EQ(g.producer(y).name, "fc");
  EXPECT_EQ(g.producer(z).name, "fc.1");
  EXPECT_EQ(g.producer(y).origins.at(0).to_string(), "fc (QDense)");
  EXPECT_EQ(g.producer(r).origins.at(0).to_string().substr(0, 16), "builder_test.cc:");
  testing::check_round_trip(g, std::vector{ramp({2, 4})});
}

TEST(Builder, AppliesWhatAStringNames) {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 4});
  EXPECT_EQ(b.apply(std::monostate{}, x), x);
  EXPECT_EQ(b.apply(ActivationFunction{"linear"}, x), x);
  EXPECT_TRUE(b.graph().producer(b.apply(ActivationFunction{"softmax"}, x)).is(ops::softmax));
  const Node& relu = b.graph().producer(b.apply(ActivationFunction{"relu"}, x));
  EXPECT_EQ(from_attributes<ops::Activation>(relu.attributes).function, "relu");
  const ValueId q = b.apply(parse_quantizer("quantized_bits(4, 0, 1)"), x);
  EXPECT_EQ(b.type(q).to_string(), "[N, 4] fixed(4, 3, signed, narrow)");
}

TEST(Builder, ConstantsTakeTheTightestGrid) {
  Builder b("g");
  const auto type = [&](std::vector<float> v) {
    const auto n = static_cast<int64_t>(v.size());
    return b.type(b.constant("c", Tensor({n}, std::move(v)))).numeric;
  };
  EXPECT_EQ(type({9}), Numeric::integers(9, 9, 0));
  EXPECT_EQ(type({0.25F, -1.5F}), Numeric::integers(-6, 1, 2));
  EXPECT_EQ(type({0, 0}), Numeric::integers(0, 0, 0));
  EXPECT_EQ(type({8, 24}), Numeric::integers(1, 3, -3));
  EXPECT_EQ(type({0.1F}), Numeric::float32());
  EXPECT_EQ(type({1, 65536}), Numeric::float32());
  EXPECT_EQ(type({INFINITY}), Numeric::float32());
}

// --- graphs and their edits
// --------------------------------------------------------------------------

Graph small_graph() {
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 6, 6, 2});
  const ValueId q = b.quantize(quantizer("quantized_bits(4, 1, 1)"), x, "q");
  const ValueId w = b.quantize(quantizer("quantized_bits(4, 0, 1, alpha='auto_po2')"),
                               b.constant("w", ramp({3, 3, 2, 5})), "w_q");
  const ValueId c = b.conv(q, w, {.padding = ops::Padding::same}, "c");
  const ValueId a = b.quantize(quantizer("quantized_relu(4, 2)"), c, "a");
  b.output("a", a);
  b.output("c", c);
  return b.finish();
}

TEST(Graph, AnswersAboutUses) {
  Graph g = small_graph();
  const ValueId c = g.find("c")->results[0], q = g.find("q")->results[0];
  EXPECT_TRUE(g.used_once(q));
  EXPECT_FALSE(g.used_once(c));
  EXPECT_TRUE(g.is_output(c));
  ASSERT_EQ(g.users(q).size(), 1U);
  EXPECT_EQ(g.node(g.users(q)[0]).name, "c");
  EXPECT_EQ(g.fresh_name("c"), "c.1");
  EXPECT_EQ(g.constant_of(g.find("w")->results[0]), g.find("w"));
  EXPECT_EQ(g.node_count(), 6U);
}

TEST(Graph, FoldsAConstantByHand) {
  Graph g = small_graph();
  const auto inputs = testing::random_inputs(g, 2, 5);
  const auto before = interpret(g, inputs, {});
  const Node& wq = *g.find("w_q");
  const RuntimeValue w = constant_value(g, *g.find("w"));
  const RuntimeValue folded = evaluate(g, wq, std::vector{w}, {})[0];
  const ValueId v = g.add_constant("w_folded", folded.data, g.type(wq.results[0]));
  g.replace_all_uses(wq.results[0], v);
  EXPECT_EQ(g.remove_dead(), 2);
  g.infer_types();
  verify(g);
  EXPECT_EQ(g.find("w_q"), nullptr);
  const auto after = interpret(g, inputs, {});
  EXPECT_TRUE(before[0].data.same_bits(after[0].data));
  EXPECT_TRUE(before[1].data.same_bits(after[1].data));
  // The accumulator's interval now comes from the weights themselves.
  const Numeric::Grid grid = *g.type(g.outputs()[1].value).numeric.grid();
  EXPECT_LT(grid.hi, 7 * 8 * 18);
  testing::check_round_trip(g, inputs);
}

TEST(Graph, RegionsMeanTheirBodies) {
  Graph g = small_graph();
  const auto inputs = testing::random_inputs(g, 2, 6);
  const auto before = interpret(g, inputs, {});
  const Node &conv = *g.find("c"), &relu = *g.find("a");
  Graph body;
  body.name = "body of c";
  const ValueId bx = body.add_input("x", g.type(conv.operands[0]));
  const ValueId bw = body.add_input("w", g.type(conv.operands[1]));
  const ValueId bc = body.add(ops::conv, "c", {bx, bw}, conv.attributes).results[0];
  const ValueId ba = body.add(ops::quantize, "a", {bc}, relu.attributes).results[0];
  body.add_output("a", ba);
  body.add_output("c", bc);
  const std::vector<Origin> origins{conv.origins[0], relu.origins[0]};
  const Node& region = g.add_region("fused", conv.operands, std::move(body), origins);
  const std::vector<ValueId> results = region.results;
  const ValueId old_a = relu.results[0], old_c = conv.results[0];
  g.replace_all_uses(old_a, results[0]);
  g.replace_all_uses(old_c, results[1]);
  EXPECT_EQ(g.remove_dead(), 2);
  g.infer_types();
  verify(g);
  const auto after = interpret(g, inputs, {});
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(before[i].data.same_bits(after[i].data));
  const Node& r = *g.find("fused");
  const auto types = std::vector{g.type(r.operands[0]), g.type(r.operands[1])};
  EXPECT_EQ(ops::region.count(r, types, {}).multiply_accumulates, 6 * 6 * 5 * 3 * 3 * 2);
  testing::check_round_trip(g, inputs);
}

template <class Break>
std::string broken(Break&& make_wrong) {
  Graph g = small_graph();
  try {
    make_wrong(g);
    verify(g);
  } catch (const InternalError& e) {
    return e.what();
  }
  return "verified";
}
Node& named(Graph& g, std::string_view name) { return g.node(g.find(name)->id); }

TEST(Verify, CatchesBrokenGraphs) {
  EXPECT_EQ(broken([](Graph&) {}), "verified");
  EXPECT_NE(broken([](Graph& g) { named(g, "c").name = "q"; }).find("the name is there twice"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) { named(g, "c").name = ""; }).find("has no name"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              g.set_operand(g.find("q")->id, 0, g.find("a")->results[0]);
            }).find("depends on itself"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              g.set_operand(g.find("a")->id, 0, g.find("x")->results[0]);
            }).find("inference says"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              g.set_operand(g.find("c")->id, 1, g.find("w")->results[0]);
            }).find("inference says"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              named(g, "c").attributes.set("groups", 2);
            }).find("inference refuses the node"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              named(g, "c").attributes.remove("groups");
            }).find("attributes are incomplete"),
            std::string::npos);
  EXPECT_NE(
      broken([](Graph& g) { named(g, "c").operands.push_back(ValueId{99}); }).find("no value"),
      std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              named(g, "w").constant.reset();
            }).find("only constants and variables have data, and all have"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              named(g, "w").constant = Tensor({3, 3, 2, 5}, std::vector<int64_t>(90, 4));
            }).find("code 4 is outside of"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              named(g, "c").results[0] = g.find("q")->results[0];
            }).find("result 0 belongs to another node"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) {
              named(g, "c").body = std::make_unique<Graph>();
            }).find("only regions and scans have a body"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) { g.erase(g.find("q")->id); }).find("is erased but used by 'c'"),
            std::string::npos);
}

// --- running
// -----------------------------------------------------------------------------------------

TEST(Interpret, NamesWhatDoesNotFit) {
  const Graph g = small_graph();
  const auto run = [&](std::vector<Tensor> inputs) {
    return user_error([&] { return interpret(g, inputs, {}); });
  };
  EXPECT_EQ(run({}), "graph 'g' has 1 inputs, 0 are given");
  EXPECT_EQ(run({ramp({2, 6, 5, 2})}),
            "input 'x' has the shape [2, 6, 5, 2], expected [N, 6, 6, 2]");
  std::vector<float> v(2 * 72, 0.5F);
  v[72 + 14] = NAN;
  const std::string nan = run({Tensor({2, 6, 6, 2}, v)});
  EXPECT_NE(nan.find("x is NaN at sample 1, index [1, 1, 0]"), std::string::npos) << nan;
  EXPECT_NE(nan.find("quantize 'q'"), std::string::npos) << nan;
  v[72 + 14] = -INFINITY;
  EXPECT_NE(run({Tensor({2, 6, 6, 2}, v)}).find("x is infinite at sample 1"), std::string::npos);
}

TEST(Interpret, KnowsItsPresets) {
  EXPECT_EQ(EvaluationOptions::preset("eager", Evaluation::qkeras).division, Division::divide);
  EXPECT_EQ(EvaluationOptions::preset("predict", Evaluation::qkeras).division,
            Division::reciprocal);
  EXPECT_EQ(EvaluationOptions::preset("predict", Evaluation::qkeras).batch_norm,
            BatchNormRounding::plain);
  EXPECT_EQ(EvaluationOptions::preset("predict_onednn", Evaluation::canonical).batch_norm,
            BatchNormRounding::fused_multiply_add);
  EXPECT_EQ(user_error([] { return EvaluationOptions::preset("fast", Evaluation::qkeras); }),
            "evaluation 'fast' is unknown; known: eager, predict, predict_onednn");
}

TEST(Interpret, FollowsSwitchesThatTheGraphWasNotBuiltWith) {
  // A scale of data divides by a constant, which `predict` turns into a product.
  Builder b("g");
  const ValueId x = b.input("x", {Dim::batch(), 9});
  {
    testing::Random random(3);
    std::vector<float> w(9 * 40);
    for (float& f : w) f = random.real(-1, 1);
    const ValueId k = b.quantize(quantizer("quantized_bits(4, 0, 1, alpha='auto')"),
                                 b.constant("w", Tensor({9, 40}, std::move(w))));
    b.output("y", b.dense(b.quantize(quantizer("quantized_bits(4, 0, 1)"), x), k));
  }
  Graph g = b.finish();
  const auto inputs = testing::random_inputs(g, 2, 1);
  const auto options = EvaluationOptions::preset("predict", Evaluation::canonical);
  const auto a = interpret(g, inputs, options), eager = interpret(g, inputs, {});
  g.set_options(options);
  g.infer_types();
  const auto c = interpret(g, inputs, options);
  EXPECT_TRUE(a[0].data.same_bits(c[0].data));
  EXPECT_EQ(a[0].type, c[0].type);
  EXPECT_NE(a[0].type.scale, eager[0].type.scale);
  testing::check_round_trip(g, inputs);
}

}  // namespace
}  // namespace qloom
