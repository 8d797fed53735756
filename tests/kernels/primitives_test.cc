// Every primitive of oneDNN against the reference kernel of its op: random nodes in float32, equal
// within what another order of summation may change.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>
#include <thread>

#include "graph/support/float_environment.h"
#include "kernels/kernels_table.h"
#include "tests/kernels/node_problem.h"

namespace qloom::testing {
namespace {

using kernels::KernelDef;

std::vector<const KernelDef*> primitives() {
  std::vector<const KernelDef*> list;
  for (const KernelDef* kernel : kernels::all_kernels())
    if (kernel->primitive != nullptr) list.push_back(kernel);
  return list;
}

std::optional<NodeProblem> draw(const KernelDef& kernel, std::mt19937_64& rng) {
  auto problem =
      random_node({.op = kernel.node_op, .only_floats = true, .special_values = false}, rng);
  if (problem) problem->spec.kernel = std::string(kernel.name);
  return problem && kernel.takes(problem->spec) ? std::move(problem) : std::nullopt;
}

/// The samples that were drawn, again and again until there are as many as `samples` says.
void repeat(NodeProblem& problem) {
  const int64_t bytes =
      kernels::bytes_per_sample(problem.spec.operands[0].shape, kernels::Storage::f32());
  std::vector<uint8_t>& data = problem.inputs[0];
  const size_t drawn = data.size();
  data.resize(static_cast<size_t>(problem.samples * bytes));
  for (size_t i = drawn; i < data.size(); ++i) data[i] = data[i - drawn];
}

class Primitives : public ::testing::Test {
  void SetUp() override {
    if (primitives().empty()) GTEST_SKIP() << "built without oneDNN";
    for (const KernelDef* kernel : primitives()) ASSERT_EQ(kernel->missing(), "") << kernel->name;
  }
};

TEST_F(Primitives, SampleAgreesWithReference) {
  std::mt19937_64 rng(20240607);
  for (const KernelDef* kernel : primitives()) {
    EXPECT_TRUE(kernel->reorders_sums) << kernel->name;
    int found = 0;
    std::set<uint8_t> seen;
    for (int tries = 0; found < 40 && tries < 400; ++tries) {
      auto problem = draw(*kernel, rng);
      if (!problem) continue;
      ++found;
      problem->samples += found % 5 == 0 ? 70 : found % 5 == 1 ? 16 : 0;
      repeat(*problem);
      const auto got = run_prepared(*kernel, *problem);
      const auto want = run_prepared(reference_of(*kernel->node_op), *problem);
      EXPECT_EQ(first_difference(*problem, 0, got[0], want[0], 1e-5), "")
          << kernel->name << " " << problem->name;
      EXPECT_GT(kernel->node_ns(problem->spec), 0) << problem->name;
      seen.insert(want[0].begin(), want[0].end());
    }
    EXPECT_EQ(found, 40) << kernel->name << ": too few random nodes match";
    EXPECT_GT(seen.size(), 100U) << kernel->name;
  }
}

TEST_F(Primitives, ThreadsShareACall) {
  std::mt19937_64 rng(5);
  const KernelDef& kernel = *kernels::find_kernel("onednn_conv");
  auto problem = draw(kernel, rng);
  while (!problem || problem->samples < 4) problem = draw(kernel, rng);
  const auto call = kernel.prepare()(problem->spec);
  const auto want = run_prepared(kernel, *problem);
  std::vector<std::vector<uint8_t>> got(4);
  std::vector<std::thread> threads;
  for (auto& bytes : got)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        NodeFrames frames(*problem, false, call->scratch_bytes());
        call->run(frames.pointers.data(), problem->samples);
        bytes = frames.take(*problem)[0];
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& bytes : got) EXPECT_EQ(bytes, want[0]);
}

/// With QLOOM_TEST_VERBOSE: what the tables of costs say, measured.
TEST_F(Primitives, PrintTimes) {
  if (std::getenv("QLOOM_TEST_VERBOSE") == nullptr) GTEST_SKIP() << "only with QLOOM_TEST_VERBOSE";
  std::mt19937_64 rng(99);
  for (const KernelDef* kernel : primitives())
    for (int i = 0; i < 14;) {
      auto problem = draw(*kernel, rng);
      if (!problem) continue;
      ++i;
      problem->samples = 16;
      repeat(*problem);
      const KernelDef& reference = reference_of(*kernel->node_op);
      kernels::ReferenceSpec spec = problem->spec;
      spec.kernel = std::string(reference.name);
      const auto fast = kernel->prepare()(problem->spec), slow = reference.prepare()(spec);
      NodeFrames a(*problem, false, fast->scratch_bytes()),
          b(*problem, false, slow->scratch_bytes());
      const double fast_ns = best_ns([&] { fast->run(a.pointers.data(), problem->samples); },
                                     problem->samples),
                   slow_ns = best_ns([&] { slow->run(b.pointers.data(), problem->samples); },
                                     problem->samples);
      const auto elements = static_cast<double>(elements_per_sample(spec.results[0].shape));
      std::printf(
          "%s %s\n  %.1f ns (%.3f an element), predicted %.1f; reference %.1f ns (%.2f); 0 ms\n",
          std::string(kernel->name).c_str(), problem->name.c_str(), fast_ns, fast_ns / elements,
          kernel->node_ns(problem->spec), slow_ns, slow_ns / elements);
    }
}

}  // namespace
}  // namespace qloom::testing
