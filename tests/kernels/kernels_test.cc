// Every emitted kernel × generated shapes × widths × tails × lowerings against plain integer loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <stdexcept>

#include "kernels/kernels_table.h"
#include "tests/kernels/sweep.h"
#include "tests/support/limits.h"

namespace qloom::testing {
namespace {

using kernels::KernelDef;
using kernels::Window;

void expect_no_differences(const Sweep& sweep, Lowering lowering) {
  const auto differences = run_jobs(sweep.jobs, lowering);
  for (size_t i = 0; i < differences.size() && i < 10; ++i) ADD_FAILURE() << differences[i];
  EXPECT_EQ(differences.size(), 0U) << "of " << sweep.jobs.size() << " jobs";
}

/// Parts, since tests run side by side; each draws its own problems.
class KernelsSample : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Part, KernelsSample, ::testing::Range<uint64_t>(0, 4));

/// Problems of each kernel. Emitters that interpret take ten times as long under sanitizers.
constexpr int kProblems = kSanitized ? 3 : 10;

TEST_P(KernelsSample, AgreesWithPlainLoops) {
  const Sweep sweep = make_sweep(sweep_seed() + GetParam(), kProblems, 1, 200000);
  for (const Lowering lowering : lowerings()) expect_no_differences(sweep, lowering);
}

/// Other variants, and kernels that need not prove what such targets do exactly.
TEST_P(KernelsSample, ForDotProductsAgreesWithPlainLoops) {
  const Sweep sweep = make_sweep(sweep_seed() + 100 + GetParam(), kProblems, 1, 200000,
                                 target_of(Lowering::interpreted_dot));
  for (const Lowering lowering : lowerings(true)) expect_no_differences(sweep, lowering);
}

/// Vectors of 16 bytes with dot products; tests/emulation runs the code that is made of it.
TEST_P(KernelsSample, ForNeonAgreesWithPlainLoops) {
  const Sweep sweep = make_sweep(sweep_seed() + 200 + GetParam(), 5, 1, 100000,
                                 target_of(Lowering::interpreted_neon));
  expect_no_differences(sweep, Lowering::interpreted_neon);
}

/// One way to stick out, common to all windows.
TEST(Kernels, WindowsThatAllStickOut) {
  ProblemSpec spec;
  spec.name = "one row below a 2×2 window";
  spec.window = conv_window(1, 14, 3, 8, 2, 2, 3, 1, 1, Pad::same);
  spec.input = spec.weights = Numeric::binary();
  Problem problem(spec);
  int matched = 0;
  for (const KernelDef* kernel : emitted_kernels()) {
    if (!kernel->match(problem.query())) continue;
    ++matched;
    const jit::Target target = target_of(Lowering::interpreted);
    for (const kernels::Variant& v : kernel->variants(problem.query_for(*kernel), target))
      EXPECT_TRUE(run_jobs({{kernel, &problem, v}}, Lowering::interpreted).empty())
          << kernel->name << " " << v.to_string();
  }
  EXPECT_GE(matched, 4);
}

/// Every variant of one kernel that looks up tables of constants: borders, strides, channels that
/// fill no vector, sums that fill bytes once and often, tails on words and on dwords.
TEST(Kernels, ConstantTables) {
  const KernelDef* kernel = kernels::find_kernel("conv_table_binary");
  ASSERT_NE(kernel, nullptr);
  const std::vector<Window> windows{conv_window(6, 7, 64, 64, 3, 3, 1, 1, 1, Pad::same),
                                    conv_window(5, 6, 20, 24, 3, 3, 1, 1, 1, Pad::same),
                                    conv_window(9, 8, 12, 40, 3, 2, 2, 1, 1, Pad::same),
                                    conv_window(7, 8, 28, 96, 3, 3, 1, 2, 1, Pad::same),
                                    conv_window(4, 5, 132, 16, 1, 1, 1, 1, 1, Pad::valid)};
  std::vector<std::unique_ptr<Problem>> problems;
  constexpr TailKind kTails[] = {TailKind::packed, TailKind::plain, TailKind::thresholds};
  for (const Numeric& weights : {Numeric::binary(), Numeric::ternary()})
    for (const Window& window : windows) {
      ProblemSpec spec;
      spec.window = window;
      spec.input = Numeric::binary();
      spec.weights = weights;
      spec.tail = kTails[problems.size() % 3];
      spec.seed = problems.size() + 1;
      spec.name = "constant tables " + std::to_string(problems.size());
      problems.push_back(std::make_unique<Problem>(spec));
    }
  for (const Lowering lowering : lowerings()) {
    std::vector<Job> jobs;
    for (const auto& problem : problems) {
      ASSERT_TRUE(kernel->match(problem->query())) << problem->spec().name;
      const kernels::Query& query = problem->query_for(*kernel);
      for (const kernels::Variant& v : kernel->variants(query, target_of(lowering)))
        jobs.push_back({kernel, problem.get(), v});
    }
    for (const std::string& difference : run_jobs(jobs, lowering)) ADD_FAILURE() << difference;
  }
}

/// Variants that are emitted without AVX-512 on a target that has it.
TEST(Kernels, TablesWithoutAvx512) {
  for (const char* name : {"conv_table_exact", "conv_table_dual"}) {
    const KernelDef* kernel = kernels::find_kernel(name);
    ASSERT_NE(kernel, nullptr);
    std::vector<std::unique_ptr<Problem>> problems;
    for (const Window& window : {conv_window(9, 8, 36, 40, 3, 3, 1, 1, 1, Pad::same),
                                 conv_window(7, 11, 20, 24, 3, 3, 2, 1, 1, Pad::valid)})
      for (const TailKind tail : {TailKind::packed, TailKind::plain, TailKind::thresholds}) {
        ProblemSpec spec;
        spec.window = window;
        spec.input = problems.size() % 2 == 0 ? Numeric::binary() : Numeric::fixed(2, 0, false);
        spec.weights = Numeric::binary();
        spec.tail = tail;
        spec.target = target_of(Lowering::interpreted_dot);
        spec.seed = problems.size() + 1;
        spec.name = "tables without AVX-512 " + std::to_string(problems.size());
        problems.push_back(std::make_unique<Problem>(spec));
      }
    for (const Lowering lowering : lowerings(true)) {
      std::vector<Job> jobs;
      for (const auto& problem : problems) {
        if (!kernel->match(problem->query())) continue;  // 2 bits: no nibbles
        const kernels::Query& query = problem->query_for(*kernel);
        for (const kernels::Variant& v : kernel->variants(query, target_of(lowering)))
          if (v.without_avx512) jobs.push_back({kernel, problem.get(), v});
      }
      EXPECT_GE(jobs.size(), problems.size()) << name << " " << to_string(lowering);
      for (const std::string& difference : run_jobs(jobs, lowering)) ADD_FAILURE() << difference;
    }
  }
}

/// Every variant of one kernel on dense layers: channels that fill steps, parts and vectors or not.
TEST(Kernels, PackedWeightsOfDenseLayers) {
  const KernelDef* kernel = kernels::find_kernel("dense_packed");
  ASSERT_NE(kernel, nullptr);
  const std::vector<Numeric> inputs{Numeric::fixed(4, 0, false), Numeric::fixed(8, 0, false),
                                    Numeric::fixed(2, 0, false), Numeric::fixed(4, 0, true),
                                    Numeric::fixed(2, 0, true)};
  const std::vector<Numeric> weights{Numeric::fixed(4, 0, true), Numeric::fixed(2, 0, true),
                                     Numeric::ternary(), Numeric::integers(-3, 10, 0)};
  for (const bool dot : {false, true})
    for (const Lowering lowering : lowerings(dot)) {
      std::vector<std::unique_ptr<Problem>> problems;
      std::vector<Job> jobs;
      for (const int64_t c : {1, 30, 64, 130, 261}) {
        ProblemSpec spec;
        spec.window = dense_window(c, c % 3 == 0 ? 150 : 21);
        if (dot) spec.target = target_of(Lowering::interpreted_dot);
        for (size_t i = 0; i < inputs.size(); ++i) {
          spec.input = inputs[i];
          spec.weights = weights[(i + problems.size()) % weights.size()];
          spec.tail = problems.size() % 2 == 0 ? TailKind::plain : TailKind::bits;
          spec.seed = problems.size() + 1;
          spec.name = "dense " + std::to_string(c) + " " + spec.input.to_string() + "·" +
                      spec.weights.to_string();
          problems.push_back(std::make_unique<Problem>(spec));
          Problem& problem = *problems.back();
          ASSERT_TRUE(kernel->match(problem.query())) << spec.name;
          for (const kernels::Variant& v :
               kernel->variants(problem.query_for(*kernel), target_of(lowering)))
            jobs.push_back({kernel, &problem, v});
        }
      }
      for (const std::string& difference : run_jobs(jobs, lowering)) ADD_FAILURE() << difference;
    }
}

/// Weights beyond a byte, most of which are a byte times a power of two: conv_pairs on bytes.
TEST(Kernels, SparseRestsOfPowersOfTwo) {
  const KernelDef* kernel = kernels::find_kernel("conv_pairs");
  ASSERT_NE(kernel, nullptr);
  std::vector<std::unique_ptr<Problem>> problems;
  for (const int least : {-7, -8})
    for (const Window& window :
         {conv_window(5, 5, 16, 33, 3, 3, 1, 1, 1, Pad::same), dense_window(130, 21),
          conv_window(9, 1, 24, 40, 2, 1, 2, 1, 1, Pad::valid),
          conv_window(6, 6, 20, 16, 3, 3, 1, 2, 1, Pad::same)}) {
      ProblemSpec spec;
      spec.window = window;
      spec.weights = Numeric::power_of_two(least, 0, true);
      spec.input = problems.size() % 2 == 0 ? Numeric::fixed(8, 0, false)
                                            : Numeric::fixed(problems.size() % 3 + 2, 0, true);
      spec.tail = problems.size() % 2 == 0 ? TailKind::plain : TailKind::thresholds;
      spec.target = target_of(Lowering::interpreted_dot);
      spec.seed = problems.size() + 1;
      spec.name = "rests " + std::to_string(problems.size());
      problems.push_back(std::make_unique<Problem>(spec));
    }
  for (const Lowering lowering : lowerings(true)) {
    std::vector<Job> jobs;
    size_t as_bytes = 0;
    for (const auto& problem : problems) {
      const kernels::Query& query = problem->query_for(*kernel);
      if (query.input_storage.kind != kernels::Storage::Kind::bytes) continue;
      ++as_bytes;
      for (const kernels::Variant& v : kernel->variants(query, target_of(lowering)))
        jobs.push_back({kernel, problem.get(), v});
    }
    EXPECT_GE(as_bytes, 4U);
    for (const std::string& difference : run_jobs(jobs, lowering)) ADD_FAILURE() << difference;
  }
}

/// Tiles of 4×4 outputs: images that they fill and that they do not, planes in several bands,
/// channels that fill no vector, the largest transformed weights.
TEST(Kernels, WinogradOnWords) {
  const KernelDef* kernel = kernels::find_kernel("conv_winograd_4x4");
  ASSERT_NE(kernel, nullptr);
  const auto window = [](int64_t h, int64_t w, int64_t c, int64_t n, Pad pad, int64_t stride = 1) {
    return conv_window(h, w, c, n, 3, 3, stride, 1, 1, pad);
  };
  const std::vector<Window> windows{
      window(6, 6, 3, 20, Pad::valid),     window(9, 14, 5, 19, Pad::same),
      window(8, 8, 17, 8, Pad::same),      window(5, 13, 16, 33, Pad::same),
      window(14, 6, 2, 70, Pad::valid),    window(12, 40, 70, 2, Pad::same),
      window(8, 8, 5, 19, Pad::same, 2),   window(9, 23, 18, 8, Pad::valid, 2),
      window(13, 10, 3, 33, Pad::same, 2), window(24, 40, 70, 2, Pad::same, 2)};
  const std::vector<Numeric> weights{Numeric::fixed(8, 0, true), Numeric::power_of_two(-7, 0, true),
                                     Numeric::integers(-668, 668, 0),
                                     Numeric::integers(668, 668, 0),
                                     Numeric::integers(-668, -668, 0)};
  const std::vector<Numeric> inputs{Numeric::fixed(8, 0, false), Numeric::fixed(8, 0, true),
                                    Numeric::fixed(4, 0, true)};
  std::vector<std::unique_ptr<Problem>> problems;
  for (size_t i = 0; i < windows.size(); ++i)
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (k > 0 && windows[i].macs() > 500'000) continue;
      ProblemSpec spec;
      spec.window = windows[i];
      spec.weights = weights[(i + k) % weights.size()];
      spec.input = inputs[k];
      spec.tail = k == 0 ? TailKind::plain : TailKind::residual;
      spec.seed = problems.size() + 1;
      spec.name = "tiles " + std::to_string(problems.size());
      problems.push_back(std::make_unique<Problem>(spec));
      ASSERT_EQ(kernel->match(problems.back()->query()).reason(), "") << spec.name;
    }
  for (const bool dot : {false, true})
    for (const Lowering lowering : lowerings(dot)) {
      std::vector<Job> jobs;
      for (const auto& problem : problems)
        for (const kernels::Variant& v :
             kernel->variants(problem->query_for(*kernel), target_of(lowering)))
          jobs.push_back({kernel, problem.get(), v});
      for (const std::string& difference : run_jobs(jobs, lowering)) ADD_FAILURE() << difference;
    }
}

/// Weights in the code: windows that stick out or leave gaps, fewer and more samples than lanes,
/// all storages of results, digits of one and two bits.
TEST(Kernels, OutputsInTheLanes) {
  const KernelDef* kernel = kernels::find_kernel("conv_lanes");
  ASSERT_NE(kernel, nullptr);
  const std::vector<Numeric> weights{Numeric::ternary(), Numeric::binary(),
                                     Numeric::fixed(2, 0, true), Numeric::integers(-1, 2, 0)};
  const std::vector<Numeric> inputs{Numeric::fixed(4, 0, false), Numeric::fixed(2, 0, true),
                                    Numeric::binary(), Numeric::fixed(1, 0, false),
                                    Numeric::fixed(5, 0, true)};
  struct Shape {
    Window window;
    int64_t count;
  };
  const std::vector<Shape> shapes{{conv_window(32, 32, 4, 9, 3, 3, 1, 1, 1, Pad::same), 1},
                                  {conv_window(16, 16, 3, 17, 3, 3, 2, 1, 1, Pad::same), 5},
                                  {conv_window(8, 8, 18, 6, 3, 3, 1, 1, 1, Pad::same), 9},
                                  {conv_window(9, 40, 2, 5, 5, 5, 1, 2, 1, Pad::same), 2},
                                  {conv_window(7, 9, 5, 3, 2, 3, 3, 1, 1, Pad::valid), 31},
                                  {conv_window(5, 6, 16, 2, 5, 6, 1, 1, 1, Pad::valid), 65},
                                  {conv_window(1, 70, 3, 4, 1, 5, 1, 3, 1, Pad::causal), 3},
                                  {conv_window(33, 35, 7, 10, 1, 1, 2, 1, 1, Pad::valid), 3},
                                  {dense_window(33, 20), 1},
                                  {dense_window(16, 33), 31},
                                  {dense_window(64, 5), 64},
                                  {dense_window(7, 16), 65},
                                  {dense_window(20, 1), 200}};
  for (const bool dot : {false, true})
    for (const Lowering lowering : lowerings(dot)) {
      std::vector<std::unique_ptr<Problem>> problems;
      std::vector<Job> jobs;
      for (const Shape& shape : shapes)
        for (int k = 0; k < 3; ++k) {
          const size_t i = problems.size();
          ProblemSpec spec;
          spec.window = shape.window;
          spec.count = shape.count;
          if (dot) spec.target = target_of(Lowering::interpreted_dot);
          spec.weights = weights[i % weights.size()];
          spec.input = inputs[i % inputs.size()];
          spec.tail = static_cast<TailKind>(i % kTailKinds);
          spec.seed = i + 1;
          spec.name = "lanes " + std::to_string(i) + " " + spec.input.to_string() + "·" +
                      spec.weights.to_string() + " tail " +
                      std::to_string(static_cast<int>(spec.tail));
          problems.push_back(std::make_unique<Problem>(spec));
          Problem& problem = *problems.back();
          const Verdict verdict = kernel->match(problem.query());
          ASSERT_TRUE(verdict) << spec.name << ": " << verdict.reason();
          const auto variants = kernel->variants(problem.query_for(*kernel), target_of(lowering));
          jobs.push_back({kernel, &problem, i % 2 == 0 ? variants.front() : variants.back()});
        }
      EXPECT_GE(jobs.size(), shapes.size() * 2);
      for (const std::string& difference : run_jobs(jobs, lowering)) ADD_FAILURE() << difference;
    }
}

/// Parts and blocks of channels that are full or not, every way to weight them.
TEST(Kernels, WideTables) {
  const KernelDef* kernel = kernels::find_kernel("conv_table_wide");
  ASSERT_NE(kernel, nullptr);
  const std::vector<Window> windows{conv_window(8, 8, 64, 64, 3, 3, 1, 1, 1, Pad::same),
                                    conv_window(6, 7, 31, 33, 3, 3, 2, 1, 1, Pad::same),
                                    conv_window(5, 9, 30, 96, 3, 2, 1, 2, 1, Pad::same),
                                    conv_window(7, 5, 61, 10, 1, 1, 1, 1, 1, Pad::valid),
                                    conv_window(1, 14, 7, 40, 1, 4, 1, 1, 1, Pad::causal)};
  const std::vector<Numeric> weights{Numeric::ternary(), Numeric::binary(), Numeric::bit(),
                                     Numeric::integers(-1, 0, 0)};
  const std::vector<Numeric> inputs{Numeric::fixed(4, 0, false), Numeric::fixed(2, 0, true),
                                    Numeric::fixed(5, 0, true)};
  for (const Lowering lowering : lowerings(true)) {
    std::vector<std::unique_ptr<Problem>> problems;
    std::vector<Job> jobs;
    for (const Window& window : windows)
      for (const Numeric& numeric : weights) {
        ProblemSpec spec;
        spec.window = window;
        spec.target = target_of(Lowering::interpreted_dot);
        spec.weights = numeric;
        spec.input = inputs[problems.size() % inputs.size()];
        spec.tail = static_cast<TailKind>(problems.size() % kTailKinds);
        spec.seed = problems.size() + 1;
        spec.name = "wide " + std::to_string(problems.size());
        problems.push_back(std::make_unique<Problem>(spec));
        Problem& problem = *problems.back();
        const Verdict verdict = kernel->match(problem.query());
        ASSERT_TRUE(verdict) << spec.name << ": " << verdict.reason();
        const auto variants = kernel->variants(problem.query_for(*kernel), target_of(lowering));
        jobs.push_back({kernel, &problem, variants.front()});
        jobs.push_back({kernel, &problem, variants[problems.size() % variants.size()]});
      }
    for (const std::string& difference : run_jobs(jobs, lowering)) ADD_FAILURE() << difference;
  }
}

class KernelsLong : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Part, KernelsLong, ::testing::Range<uint64_t>(0, 8));

TEST_P(KernelsLong, SweepAgreesWithPlainLoops) {
  const Sweep sweep = make_sweep(sweep_seed() + 1 + GetParam(), 100, 2, 2000000);
  for (const Lowering lowering : lowerings())
    if (lowering != Lowering::interpreted || GetParam() == 0)
      expect_no_differences(sweep, lowering);
  const Sweep dots = make_sweep(sweep_seed() + 101 + GetParam(), 100, 2, 2000000,
                                target_of(Lowering::interpreted_dot));
  for (const Lowering lowering : lowerings(true))
    if (lowering != Lowering::interpreted_dot || GetParam() == 0)
      expect_no_differences(dots, lowering);
}

}  // namespace
}  // namespace qloom::testing
