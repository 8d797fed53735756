// passes/program/form_chains.h: which calls become one function.
#pragma once

#include <vector>

#include "jit/emitter.h"
#include "passes/choose/select_kernels.h"
#include "passes/compile.h"
#include "runtime/program.h"

namespace qloom::passes {

struct FormedChains {
  std::vector<jit::FunctionSource> functions;
  std::vector<ChainReport> reports;
};

/// Adds Program::chains where that is predicted to be faster, with their scratch: runs of emitted
/// calls, whole loops among them, that go tile by tile of samples through what lies between them.
/// Weighed are what a call costs the executor, what tiles of fewer samples cost each kernel, and
/// what is saved where values stay in a nearer cache. Calls are those of the selection, in order;
/// plan_memory comes behind it.
[[nodiscard]] FormedChains form_chains(runtime::Program& program, const Selection& selection,
                                       const std::vector<size_t>& chosen,
                                       const CompileOptions& options);

}  // namespace qloom::passes
