// jit/llvm/codegen.h: from IR to a relocatable object.
#pragma once

#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <shared_mutex>

#include "jit/target.h"

namespace qloom::jit {

/// Prepares LLVM's back ends for x86-64 and AArch64; once.
void initialize_targets();

/// LLVM's process-wide switches as assemble needs them. lld puts all back to their defaults, so
/// whoever runs it holds switches_mutex() and sets them again behind it.
void set_switches();
[[nodiscard]] std::shared_mutex& switches_mutex();

/// Throws InternalError where LLVM does not know the triple.
[[nodiscard]] std::unique_ptr<llvm::TargetMachine> target_machine(const Target& target);

/// The few passes that pay for IR that is in its final shape already.
void optimize(llvm::Module& module, llvm::TargetMachine& machine);

/// An ELF object. Throws InternalError where the target cannot write one.
[[nodiscard]] llvm::SmallVector<char, 0> assemble(llvm::Module& module,
                                                  llvm::TargetMachine& machine);

}  // namespace qloom::jit
