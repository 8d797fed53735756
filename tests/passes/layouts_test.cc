// Kernels and storages of whole networks: no way of pinning kernels is predicted to be faster than
// what is chosen.
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "graph/builder.h"
#include "graph/quantizer.h"
#include "passes/choose/select_kernels.h"
#include "passes/compile.h"
#include "tests/passes/networks.h"
#include "tests/passes/run_model.h"

namespace qloom::test {
namespace {

const std::string kBinary = "binary(alpha=1)", kW4 = "quantized_bits(4,0,1,alpha=1)";

ValueId conv(Builder& b, ValueId x, const std::string& weights, Extents kernel, uint64_t seed,
             const std::string& name) {
  b.set_layer(name, "QConv2D");
  return b.conv(
      x,
      b.apply(parse_quantizer(weights),
              b.constant(name + "_w", random_tensor(std::move(kernel), seed)), name + "_q"),
      {.padding = ops::Padding::same}, name);
}

ValueId sign(Builder& b, ValueId x, const std::string& name) {
  b.set_layer(name, "QActivation");
  return b.apply(parse_quantizer(kBinary), x, name);
}

/// A binary value that binary convs read (packed bits or bytes) and `wide` 4-bit ones (bytes).
Graph readers(int64_t channels, int binary, int wide) {
  Builder b("readers");
  ValueId x = b.input("image", {Dim::batch(), 6, 6, 8});
  x = b.apply(parse_quantizer(kW4), x, "in_q");
  x = sign(b, conv(b, x, kW4, {3, 3, 8, channels}, 1, "first"), "act");
  for (int i = 0; i < binary + wide; ++i) {
    const std::string name = (i < binary ? "binary" : "wide") + std::to_string(i);
    ValueId y = conv(b, x, i < binary ? kBinary : kW4, {1, 1, channels, 8},
                     static_cast<uint64_t>(i) + 2, name);
    y = sign(b, y, name + "_act");
    y = conv(b, y, kBinary, {3, 3, 8, 8}, static_cast<uint64_t>(i) + 20, name + "_next");
    b.output(name + "_out", y);
  }
  return b.finish();
}

struct Chosen {
  double total = 0;
  passes::Selection selection;
};

Chosen choose(const Graph& graph, const passes::CompileOptions& options = {}) {
  Graph copy = graph.clone();
  passes::run_passes(copy, passes::inference_pipeline(), {});
  std::vector<std::string> notes;
  Chosen chosen{0, passes::select_kernels(copy, options, notes)};
  for (const passes::Selected& call : chosen.selection.calls)
    chosen.total += call.choices.front().predicted_ns;
  return chosen;
}

/// Regions with kernels that want different storages.
std::vector<const passes::Selected*> open_regions(const Chosen& chosen) {
  std::vector<const passes::Selected*> out;
  for (const passes::Selected& call : chosen.selection.calls)
    if (std::ranges::count_if(call.report.candidates,
                              [](const passes::Candidate& c) { return c.matches; }) > 1)
      out.push_back(&call);
  return out;
}

class Layouts : public ::testing::TestWithParam<std::tuple<int64_t, int, int>> {
 protected:
  static Graph graph() {
    const auto [channels, binary, wide] = GetParam();
    return readers(channels, binary, wide);
  }
};

TEST_P(Layouts, NoPinsArePredictedToBeFaster) {
  const Chosen chosen = choose(graph());
  const auto open = open_regions(chosen);
  ASSERT_FALSE(open.empty());
  // Every combination for some regions; the others as the selection likes.
  constexpr size_t kMost = 60;
  std::vector<std::vector<std::string>> kernels;
  size_t combinations = 1;
  for (const passes::Selected* region : open) {
    std::vector<std::string> some;
    for (const passes::Candidate& c : region->report.candidates)
      if (c.matches) some.push_back(c.kernel);
    if (combinations * some.size() > kMost) break;
    combinations *= some.size();
    kernels.push_back(std::move(some));
  }
  double least = 1e300;
  for (size_t k = 0; k < combinations; ++k) {
    passes::CompileOptions options;
    size_t rest = k;
    for (size_t i = 0; i < kernels.size(); ++i) {
      options.pinned.emplace_back(open[i]->name, kernels[i][rest % kernels[i].size()]);
      rest /= kernels[i].size();
    }
    least = std::min(least, choose(graph(), options).total);
  }
  EXPECT_LE(chosen.total, least * 1.000001);
  EXPECT_GE(chosen.total, least * 0.999999) << "the choice itself is one of the combinations";
}

TEST_P(Layouts, AlternativesSayWhatTheyWouldCost) {
  const Chosen chosen = choose(graph());
  int inputs = 0;
  for (const passes::Selected* call : open_regions(chosen))
    for (const passes::LayoutAlternative& a : call->report.alternatives) {
      EXPECT_GE(a.more_ns, -1e-6) << call->name << ": " << a.what;
      if (!a.what.starts_with("input as")) continue;
      ++inputs;
      // The same by pinning: the least over the kernels that want that storage.
      double least = 1e300;
      for (const passes::Candidate& c : call->report.candidates) {
        if (!c.matches) continue;
        passes::CompileOptions options;
        options.pinned = {{call->name, c.kernel}};
        const Chosen pinned = choose(graph(), options);
        for (const passes::Selected& other : pinned.selection.calls)
          if (other.name == call->name &&
              a.what == "input as " + other.inputs[0].storage.to_string())
            least = std::min(least, pinned.total);
      }
      EXPECT_NEAR(a.more_ns, least - chosen.total, 1e-6 * least) << call->name << ": " << a.what;
    }
  EXPECT_GT(inputs, 0);
}

TEST_P(Layouts, ComputeTheSame) {
  const Graph network = graph();
  const auto inputs = random_inputs(network, 3, 5);
  const auto compiled = passes::compile(network.clone());
  const auto got = run_model(compiled, inputs, 3);
  const auto want = reference(network, inputs);
  for (size_t i = 0; i < want.size(); ++i)
    expect_equal(got[i], want[i], "output " + std::to_string(i));
}

INSTANTIATE_TEST_SUITE_P(Readers, Layouts,
                         ::testing::Values(std::tuple{64, 2, 1}, std::tuple{64, 1, 2},
                                           std::tuple{16, 3, 0}, std::tuple{24, 1, 1},
                                           std::tuple{128, 2, 0}));

TEST(LayoutsOfOneNetwork, AreTheSameEachTime) {
  // Two selections of one network agree: nothing depends on addresses or time.
  const Graph network = readers(64, 3, 2);
  const Chosen a = choose(network), b = choose(network);
  ASSERT_EQ(a.selection.calls.size(), b.selection.calls.size());
  for (size_t i = 0; i < a.selection.calls.size(); ++i) {
    EXPECT_EQ(a.selection.calls[i].report.kernel, b.selection.calls[i].report.kernel);
    EXPECT_EQ(a.selection.calls[i].report.output, b.selection.calls[i].report.output);
    EXPECT_EQ(a.selection.calls[i].report.inputs, b.selection.calls[i].report.inputs);
  }
}

}  // namespace
}  // namespace qloom::test
