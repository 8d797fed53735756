// The additions that CONTRIBUTING.md shows, at work.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <memory>
#include <sstream>

#include "bindings/import/keras_import.h"
#include "bindings/import/read.h"
#include "graph/builder.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "graph/text.h"
#include "tests/bindings/expect_error.h"
#include "tests/examples/example_kernels_table.h"
#include "tests/examples/example_layers_table.h"
#include "tests/examples/example_ops_table.h"
#include "tests/examples/example_passes_table.h"
#include "tests/examples/example_quantizers_table.h"
#include "tests/kernels/problem.h"
#include "tests/support/paths.h"
#include "tests/support/random_graph.h"

namespace qloom {
namespace {

using Floats = std::vector<float>;

Floats values(const Tensor& t) { return {t.f32().begin(), t.f32().end()}; }

/// x [N, 4], quantized (or not, ""), through |x|.
Graph absolute_of(const std::string& quantizer) {
  Builder b("absolute");
  ValueId x = b.input("x", {Dim::batch(), 4});
  if (!quantizer.empty()) x = b.apply(parse_quantizer(quantizer), x, "x_q");
  const Node& node = b.graph().add(ops::absolute, "magnitude", {x});
  b.output("y", node.results[0]);
  return b.finish();
}

Tensor four_values() {
  return Tensor({2, 4}, Floats{-1.75F, 0.3F, -0.2F, 1.0F, 0.0F, -9.0F, 9.0F, -0.5F});
}

TEST(ContributingOp, CodesKeepTheirStepAndLoseTheirSign) {
  const Graph g = absolute_of("quantized_bits(4, 1, alpha=1.0)");  // quarters, -2 .. 1.75
  const TensorType type = g.type(g.outputs()[0].value);
  EXPECT_EQ(type.numeric, Numeric::integers(0, 8, 2));
  for (const Evaluation evaluation : {Evaluation::qkeras, Evaluation::canonical}) {
    const auto y = interpret(g, std::vector{four_values()}, {.evaluation = evaluation})[0];
    EXPECT_EQ(values(to_f32(y)), (Floats{1.75F, 0.25F, 0.25F, 1.0F, 0.0F, 2.0F, 1.75F, 0.5F}));
    EXPECT_EQ(y.data.dtype(), evaluation == Evaluation::qkeras ? DType::f32 : DType::i64);
  }
}

TEST(ContributingOp, FloatsLoseTheirSign) {
  const Graph g = absolute_of("");
  EXPECT_TRUE(g.type(g.outputs()[0].value).is_float32());
  const auto y = interpret(g, std::vector{four_values()}, {})[0];
  EXPECT_EQ(values(y.data), (Floats{1.75F, 0.3F, 0.2F, 1.0F, 0.0F, 9.0F, 9.0F, 0.5F}));
}

TEST(ContributingOp, RefusesAttributes) {
  Builder b("wrong");
  const ValueId x = b.input("x", {Dim::batch(), 4});
  testing::expect_user_error(
      [&] { (void)b.graph().add(ops::absolute, "magnitude", {x}, {{"power", 2}}); }, {"power"});
}

TEST(ContributingOp, ReferenceKernelAgreesWithTheInterpreter) {
  using kernels::Storage;
  for (const bool quantized : {true, false}) {
    const Graph g = absolute_of(quantized ? "quantized_bits(4, 1, alpha=1.0)" : "");
    const Node& node = g.producer(g.outputs()[0].value);
    EXPECT_EQ(kernels::reference_absolute.reference_op, node.op);
    kernels::ReferenceSpec spec;
    spec.kernel = "reference_absolute";
    spec.attributes = node.attributes;
    spec.operands = {g.type(node.operands[0])};
    spec.results = {g.type(node.results[0])};
    spec.operand_storages = {quantized ? Storage::words() : Storage::f32()};
    spec.outputs = {{0, quantized ? Storage::dwords() : Storage::f32()}};
    spec.options = to_attributes(EvaluationOptions{});
    const auto call = kernels::reference_absolute.reference(spec);

    std::vector<RuntimeValue> operand, want;
    (void)interpret(g, std::vector{four_values()}, {},
                    [&](const Node& n, std::span<const RuntimeValue> results) {
                      const ValueId value = n.results[0];
                      if (value == node.operands[0]) operand.assign({results[0]});
                      if (value == node.results[0]) want.assign({results[0]});
                    });
    std::vector<uint8_t> scratch(static_cast<size_t>(call->scratch_bytes()) + 64);
    if (quantized) {
      const auto codes = operand.at(0).data.i64();
      std::vector<int16_t> in(codes.begin(), codes.end());
      std::vector<int32_t> out(in.size(), -1);
      void* const buffers[] = {in.data(), out.data(), scratch.data()};
      call->run(buffers, 2);
      const auto expected = want.at(0).data.i64();
      EXPECT_EQ(out, std::vector<int32_t>(expected.begin(), expected.end()));
    } else {
      Floats in = values(operand.at(0).data), out(in.size(), -1);
      void* const buffers[] = {in.data(), out.data(), scratch.data()};
      call->run(buffers, 2);
      EXPECT_EQ(out, values(want.at(0).data));
    }
  }
}

TEST(ContributingQuantizer, RoundsToStepsAndClips) {
  const Quantizer q(quantizers::quantized_fixed, {{"bits", 4}, {"fraction", 2}});
  EXPECT_EQ(q.values(), Numeric::fixed(4, 2, true, true));
  // Ties go to the even code: 0.125 is half a step.
  const Tensor x({6}, Floats{0.3F, 0.125F, -0.375F, 5.0F, -5.0F, -0.01F});
  const Quantized y = q.forward(x);
  EXPECT_EQ(values(*y.q), (Floats{0.25F, 0.0F, -0.5F, 1.75F, -1.75F, 0.0F}));
  const auto codes = y.codes->i64();
  EXPECT_EQ(std::vector<int64_t>(codes.begin(), codes.end()),
            (std::vector<int64_t>{1, 0, -2, 7, -7, 0}));
  EXPECT_EQ(y.step->f64()[0], 0.25);
  // y = x + (q - x), rounded twice: the value or its neighbour.
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(y.y.f32()[i], y.q->f32()[i], 1e-6);
}

TEST(ContributingQuantizer, KeepsTheLawsOfTheTable) {
  testing::Random random(7);
  Floats sorted;
  for (int i = -4000; i <= 4000; ++i)
    sorted.push_back(static_cast<float>(i) / 400 + random.real(0, 0.001F));
  const Tensor x({std::ssize(sorted)}, sorted);
  for (const Quantizer& q : {Quantizer(quantizers::quantized_fixed, {}),
                             Quantizer(quantizers::quantized_fixed, {{"bits", 2}}),
                             Quantizer(quantizers::quantized_fixed, {{"fraction", -1}}),
                             Quantizer(quantizers::quantized_fixed, {{"bits", 16}})}) {
    SCOPED_TRACE(q.to_string());
    const Quantized y = q.forward(x);
    int64_t previous = std::numeric_limits<int64_t>::min();
    for (size_t i = 0; i < sorted.size(); ++i) {
      EXPECT_TRUE(q.values().contains(y.q->f32()[i])) << sorted[i];
      EXPECT_GE(y.codes->i64()[i], previous) << sorted[i];
      EXPECT_EQ(static_cast<double>(y.codes->i64()[i]) * y.step->f64()[0], y.q->f32()[i]);
      previous = y.codes->i64()[i];
    }
    EXPECT_TRUE(q.is_monotone());
    EXPECT_GT(previous, 0);
    EXPECT_TRUE(q.forward(*y.q).q->same_bits(*y.q)) << "not idempotent";
  }
}

TEST(ContributingQuantizer, ConfigurationAndText) {
  const Quantizer q(quantizers::quantized_fixed, {{"bits", 6}});
  EXPECT_EQ(q.config(), (Attributes{{"bits", 6}, {"fraction", 2}}));
  EXPECT_EQ(Quantizer(quantizers::quantized_fixed, q.config()), q);
  EXPECT_EQ(q.def().to_string(q.arguments()), "quantized_fixed(6,2)");
  EXPECT_EQ(q.def().max(q.arguments()), 7.75);
  EXPECT_EQ(q.def().min(q.arguments()), -7.75);
  testing::expect_user_error([] { Quantizer(quantizers::quantized_fixed, {{"bits", 1}}); },
                             {"quantized_fixed", "bits must be 2 to 16", "found 1"});
  testing::expect_user_error([] { Quantizer(quantizers::quantized_fixed, {{"integer", 1}}); },
                             {"quantized_fixed", "unknown argument 'integer'", "bits, fraction"});
}

TEST(ContributingKernel, AgreesWithPlainLoops) {
  using testing::Problem;
  const kernels::KernelDef& kernel = kernels::dense_columns;
  const Numeric sets[] = {Numeric::binary(), Numeric::ternary(), Numeric::fixed(3, 0, true),
                          Numeric::fixed(8, 0, false), Numeric::integers(-3, 900, 0)};
  std::vector<std::unique_ptr<Problem>> problems;
  std::vector<testing::Job> jobs;
  testing::Random random(11);
  for (const auto& [c, n] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {33, 8}, {16, 10}, {7, 37}})
    for (int tail = 0; tail < testing::kTailKinds; ++tail) {
      testing::ProblemSpec spec;
      spec.window = testing::dense_window(c, n);
      spec.input = random.pick(sets);
      spec.weights = random.pick(sets);
      spec.tail = static_cast<testing::TailKind>(tail);
      spec.count = random.integer(1, 9);
      spec.seed = random.next();
      spec.name = join_text("c", c, "n", n, " ", spec.input, "·", spec.weights, " tail ", tail);
      problems.push_back(std::make_unique<Problem>(spec));
      const Verdict verdict = kernel.match(problems.back()->query());
      ASSERT_TRUE(verdict.ok()) << spec.name << ": " << verdict.reason();
      const kernels::Query& query = problems.back()->query_for(kernel);
      for (const kernels::Variant& v : kernel.variants(query, jit::Target::host())) {
        jobs.push_back({&kernel, problems.back().get(), v});
        EXPECT_GT(kernels::predicted_ns(kernel, query, v, jit::Target::host()), 0);
      }
    }
  ASSERT_EQ(jobs.size(), 5U * testing::kTailKinds);
  for (const testing::Lowering lowering : testing::lowerings())
    for (const std::string& text : testing::run_jobs(jobs, lowering)) ADD_FAILURE() << text;
}

TEST(ContributingKernel, SaysWhyNot) {
  const auto reason = [](const testing::ProblemSpec& spec) {
    return kernels::dense_columns.match(testing::Problem(spec).query()).reason();
  };
  testing::ProblemSpec conv;
  conv.window = testing::conv_window(5, 5, 3, 4, 3, 3, 1, 1, 1, testing::Pad::same);
  EXPECT_EQ(reason(conv), "several positions, this kernel needs one a sample");
  testing::ProblemSpec chain;
  chain.window.c = chain.window.n = 8;
  chain.elementwise = true;
  EXPECT_EQ(reason(chain), "root is elementwise, this kernel computes conv and dense");
}

/// Canonical outputs as float32.
std::vector<Tensor> run(const Graph& g, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> out;
  for (const RuntimeValue& v : interpret(g, inputs, {})) out.push_back(to_f32(v));
  return out;
}

TEST(ContributingPass, RemovesOneOfTwoAndKeepsEveryValue) {
  Builder b("relus");
  ValueId x = b.input("x", {Dim::batch(), 4});
  const ops::Activation relu{.function = "relu"};
  const ops::Activation relu6{.function = "relu", .max_value = 6};
  b.output("floats", b.activation(b.activation(b.activation(x, relu), relu), relu));
  x = b.apply(parse_quantizer("quantized_bits(6, 3, alpha=1.0)"), x, "x_q");
  const ValueId once = b.activation(x, relu, "once");
  b.output("codes", b.activation(b.activation(once, relu, "twice"), relu6, "limited"));
  Graph g = b.finish();

  const std::vector<Tensor> inputs{four_values()};
  const std::vector<Tensor> want = run(g, inputs);
  const passes::PassDef* const pass[] = {&passes::merge_relus};
  EXPECT_EQ(passes::run_passes(g, pass, {})[0].rewrites, 3);
  EXPECT_EQ(passes::run_passes(g, pass, {})[0].rewrites, 0);
  int left = 0;
  for (const NodeId id : g.order()) left += g.node(id).is(ops::activation) ? 1 : 0;
  EXPECT_EQ(left, 3);
  EXPECT_NE(g.find("limited"), nullptr);
  const std::vector<Tensor> got = run(g, inputs);
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(got[i].same_bits(want[i])) << i;
}

TEST(ContributingPass, GivesTheExpectedText) {
  std::ifstream in(testing::source_dir() / "tests/examples/contributing/merge_relus.txt");
  std::ostringstream read;
  read << in.rdbuf();
  const std::string text = read.str(), before = "=== before\n", after = "=== after 1 rewrites\n";
  const size_t first = text.find(before) + before.size(), second = text.find(after);
  ASSERT_NE(second, text.npos);
  Graph g = parse_graph(text.substr(first, second - first));
  EXPECT_EQ(to_text(g), text.substr(first, second - first));
  const passes::PassDef* const pass[] = {&passes::merge_relus};
  EXPECT_EQ(passes::run_passes(g, pass, {})[0].rewrites, 1);
  EXPECT_EQ(to_text(g), text.substr(second + after.size()));
}

TEST(ContributingPass, KeepsTheValuesOfRandomGraphs) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    // Each graph gets a pair of rectifiers behind its first output.
    Graph g = testing::random_graph(seed);
    const Attributes relu = to_attributes(ops::Activation{.function = "relu"});
    ValueId x = g.outputs()[0].value;
    for (const char* name : {"first_relu", "second_relu"})
      x = g.add(ops::activation, name, {x}, relu).results[0];
    g.replace_output(0, x);
    const auto inputs = testing::random_inputs(g, 2, seed);
    const std::vector<Tensor> want = run(g, inputs);
    const passes::PassDef* const pass[] = {&passes::merge_relus};
    EXPECT_GE(passes::run_passes(g, pass, {})[0].rewrites, 1) << "seed " << seed;
    const std::vector<Tensor> got = run(g, inputs);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_TRUE(got[i].same_bits(want[i])) << "seed " << seed << ", output " << i;
  }
}

