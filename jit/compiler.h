#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jit/code.h"
#include "jit/emitter.h"

namespace qloom::jit {

/// What the machine code of one function looks like (jit/inspect).
struct FunctionReport {
  std::string name;
  int64_t code_bytes = 0;
  /// Loads and stores relative to the stack pointer inside innermost loops. Not 0: registers ran
  /// out, the variant is rejected.
  int inner_loop_stack_accesses = 0;
  std::string assembly;  ///< only if asked for
};

struct CompilerFlags {
  bool assembly = false;         ///< fill FunctionReport::assembly
  std::string dump_directory{};  ///< write IR, object and assembly here; "" for nowhere
};

struct CompiledObject {
  std::vector<uint8_t> elf;  ///< relocatable object
  std::vector<FunctionReport> functions;
};

/// The compiler plug-in: LLVM and lld behind an interface, opened only when something must be
/// compiled.
class Compiler {
 public:
  virtual ~Compiler() = default;
  /// Emits, optimises and assembles; functions that came out equal share one code. What they call
  /// (Emitter::call) may lie in other objects that are linked or loaded with this one. Throws
  /// InternalError with the function's name and LLVM's message.
  [[nodiscard]] virtual CompiledObject compile(std::span<const FunctionSource> functions,
                                               const Target& target,
                                               const CompilerFlags& flags) = 0;
  /// Links objects into one shared object, in process (lld). One call at a time. Throws
  /// InternalError.
  [[nodiscard]] virtual std::vector<uint8_t> link(
      std::span<const std::vector<uint8_t>> objects) = 0;
  /// Loads objects, which may call each other, into this process through ORC, without touching the
  /// disk.
  [[nodiscard]] virtual std::shared_ptr<const Code> load(
      std::span<const std::vector<uint8_t>> objects, const std::string& name) = 0;
  [[nodiscard]] std::shared_ptr<const Code> load(const std::vector<uint8_t>& object,
                                                 const std::string& name) {
    return load({&object, 1}, name);
  }
};

/// Opens libqloom_compiler.so, which lies beside libqloom.so. The first call loads LLVM (about 60
/// ms). Thread-safe; the compiler lives as long as the process. Throws UserError naming the file
/// when it is missing or does not fit this version.
[[nodiscard]] Compiler& compiler();

/// Bumped when emitted code, packed constants or the Program change; part of every cache key.
inline constexpr int kCodeVersion = 13;

}  // namespace qloom::jit
