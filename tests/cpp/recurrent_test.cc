// Recurrent layers with drawn arguments: the compiled network against the interpreter, for batches
// of every kind. A failure prints the seed; QLOOM_TEST_SEED=N runs that one alone.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>

#include "bindings/cpp/qloom.h"
#include "graph/interpret.h"
#include "graph/ops_table.h"
#include "graph/text.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "tests/bindings/expect_error.h"
#include "tests/cpp/layer_of.h"
#include "tests/passes/run_model.h"
#include "tests/support/random_graph.h"

namespace qloom {
namespace {

using test::layer_of;
using testing::Random;

std::string text(bool value) { return value ? "true" : "false"; }

std::string cell_arguments(Random& r, const std::string& kind) {
  constexpr const char* kWeights[] = {"\"quantized_bits(4,0,1,alpha=1)\"",
                                      "\"quantized_bits(6,1,1)\"",
                                      "\"ternary(alpha=0.5)\"",
                                      "\"binary(alpha=0.5)\"",
                                      "\"quantized_po2(3,1)\"",
                                      "null"};
  constexpr const char* kStates[] = {"\"quantized_bits(4,0,1,alpha=1)\"",
                                     "\"quantized_bits(8,1,1,alpha=1)\"", "null",
                                     "\"binary(alpha=1)\""};
  constexpr const char* kActivations[] = {"\"quantized_tanh\"",
                                          "\"quantized_tanh(4,1)\"",
                                          "\"quantized_bits(5,1,1,alpha=1)\"",
                                          "\"hard_tanh\"",
                                          "\"tanh\"",
                                          "\"linear\""};
  constexpr const char* kGates[] = {"\"hard_sigmoid\"", "\"quantized_sigmoid(5)\"",
                                    "\"quantized_relu(4,0)\"", "\"sigmoid\""};
  std::string out =
      "\"units\": " + std::to_string(r.integer(1, 20)) +
      ", \"activation\": " + r.pick(kActivations) + ", \"kernel_quantizer\": " + r.pick(kWeights) +
      ", \"recurrent_quantizer\": " + r.pick(kWeights) +
      ", \"state_quantizer\": " + r.pick(kStates) +
      ", \"bias_quantizer\": \"quantized_bits(4,0,1)\", \"use_bias\": " + text(r.chance(80));
  if (kind == "QSimpleRNN") return out;
  out += std::string(", \"recurrent_activation\": ") + r.pick(kGates) +
         ", \"implementation\": " + std::to_string(r.integer(1, 2));
  if (kind == "QGRU") out += ", \"reset_after\": " + text(r.chance(50));
  return out;
}

/// A recurrent layer: alone, in two directions, or as cells on top of each other.
Layer draw_layer(Random& r) {
  constexpr const char* kKinds[] = {"QSimpleRNN", "QLSTM", "QGRU"};
  const std::string kind = r.pick(kKinds);
  const std::string driver =
      ", \"return_sequences\": " + text(r.chance(50)) + ", \"go_backwards\": " + text(r.chance(30));
  const int64_t form = r.integer(0, 9);
  if (form < 2) {
    constexpr const char* kModes[] = {"\"concat\"", "\"sum\"", "\"mul\"", "\"ave\""};
    return layer_of("QBidirectional", "\"layer\": {\"class_name\": \"" + kind +
                                          "\", \"config\": {" + cell_arguments(r, kind) + driver +
                                          "}}, \"merge_mode\": " + r.pick(kModes));
  }
  if (form < 4) {
    std::string cells;
    for (int64_t k = 0, n = r.integer(1, 3); k < n; ++k)
      cells += (k == 0 ? "{\"class_name\": \"" : ", {\"class_name\": \"") + kind +
               "Cell\", \"config\": {" + cell_arguments(r, kind) + "}}";
    return layer_of(
        "RNN", "\"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": {\"cells\": [" + cells +
                   "]}}" + driver);
  }
  return layer_of(kind, cell_arguments(r, kind) + driver);
}

void check(uint64_t seed) {
  SCOPED_TRACE("QLOOM_TEST_SEED=" + std::to_string(seed));
  Random r(seed);
  Network net("net");
  const int64_t steps = r.integer(1, 6), features = r.integer(1, 9);
  Symbol x = net.input({steps, features}, "x");
  if (r.chance(80))
    x = net.add(layer_of("QActivation", "\"activation\": \"quantized_bits(6,2,1,alpha=1)\""), x);
  if (r.chance(25)) x = net.add(layer_of("Masking", "\"mask_value\": 0.0"), x);
  x = net.add(draw_layer(r), x);
  net.output(x);
  net.initialize(seed);
  const Graph graph = net.graph("eager");

  const int64_t samples = r.integer(1, 20);
  std::vector<float> values(static_cast<size_t>(samples * steps * features));
  for (float& v : values) v = static_cast<float>(r.integer(-24, 24)) / 8;
  if (r.chance(50))  // steps that a mask leaves out
    for (int64_t i = 0; i < samples * steps; i += 2)
      std::fill_n(values.begin() + i * features, features, 0.0F);
  const Tensor input({samples, steps, features}, std::move(values));
  EvaluationOptions options = graph.options();
  options.evaluation = Evaluation::canonical;
  const Tensor want = to_f32(interpret(graph, std::vector{input}, options)[0]);

  passes::CompileOptions compile;
  compile.expected_samples = 0;
  if (r.chance(50)) compile.chain_tile = r.integer(1, 7);
  const passes::Compilation compiled = passes::compile(graph.clone(), compile);
  for (const auto& [threads, tile] : {std::pair<int, int64_t>{1, 0}, {1, 1}, {2, 3}}) {
    const Tensor got = test::run_model(compiled, {input}, samples, threads, tile)[0];
    ASSERT_EQ(got.extents(), want.extents());
    for (size_t i = 0; i < got.f32().size(); ++i) {
      const float g = got.f32()[i], w = want.f32()[i];
      const float ulp = std::nextafterf(std::fabs(w), HUGE_VALF) - std::fabs(w);
      ASSERT_TRUE(g == w || std::fabs(g - w) <= 4 * ulp || std::fabs(g - w) <= 1e-6F)
          << "element " << i << " is " << g << " instead of " << w << "\n"
          << to_text(graph, false);
    }
  }
}

TEST(Recurrent, CompiledLayersWithDrawnArgumentsAgreeWithTheInterpreter) {
  if (const char* seed = std::getenv("QLOOM_TEST_SEED")) return check(std::stoull(seed));
  for (uint64_t seed = 1; seed <= 25; ++seed) check(seed);
}

TEST(RecurrentLong, CompiledLayersWithDrawnArgumentsAgreeWithTheInterpreter) {
  for (uint64_t seed = 26; seed <= 1000; ++seed) check(seed);
}

TEST(Recurrent, QuantizedStepsAreAFewEmittedCalls) {
  Network net("net");
  Symbol x = net.input({8, 16}, "x");
  x = net.add(layer_of("QActivation", "\"activation\": \"quantized_relu(4,0)\""), x);
  const std::string weights = "\"quantized_bits(4,0,1,alpha=1)\"";
  x = net.add(
      layer_of("QLSTM",
               "\"units\": 32, \"activation\": \"quantized_tanh(4)\", "
               "\"recurrent_activation\": \"quantized_sigmoid(4)\", "
               "\"kernel_quantizer\": " +
                   weights + ", \"recurrent_quantizer\": " + weights +
                   ", \"bias_quantizer\": " + weights + ", \"state_quantizer\": " + weights),
      x, "lstm");
  net.output(x);
  net.initialize(1);
  const passes::Compilation compiled = passes::compile(net.graph("eager"));
  ASSERT_EQ(compiled.program.loops.size(), 1U);
  const runtime::Loop& loop = compiled.program.loops[0];
  EXPECT_EQ(loop.steps, 8);
  EXPECT_LE(loop.last - loop.first, 4);
  for (int i = loop.first; i < loop.last; ++i)
    EXPECT_LT(compiled.program.calls[static_cast<size_t>(i)].reference, 0);
  // One function makes all of them, step by step.
  ASSERT_EQ(compiled.program.chains.size(), 1U);
  EXPECT_LE(compiled.program.chains[0].first, loop.first);
  EXPECT_GE(compiled.program.chains[0].last, loop.last);
  // All products with inputs are made before the loop.
  int64_t macs = 0;
  for (int i = loop.first; i < loop.last; ++i)
    macs += compiled.program.calls[static_cast<size_t>(i)].macs;
  EXPECT_EQ(macs, 8 * 32 * 4 * 32);
  EXPECT_TRUE(compiled.certificates[0].exact) << compiled.certificates[0].to_string();
}

TEST(Recurrent, ProgramsWithLoopsAreWrittenReadAndVerified) {
  Network net("net");
  Symbol x = net.input({5, 3}, "x");
  x = net.add(qkeras::QGRU{.units = 4,
                           .kernel_quantizer = "quantized_bits(4,0,1,alpha=1)",
                           .recurrent_quantizer = "quantized_bits(4,0,1,alpha=1)",
                           .state_quantizer = "quantized_bits(4,0,1)",
                           .return_sequences = true},
              x, "gru");
  net.output(x);
  net.initialize(3);
  const runtime::Program program = passes::compile(net.graph("eager")).program;
  ASSERT_EQ(program.loops.size(), 1U);
  EXPECT_LE(program.loops[0].last - program.loops[0].first, 3);
  EXPECT_EQ(runtime::deserialize(runtime::serialize(program)).to_text(), program.to_text());
  EXPECT_NE(program.to_text().find("5 steps"), std::string::npos);
  const auto broken = [&](const std::function<void(runtime::Loop&)>& change) {
    runtime::Program other = program;
    change(other.loops[0]);
    EXPECT_THROW(other.verify(), InternalError) << other.to_text();
  };
  broken([](runtime::Loop& l) { l.steps = 0; });
  broken([](runtime::Loop& l) { l.steps = 4; });
  broken([](runtime::Loop& l) { l.last = l.first - 1; });
  broken([](runtime::Loop& l) { l.states[0].after = l.states[0].before; });
  broken([](runtime::Loop& l) { l.states[0].constants_offset = 1; });
  broken([](runtime::Loop& l) { l.sequences[0].step = l.sequences[0].whole; });
  broken([](runtime::Loop& l) { l.sequences.clear(); });
}

TEST(Recurrent, StructsAreWhatTheImporterReads) {
  using namespace qkeras;
  Network net("net");
  const Symbol x = net.input({4, 3}, "x");
  const RNN stack{.cell = StackedRNNCells{.cells = {QLSTMCell{.units = 5}, QLSTMCell{.units = 2}}},
                  .return_sequences = true};
  EXPECT_EQ(to_string(net.add(stack, x, "stack").shape()), "[N, 4, 2]");
  const Bidirectional both{.layer = GRU{.units = 6}, .merge_mode = "sum"};
  EXPECT_EQ(to_string(net.add(both, x, "both").shape()), "[N, 6]");
  EXPECT_EQ(net.weights("both").size(), 6U);
  EXPECT_EQ(net.weights("both")[2].shape, (Extents{2, 18}));  // reset_after: two biases
  EXPECT_EQ(net.weights("stack")[3].name, "cell1/kernel");
}

TEST(Recurrent, SaysWhatIsWrong) {
  Network net("net");
  const Symbol x = net.input({4, 3}, "x");
  const auto add = [&](const std::string& class_name, const std::string& config) {
    return [&net, x, class_name, config] { (void)net.add(layer_of(class_name, config), x, "rnn"); };
  };
  testing::expect_user_error(add("QLSTM", "\"units\": 0"), {"rnn", "units"});
  testing::expect_user_error(add("QLSTM", "\"units\": 2, \"time_major\": true"), {"time_major"});
  testing::expect_user_error(add("QLSTM", "\"units\": 2, \"unknown\": 1"), {"unknown"});
  testing::expect_user_error(add("RNN", "\"cell\": {\"class_name\": \"MyCell\", \"config\": {}}"),
                             {"rnn", "QLSTMCell"});
  testing::expect_user_error(
      add("Bidirectional", "\"layer\": {\"class_name\": \"Dense\", \"config\": {\"units\": 2}}"),
      {"rnn", "LSTM"});
  const Symbol state = net.input({3}, "state");
  testing::expect_user_error(
      [&] { (void)net.add(layer_of("QLSTM", "\"units\": 3"), {x, state}, "rnn"); },
      {"rnn", "1 initial states, expected 2"});
}

}  // namespace
}  // namespace qloom