/// A Sequential model of one layer, read but not built: the importer's own table has no such layer.
KerasModel one_layer(const std::string& config) {
  return parse_keras_architecture(R"json({"class_name": "Sequential", "keras_version": "2.15.0",
      "config": {"name": "net", "layers": [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": [null, 4]}},
        {"class_name": "ThresholdedReLU", "config": )json" +
                                      config + "}]}}",
                                  "net.json");
}

/// What the importer does with one layer.
Graph build_layer(const KerasModel& model) {
  const KerasLayer& layer = model.layers.at(1);
  const keras::LayerDef& def = keras::layers::thresholded_relu;
  EXPECT_EQ(def.class_names[0], layer.class_name);
  Builder b(model.name);
  const ValueId x = b.input("in", {Dim::batch(), 4});
  b.set_layer(layer.name, layer.class_name);
  keras::LayerBuilder builder(b, model, layer, def, layer.calls.at(0), {x}, layer.name);
  b.output(layer.name, def.build(builder));
  return b.finish();
}

TEST(ContributingLayer, BecomesOps) {
  const Graph g = build_layer(one_layer(R"json({"name": "t", "theta": 0.5})json"));
  ASSERT_NE(g.find("t"), nullptr);
  EXPECT_EQ(g.find("t")->origins.at(0).layer_class, "ThresholdedReLU");
  const auto options = EvaluationOptions::preset("eager", Evaluation::qkeras);
  const auto y = interpret(g, std::vector{four_values()}, options)[0];
  EXPECT_EQ(values(to_f32(y)), (Floats{0, 0, 0, 1.0F, 0, 0, 9.0F, 0}));
}

TEST(ContributingLayer, ErrorsNameFileLayerAndKey) {
  testing::expect_user_error(
      [] { (void)build_layer(one_layer(R"json({"name": "t", "theta": -1.0})json")); },
      {"net.json", "'t' (ThresholdedReLU)", "theta", "not negative", "-1"});
  testing::expect_user_error(
      [] { (void)build_layer(one_layer(R"json({"name": "t", "theta": "big"})json")); },
      {"net.json", "'t' (ThresholdedReLU)", "theta", "big"});
}

/// What the tests of the tables ask of every entry.
TEST(Contributing, EveryEntryIsDescribed) {
  for (const OpDef* op : ops::all_example_ops()) {
    EXPECT_FALSE(op->doc.empty());
    EXPECT_EQ(op->attrs(op->attrs({})), op->attrs({}));
  }
  for (const QuantizerDef* q : quantizers::all_example_quantizers())
    EXPECT_FALSE(q->doc.empty() || q->source.empty());
  for (const kernels::KernelDef* k : kernels::all_example_kernels())
    EXPECT_FALSE(k->doc.empty() || k->source.empty());
  for (const passes::PassDef* p : passes::all_example_passes()) EXPECT_FALSE(p->doc.empty());
  for (const keras::LayerDef* l : keras::layers::all_example_layers())
    EXPECT_FALSE(l->doc.empty() || l->class_names.empty());
}

}  // namespace
}  // namespace qloom
