// tests/kernels/sweep.h: random problems for every emitted kernel.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "tests/kernels/problem.h"

namespace qloom::testing {

[[nodiscard]] std::vector<const kernels::KernelDef*> emitted_kernels();

/// $QLOOM_TEST_SEED, or always the same.
[[nodiscard]] uint64_t sweep_seed();

struct Sweep {
  std::vector<std::unique_ptr<Problem>> problems;
  std::vector<Job> jobs;
  std::map<std::string_view, int> matched;
  int constant_outputs = 0, checked_outputs = 0;
};

/// `per_kernel` problems for each kernel; `variants`: how many of each problem's variants (random
/// ones). `target`: ProblemSpec::target. A test failure where too few match.
[[nodiscard]] Sweep make_sweep(uint64_t seed, int per_kernel, int variants, int64_t limit_macs,
                               const std::optional<jit::Target>& target = std::nullopt);

}  // namespace qloom::testing
