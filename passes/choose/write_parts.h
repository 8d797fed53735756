// passes/choose/write_parts.h: what is concatenated is written where it is wanted.
#pragma once

#include "passes/choose/select_kernels.h"

namespace qloom::passes {

/// Takes calls of concatenations along the last axis out of the selection, where whoever computes
/// the operands can write them straight into the result, as parts of its runs, and where that is
/// predicted to be faster. Asked for are emitted regions outside of loops, and operands whose codes
/// are those of the result. Operands that are themselves concatenated count as what they are made
/// of. Who else reads an operand finds it as before: it is then written twice.
void write_parts(const Graph& graph, Selection& selection, const CompileOptions& options);

}  // namespace qloom::passes
