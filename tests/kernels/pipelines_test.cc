// Every Halide pipeline against the reference kernel of its op: random nodes, equal bytes.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "jit/compiler.h"
#include "jit/halide_emit.h"
#include "kernels/kernels_table.h"
#include "tests/kernels/node_problem.h"

namespace qloom::testing {
namespace {

using kernels::KernelDef;

std::vector<const KernelDef*> pipelines() {
  std::vector<const KernelDef*> list;
  for (const KernelDef* kernel : kernels::all_kernels())
    if (kernel->pipeline != nullptr) list.push_back(kernel);
  return list;
}

struct Case {
  const KernelDef* kernel;
  NodeProblem problem;
  std::string symbol;
};

std::vector<Case> draw(uint64_t seed, size_t per_kernel) {
  std::mt19937_64 rng(seed);
  std::vector<Case> cases;
  for (const KernelDef* kernel : pipelines()) {
    size_t found = 0;
    for (size_t tries = 0; found < per_kernel && tries < 60 * per_kernel; ++tries) {
      auto problem = random_node({.op = kernel->node_op}, rng);
      if (!problem) continue;
      problem->spec.kernel = std::string(kernel->name);
      if (!kernel->takes(problem->spec)) continue;
      EXPECT_GT(kernel->node_ns(problem->spec), 0) << problem->name;
      cases.push_back({kernel, std::move(*problem), "p" + std::to_string(cases.size())});
      ++found;
    }
    EXPECT_EQ(found, per_kernel) << kernel->name << ": too few random nodes match";
  }
  return cases;
}

void check(const std::vector<Case>& cases, const jit::Target& target) {
  std::vector<jit::PipelineSource> sources;
  for (const Case& c : cases) sources.push_back(c.kernel->pipeline(c.problem.spec, c.symbol));
  const auto object = jit::pipeline_compiler().compile(sources, target);
  const auto code = jit::compiler().load(object, "pipelines");
  std::map<std::string_view, std::set<uint8_t>> seen;
  for (const Case& c : cases) {
    const auto function = reinterpret_cast<jit::KernelFunction>(code->symbol(c.symbol));
    ASSERT_NE(function, nullptr) << c.problem.name;
    const auto got = run_compiled(function, c.problem);
    const auto want = run_prepared(reference_of(*c.kernel->node_op), c.problem);
    for (size_t o = 0; o < want.size(); ++o) {
      EXPECT_EQ(first_difference(c.problem, o, got[o], want[o]), "")
          << c.kernel->name << " " << c.problem.name << "\n  output " << o;
      seen[c.kernel->name].insert(want[o].begin(), want[o].end());
    }
  }
  for (const auto& [name, bytes] : seen) EXPECT_GT(bytes.size(), 100U) << name;
}

class Pipelines : public ::testing::Test {
  void SetUp() override {
    if (const std::string missing = jit::pipelines_missing(); !missing.empty())
      GTEST_SKIP() << missing;
  }
};

TEST_F(Pipelines, SampleAgreesWithReference) { check(draw(20240607, 12), jit::Target::host()); }

TEST_F(Pipelines, PortableCodeAgreesWithReference) { check(draw(7, 6), jit::Target::portable()); }

/// With QLOOM_TEST_VERBOSE: the figures of the tables of measured times, and what Halide costs to
/// start.
TEST_F(Pipelines, PrintTimes) {
  if (std::getenv("QLOOM_TEST_VERBOSE") == nullptr) GTEST_SKIP() << "only with QLOOM_TEST_VERBOSE";
  auto cases = draw(99, 14);
  bool first = true;
  for (Case& c : cases) {
    const auto start = std::chrono::steady_clock::now();
    const jit::PipelineSource source = c.kernel->pipeline(c.problem.spec, c.symbol);
    const auto object = jit::pipeline_compiler().compile({&source, 1}, jit::Target::host());
    const std::chrono::duration<double, std::milli> compile =
        std::chrono::steady_clock::now() - start;
    const auto code = jit::compiler().load(object, "pipeline");
    const auto function = reinterpret_cast<jit::KernelFunction>(code->symbol(c.symbol));
    const KernelDef& reference = reference_of(*c.kernel->node_op);
    kernels::ReferenceSpec spec = c.problem.spec;
    spec.kernel = std::string(reference.name);
    const auto call = reference.prepare()(spec);
    NodeFrames frames(c.problem, true, call->scratch_bytes());
    NodeFrames plain(c.problem, false, call->scratch_bytes());
    const double fast = best_ns([&] { function(frames.pointers.data(), c.problem.samples, 0, 1); },
                                c.problem.samples),
                 slow = best_ns([&] { call->run(plain.pointers.data(), c.problem.samples); },
                                c.problem.samples);
    const auto elements = static_cast<double>(elements_per_sample(spec.results[0].shape));
    std::printf(
        "%s\n  %.1f ns (%.3f an element), predicted %.1f; reference %.1f ns (%.2f); %s %.0f ms\n",
        (std::string(c.kernel->name) + " " + c.problem.name).c_str(), fast, fast / elements,
        c.kernel->node_ns(c.problem.spec), slow, slow / elements,
        first ? "first compiled in" : "compiled in", compile.count());
    first = false;
  }
}

class PipelinesLong : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Part, PipelinesLong, ::testing::Range<uint64_t>(0, 4));

TEST_P(PipelinesLong, SweepAgreesWithReference) {
  if (const std::string missing = jit::pipelines_missing(); !missing.empty())
    GTEST_SKIP() << missing;
  check(draw(1000 + GetParam(), 100), jit::Target::host());
}

}  // namespace
}  // namespace qloom::testing
