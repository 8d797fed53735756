// jit/llvm/errors.h: LLVM's errors as our exceptions.
#pragma once

#include <llvm/Support/Error.h>

#include <source_location>
#include <string>
#include <utility>

#include "graph/support/error.h"

namespace qloom::jit {

/// The value, or InternalError "WHAT: LLVM's message".
template <class T>
[[nodiscard]] T take(llvm::Expected<T> value, const std::string& what,
                     std::source_location where = std::source_location::current()) {
  if (!value) fail_internal(where, what + ": " + llvm::toString(value.takeError()));
  return std::forward<T>(*value);
}

inline void take(llvm::Error error, const std::string& what,
                 std::source_location where = std::source_location::current()) {
  if (error) fail_internal(where, what + ": " + llvm::toString(std::move(error)));
}

/// While one lives, llvm::report_fatal_error in its thread throws InternalError naming `what`,
/// where it would end the process.
class FatalErrorScope {
 public:
  explicit FatalErrorScope(std::string what);
  ~FatalErrorScope();
  FatalErrorScope(const FatalErrorScope&) = delete;
  FatalErrorScope& operator=(const FatalErrorScope&) = delete;

  [[nodiscard]] const std::string& what() const { return what_; }
  void rename(std::string what) { what_ = std::move(what); }

 private:
  std::string what_;
  FatalErrorScope* outer_;
};

}  // namespace qloom::jit
