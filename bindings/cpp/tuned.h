// bindings/cpp/tuned.h: measured times of kernels, kept beside compiled models.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bindings/measure/tune.h"
#include "jit/cache.h"
#include "passes/choose/kernel_times.h"

namespace qloom {

/// What was measured before on this processor with this version's kernels; null where there is
/// nothing, or what there is cannot be trusted (then the cache has a notice).
[[nodiscard]] std::shared_ptr<const passes::KernelTimes> stored_times(jit::Cache& cache,
                                                                      const jit::Target& target);

/// Keeps `times` for stored_times, in place of what there was. False where the cache takes nothing.
bool store_times(jit::Cache& cache, const jit::Target& target, const passes::KernelTimes& times);

/// measure::tune on the graph with these options; adds what it finds to what is stored. Returns all
/// times; `summary` says in a sentence what was gained. `cache`: null to store nothing.
[[nodiscard]] std::shared_ptr<const passes::KernelTimes> tune_and_store(
    const Graph& graph, const passes::CompileOptions& options, jit::Cache* cache, double seconds,
    std::string& summary);

}  // namespace qloom
