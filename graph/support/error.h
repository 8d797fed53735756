// graph/support/error.h: how the parts of qloom say no.
//   throw UserError      building, importing, compiling: the caller can fix it
//   throw InternalError  a bug of ours
//   return Verdict       a foreseen no with its reason
//   return Status        running (status.h)
#pragma once

#include <concepts>
#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace qloom {

/// What the caller can fix. The message names file, layer or node, operand, what was expected and
/// what was found.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A bug in qloom. The message asks for a report.
class InternalError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The parts one after the other, each as its `operator<<` prints it.
template <class... Parts>
[[nodiscard]] std::string join_text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

/// A condition together with the place where it was written.
struct Condition {
  template <class T>
    requires std::constructible_from<bool, const T&>
  // Implicit, because the conversion at the call is what records the caller's line.
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr Condition(const T& value,
                      std::source_location location = std::source_location::current())
      : holds(static_cast<bool>(value)), where(location) {}

  bool holds;
  std::source_location where;
};

/// Throws InternalError with the place, the text and a request for a report.
[[noreturn]] void fail_internal(const std::source_location& where, const std::string& text);

/// Throws UserError with the joined parts as its message unless the condition holds.
template <class... Parts>
void qloom_check(bool condition, const Parts&... parts) {
  static_assert(sizeof...(Parts) > 0, "a user error needs a message");
  if (!condition) [[unlikely]]
    throw UserError(join_text(parts...));
}

/// Throws InternalError, naming the caller's line, unless the condition holds. Stays on in release
/// builds.
template <class... Parts>
void qloom_assert(const Condition& condition, const Parts&... parts) {
  if (!condition.holds) [[unlikely]]
    fail_internal(condition.where, join_text(parts...));
}

/// Yes, or no and why.
class [[nodiscard]] Verdict {
 public:
  static Verdict yes() { return Verdict(true, {}); }

  /// The reason is the joined parts.
  template <class... Parts>
  static Verdict no(const Parts&... parts) {
    static_assert(sizeof...(Parts) > 0, "a no needs a reason");
    return Verdict(false, join_text(parts...));
  }

  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }

  /// Why not; empty after yes.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  Verdict(bool ok, std::string reason) : ok_(ok), reason_(std::move(reason)) {}

  bool ok_;
  std::string reason_;
};

}  // namespace qloom
