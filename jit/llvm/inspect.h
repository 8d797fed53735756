// jit/llvm/inspect.h: what came out: sizes, and whether inner loops touch the stack.
#pragma once

#include <llvm/Support/MemoryBufferRef.h>
#include <llvm/Target/TargetMachine.h>

#include <string>
#include <vector>

#include "jit/compiler.h"

namespace qloom::jit {

struct ObjectReport {
  std::vector<FunctionReport> functions;  ///< every exported function
  std::vector<std::string> undefined;     ///< symbols that the object expects from elsewhere
};

/// Disassembles a relocatable object. Loops are cycles in the flow of control, innermost those that
/// hold no other; an access is an instruction with a memory operand based on the stack or frame
/// pointer, a push, a pop or a call; less than one in 16 of a long block is not counted. Throws
/// InternalError where the bytes are not what the target's disassembler knows.
[[nodiscard]] ObjectReport inspect(llvm::MemoryBufferRef object, const llvm::TargetMachine& machine,
                                   bool assembly);

/// Throws InternalError, beginning with `what`, unless the bytes are a relocatable ELF object whose
/// tables can be read.
void check_object(llvm::MemoryBufferRef object, const std::string& what);

}  // namespace qloom::jit
