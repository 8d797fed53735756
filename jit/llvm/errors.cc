#include "jit/llvm/errors.h"

#include <llvm/Support/ErrorHandling.h>

#include <mutex>

namespace qloom::jit {
namespace {

// What this thread asks of LLVM: the handler is one for the process and has no other way to know.
thread_local FatalErrorScope* current_scope = nullptr;

void on_fatal_error(void*, const char* reason, bool) {
  // LLVM ends the process when this returns. Its own frames hold nothing that outlives the call
  // except memory, which leaks.
  qloom_assert(false, current_scope ? current_scope->what() : "LLVM", ": ",
               reason ? reason : "no reason given");
}

}  // namespace

FatalErrorScope::FatalErrorScope(std::string what)
    : what_(std::move(what)), outer_(std::exchange(current_scope, this)) {
  static std::once_flag once;
  std::call_once(once, [] { llvm::install_fatal_error_handler(on_fatal_error); });
}

FatalErrorScope::~FatalErrorScope() { current_scope = outer_; }

}  // namespace qloom::jit
