// Functions of dense layers one behind the other against plain loops, every access checked.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "tests/kernels/dense_run_problem.h"
#include "tests/kernels/sweep.h"
#include "tests/support/interpreting_emitter.h"

namespace qloom::testing {
namespace {

constexpr int64_t kSamples = 1024;  // two tiles or more of each function

std::vector<std::unique_ptr<DenseRunProblem>> draw(int count) {
  std::vector<std::unique_ptr<DenseRunProblem>> problems;
  for (int i = 0; i < count; ++i)
    problems.push_back(std::make_unique<DenseRunProblem>(
        random_run(sweep_seed() + static_cast<uint64_t>(i), kSamples)));
  return problems;
}

void expect_no_differences(const std::vector<std::unique_ptr<DenseRunProblem>>& problems,
                           Lowering lowering) {
  std::vector<DenseRunJob> jobs;
  for (const auto& problem : problems)
    for (DenseRunJob& job : jobs_of(*problem, target_of(lowering))) jobs.push_back(std::move(job));
  EXPECT_GE(jobs.size(), problems.size() / 2) << to_string(lowering);
  for (const std::string& difference : run_jobs(jobs, lowering)) ADD_FAILURE() << difference;
}

TEST(DenseRuns, AgreeWithPlainLoops) {
  const auto problems = draw(10);
  for (const bool dot : {false, true})
    for (const Lowering lowering : lowerings(dot)) expect_no_differences(problems, lowering);
  expect_no_differences(problems, Lowering::interpreted_neon);
}

/// One or two tiles at once: planes of 64 bytes and of 32.
TEST(DenseRuns, TakeTilesOfSeveralSizes) {
  DenseRunProblem problem({.name = "binary",
                           .widths = {16, 8, 5},
                           .weights = Numeric::binary(),
                           .codes = {RunCodes::binary, RunCodes::binary},
                           .count = kSamples});
  std::map<int64_t, int> tiles;
  for (const DenseRunJob& job : jobs_of(problem, target_of(Lowering::interpreted_dot)))
    ++tiles[job.function->tile()];
  EXPECT_EQ(tiles, (std::map<int64_t, int>{{256, 1}, {512, 1}}));
}

/// What the tests above look at: a function that is given one byte less than it needs.
TEST(DenseRuns, AccessOutsideOfMemoryIsFound) {
  const auto problems = draw(4);
  for (const auto& problem : problems)
    for (const DenseRunJob& job : jobs_of(*problem, target_of(Lowering::interpreted_dot))) {
      InterpretingEmitter e(target_of(Lowering::interpreted_dot));
      job.function->emit(e);
      for (size_t less = 1; less < 4; ++less) {  // constants, output, scratch
        const auto run = [&](void* const* buffers, int64_t count, int64_t begin, int64_t end) {
          std::vector<InterpretingEmitter::Region> regions;
          for (const Problem::Memory& m : problem->memory())
            regions.push_back({m.begin, m.end, m.writable});
          regions[less].end -= 2 * kernels::kSlackBytes;
          e.run(buffers, count, begin, end, regions);
        };
        const auto bytes = problem->memory();
        if (less == 3 && job.function->scratch_bytes() < kernels::kSlackBytes) continue;
        EXPECT_THROW(static_cast<void>(problem->difference(*job.function, run)), std::runtime_error)
            << job.name << " " << less;
      }
    }
}

}  // namespace
}  // namespace qloom::testing
