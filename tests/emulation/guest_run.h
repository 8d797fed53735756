// tests/emulation/guest_run.h: what tests/kernels runs on this machine, on a guest.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tests/emulation/guest.h"
#include "tests/kernels/dense_run_problem.h"

namespace qloom::testing {

/// Compiles all jobs for the guest and runs them there, each as a whole and in parts; returns the
/// differences, one line each. Their problems' target is the guest's.
[[nodiscard]] std::vector<std::string> run_jobs(std::span<const Job> jobs, const Guest& guest);
/// The same of functions of dense layers, as a whole.
[[nodiscard]] std::vector<std::string> run_jobs(const std::vector<DenseRunJob>& jobs,
                                                const Guest& guest);

}  // namespace qloom::testing
