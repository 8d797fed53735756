// Every emitted kernel of single nodes against the reference kernel of its op: random nodes, equal
// bytes, in each lowering.
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "jit/compiler.h"
#include "kernels/kernels_table.h"
#include "tests/kernels/node_problem.h"
#include "tests/support/interpreting_emitter.h"

namespace qloom::testing {
namespace {

using kernels::KernelDef;
using kernels::Query;

struct Case {
  const KernelDef* kernel;
  NodeProblem problem;
  Query query;
  [[nodiscard]] int64_t scratch(const jit::Target& target) const {
    return kernel->scratch_bytes == nullptr ? 0 : kernel->scratch_bytes(query, {}, target);
  }
};

std::vector<const KernelDef*> emitted() {
  std::vector<const KernelDef*> list;
  for (const KernelDef* kernel : kernels::all_kernels())
    if (kernel->emit != nullptr && !kernel->is_for_regions()) list.push_back(kernel);
  return list;
}

std::vector<Case> draw(uint64_t seed, size_t per_kernel) {
  std::mt19937_64 rng(seed);
  std::vector<Case> cases;
  for (const KernelDef* kernel : emitted()) {
    size_t found = 0;
    for (size_t tries = 0; found < per_kernel && tries < 20 * per_kernel; ++tries) {
      auto problem = random_node({.op = kernel->node_op}, rng);
      if (!problem) continue;
      problem->spec.kernel = std::string(kernel->name);
      if (!kernel->takes(problem->spec)) continue;
      Query query;
      query.name = "node";
      query.spec = std::make_shared<const kernels::ReferenceSpec>(problem->spec);
      cases.push_back({kernel, std::move(*problem), std::move(query)});
      ++found;
    }
    EXPECT_EQ(found, per_kernel) << kernel->name << ": too few random nodes match";
  }
  return cases;
}

void compare(const Case& c, const std::vector<std::vector<uint8_t>>& got, const char* where) {
  const auto want = run_prepared(reference_of(*c.kernel->node_op), c.problem);
  for (size_t o = 0; o < want.size(); ++o)
    ASSERT_EQ(first_difference(c.problem, o, got[o], want[o]), "")
        << c.kernel->name << " " << where << " " << c.problem.name << "\n  output " << o;
}

void check(const std::vector<Case>& cases, const jit::Target& target, const char* where) {
  std::vector<jit::FunctionSource> sources;
  for (size_t i = 0; i < cases.size(); ++i)
    sources.push_back(
        kernels::source_of(*cases[i].kernel, cases[i].query, {}, "node_" + std::to_string(i)));
  const auto object = jit::compiler().compile(sources, target, {});
  const auto code = jit::compiler().load(object.elf, "nodes");
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    const auto function =
        reinterpret_cast<jit::KernelFunction>(code->symbol("node_" + std::to_string(i)));
    ASSERT_NE(function, nullptr) << c.problem.name;
    EXPECT_GT(kernels::predicted_ns(*c.kernel, c.query, {}, target), 0) << c.problem.name;
    compare(c, run_compiled(function, c.problem, c.scratch(target)), where);
  }
}

TEST(Nodes, SampleAgreesWithReference) {
  ASSERT_GE(emitted().size(), 2U);
  check(draw(20261130, 40), jit::Target::host(), "host");
  check(draw(3, 30), jit::Target::avx2(), "avx2");
  check(draw(4, 30), jit::Target::portable(), "portable");
}

TEST(Nodes, InterpretedSampleAgreesWithReference) {
  jit::Target target;
  target.vector_bytes = 32;
  for (const Case& c : draw(5, 30)) {
    InterpretingEmitter e(target);
    c.kernel->emit(c.query, {}, e);
    NodeFrames frames(c.problem, true, c.scratch(target));
    e.run(frames.pointers.data(), c.problem.samples, 0, 1);
    compare(c, frames.take(c.problem), "interpreted");
  }
}

class NodesLong : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Part, NodesLong, ::testing::Range<uint64_t>(0, 4));

TEST_P(NodesLong, SweepAgreesWithReference) {
  check(draw(1000 + GetParam(), 300), jit::Target::host(), "host");
}

}  // namespace
}  // namespace qloom::testing
