#pragma once

#include <memory>

#include "jit/code.h"
#include "runtime/memory.h"
#include "runtime/program.h"

namespace qloom::runtime {

/// A compiled network: program, constants and code. Immutable, shared by threads.
class Model {
 public:
  /// Resolves symbols and prepares reference calls. Throws InternalError naming a missing symbol.
  Model(Program program, std::shared_ptr<const jit::Code> code);
  [[nodiscard]] const Program& program() const { return program_; }
  struct Bound {  ///< a call, resolved
    jit::KernelFunction function = nullptr;
    std::unique_ptr<kernels::ReferenceCall> reference;
  };
  [[nodiscard]] const std::vector<Bound>& bound() const { return bound_; }
  /// Functions of Program::chains.
  [[nodiscard]] const std::vector<jit::KernelFunction>& chains() const { return chains_; }
  /// Program::constants at a 64-byte boundary, with kSlackBytes of zeros before and after.
  [[nodiscard]] const uint8_t* constants() const { return constants_.get() + kernels::kSlackBytes; }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

 private:
  Program program_;
  std::shared_ptr<const jit::Code> code_;
  [[nodiscard]] jit::KernelFunction function_of(const Call& call) const;

  std::vector<Bound> bound_;
  std::vector<jit::KernelFunction> chains_;
  Memory constants_;
};

}  // namespace qloom::runtime
