// Layers that keep their state: one executor, and an interpreter with a state, call after call.
#include <gtest/gtest.h>

#include <cmath>

#include "bindings/cpp/qloom.h"
#include "graph/interpret.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "tests/cpp/layer_of.h"
#include "tests/support/random_graph.h"

namespace qloom {
namespace {

using test::layer_of;

constexpr int64_t kSteps = 3, kFeatures = 2;

// `units` is 3; `arguments` are the layer's besides.
Graph stateful(const std::string& class_name, const std::string& arguments, bool masked = false) {
  Network net("net");
  Symbol x = net.input({kSteps, kFeatures}, "x");
  if (masked) x = net.add(layer_of("Masking", ""), x);
  net.output(net.add(layer_of(class_name, arguments), x, "rnn"));
  net.initialize(3);
  return net.graph("eager");
}

std::string lstm(const std::string& more) {
  return "\"units\": 3, \"stateful\": true, \"kernel_quantizer\": "
         "\"quantized_bits(4,0,1,alpha=1)\", "
         "\"recurrent_quantizer\": \"quantized_bits(4,0,1,alpha=1)\", \"state_quantizer\": "
         "\"quantized_bits(4,0,1)\", \"activation\": \"quantized_tanh(4)\"" +
         more;
}

Tensor drawn(testing::Random& r, int64_t samples) {
  std::vector<float> values(static_cast<size_t>(samples * kSteps * kFeatures));
  for (float& v : values) v = r.chance(30) ? 0.0F : static_cast<float>(r.integer(-16, 16)) / 8;
  return Tensor({samples, kSteps, kFeatures}, std::move(values));
}

struct Running {
  explicit Running(const Graph& graph, runtime::ExecutorOptions options = {})
      : compiled(passes::compile(graph.clone())), executor(compiled.model, options) {}
  Status run(const Tensor& x, std::vector<float>& y) {
    const int64_t samples = x.extents()[0];
    y.assign(static_cast<size_t>(samples * elements_per_sample(compiled.program.outputs[0].shape)),
             -9);
    const std::span<const float> in[] = {x.f32()};
    const std::span<float> out[] = {y};
    return executor.run(in, out, samples);
  }
  passes::Compilation compiled;
  runtime::Executor executor;
};

// Calls of one executor against an interpreter; both keep their state.
void check(const Graph& graph, runtime::ExecutorOptions options = {}) {
  testing::Random r(5);
  Running running(graph, options);
  EvaluationOptions evaluation = graph.options();
  evaluation.evaluation = Evaluation::canonical;
  State state;
  std::vector<float> y, first;
  for (int call = 0; call < 4; ++call) {
    const Tensor x = drawn(r, 9);
    const Tensor want = to_f32(interpret(graph, std::vector{x}, evaluation, {}, &state)[0]);
    ASSERT_TRUE(running.run(x, y).ok());
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_NEAR(y[i], want.f32()[i], 1e-6) << "call " << call << ", element " << i;
    for (const auto& [name, value] : state) {
      const auto kept = running.executor.state(name);
      ASSERT_EQ(std::ssize(kept), value.size()) << name;
      for (size_t i = 0; i < kept.size(); ++i) ASSERT_NEAR(kept[i], value.f32()[i], 1e-6) << name;
    }
  }
}

TEST(States, ExecutorsKeepThemAsTheInterpreterDoes) {
  check(stateful("QLSTM", lstm("")));
  check(stateful("QLSTM", lstm(", \"return_sequences\": true")), {.threads = 2, .tile = 2});
  check(stateful("QGRU", lstm(", \"go_backwards\": true")));
  check(stateful("SimpleRNN", "\"units\": 3, \"stateful\": true"));
  check(stateful("QSimpleRNN", lstm(", \"return_sequences\": true"), /*masked=*/true));
  check(stateful("LSTM", "\"units\": 3, \"stateful\": true", /*masked=*/true));
  check(stateful("Bidirectional",
                 "\"layer\": {\"class_name\": \"GRU\", \"config\": "
                 "{\"units\": 3, \"stateful\": true}}"));
  check(stateful("RNN",
                 "\"stateful\": true, \"cell\": {\"class_name\": \"StackedRNNCells\", "
                 "\"config\": {\"cells\": [{\"class_name\": \"LSTMCell\", \"config\": "
                 "{\"units\": 4}}, {\"class_name\": \"GRUCell\", \"config\": "
                 "{\"units\": 2}}]}}"));
}

TEST(States, StartAgainWhenTheyAreReset) {
  Running running(stateful("QLSTM", lstm("")));
  EXPECT_EQ(running.executor.states(), (std::vector<std::string>{"rnn/state0", "rnn/state1"}));
  EXPECT_TRUE(running.executor.state("rnn/state0").empty());
  testing::Random r(7);
  const Tensor x = drawn(r, 5);
  std::vector<float> first, second, again;
  ASSERT_TRUE(running.run(x, first).ok());
  EXPECT_EQ(running.executor.state("rnn/state0").size(), 15U);
  EXPECT_TRUE(running.executor.state("rnn/state2").empty());
  ASSERT_TRUE(running.run(x, second).ok());
  EXPECT_NE(first, second);
  running.executor.reset_states();
  ASSERT_TRUE(running.run(x, again).ok());
  EXPECT_EQ(first, again);
}

TEST(States, StayAsTheyWereWhereARunFails) {
  Running running(stateful("QLSTM", lstm("")));
  testing::Random r(7);
  const Tensor x = drawn(r, 5), fewer = drawn(r, 4);
  std::vector<float> y, want, nobody;
  ASSERT_TRUE(running.run(x, y).ok());
  const auto kept = running.executor.state("rnn/state1");
  const std::vector<float> before(kept.begin(), kept.end());
  const Status status = running.run(fewer, nobody);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("5 samples, given are 4"), std::string::npos);
  std::vector<float> bad(x.f32().begin(), x.f32().end());
  bad[8] = NAN;
  Network net("net");
  // A quantizer at the input refuses NaN.
  Symbol q = net.input({kSteps, kFeatures}, "x");
  q = net.add(layer_of("QActivation", "\"activation\": \"quantized_bits(6,2,1,alpha=1)\""), q);
  net.output(net.add(layer_of("QLSTM", lstm("")), q, "rnn"));
  net.initialize(3);
  Running other(net.graph("eager"));
  ASSERT_TRUE(other.run(x, y).ok());
  const auto now = other.executor.state("rnn/state0");
  const std::vector<float> of_other(now.begin(), now.end());
  EXPECT_FALSE(other.run(Tensor(x.extents(), std::move(bad)), nobody).ok());
  const auto then = other.executor.state("rnn/state0");
  EXPECT_TRUE(std::equal(then.begin(), then.end(), of_other.begin()));
  const auto still = running.executor.state("rnn/state1");
  EXPECT_TRUE(std::equal(still.begin(), still.end(), before.begin()));
}

TEST(States, ProgramsAreWrittenAndReadWithThem) {
  const passes::Compilation compiled = passes::compile(stateful("QLSTM", lstm("")));
  ASSERT_EQ(compiled.program.inputs.size(), 1U);
  ASSERT_EQ(compiled.program.outputs.size(), 1U);
  ASSERT_EQ(compiled.program.kept.size(), 2U);
  const runtime::Program copy = runtime::deserialize(runtime::serialize(compiled.program));
  EXPECT_EQ(copy.to_text(), compiled.program.to_text());
  EXPECT_EQ(copy.kept[1].initial, (std::vector<float>{0, 0, 0}));
  runtime::Program broken = compiled.program;
  broken.kept[0].initial.pop_back();
  EXPECT_THROW(broken.verify(), InternalError);
}

}  // namespace
}  // namespace qloom
