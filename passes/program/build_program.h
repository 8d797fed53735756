#pragma once

#include <map>
#include <string>
#include <vector>

#include "passes/choose/select_kernels.h"
#include "runtime/program.h"

namespace qloom::passes {

/// The flat list of calls with their buffers and constants; offsets are left to plan_memory.
/// `chosen`: for each call of the selection the index of its choice. `symbols`: emitted functions
/// by call, "" for reference calls.
[[nodiscard]] runtime::Program build_program(const Graph& graph, const Selection& selection,
                                             const std::vector<size_t>& chosen,
                                             const std::vector<std::string>& symbols,
                                             const CompileOptions& options);

/// Lifetimes and offsets. Buffers that are not live together share memory; those that are keep
/// kernels::kSlackBytes between them for every number of samples; all begin at multiples of 64
/// (arenas are made for multiples of 8 samples).
void plan_memory(runtime::Program& program);

}  // namespace qloom::passes
