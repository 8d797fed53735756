#pragma once

#include <memory>

#include "jit/code.h"
#include "runtime/program.h"

namespace qloom::runtime {

/// A compiled network: program, constants and code. Immutable, shared by threads.
class Model {
 public:
  /// Resolves symbols and prepares reference calls. Throws InternalError naming a missing symbol.
  Model(Program program, std::shared_ptr<const jit::Code> code);
  [[nodiscard]] const Program& program() const { return program_; }
  struct Bound {            ///< a call, resolved
    jit::KernelFunction function = nullptr;
    std::unique_ptr<kernels::ReferenceCall> reference;
  };
  [[nodiscard]] const std::vector<Bound>& bound() const { return bound_; }

 private:
  Program program_;
  std::shared_ptr<const jit::Code> code_;
  std::vector<Bound> bound_;
};

}  // namespace qloom::runtime
