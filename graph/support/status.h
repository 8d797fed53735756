// graph/support/status.h: results of the run path, where nothing throws or allocates.
#pragma once

#include <cstdint>
#include <string_view>

namespace qloom {

enum class StatusCode : uint8_t {
  ok,
  invalid_argument,  ///< an input's shape, type or count is not the model's
  not_finite,        ///< NaN or infinity in an input that is to be quantised
  out_of_memory,
  internal,  ///< a bug of ours
};

/// Name of the code, as the enumerator is spelled.
[[nodiscard]] std::string_view name_of(StatusCode code);

/// A code and a message held inside the object. Copying and making one never allocates and never
/// throws.
class [[nodiscard]] Status {
 public:
  /// Longest message in bytes; longer ones are cut.
  static constexpr int kMaxMessage = 239;

  /// Success.
  Status() noexcept : code_(StatusCode::ok) { message_[0] = '\0'; }

  /// Failure; the message is formatted as printf does.
  [[gnu::format(printf, 2, 3)]] static Status error(StatusCode code, const char* format,
                                                    ...) noexcept;

  [[nodiscard]] bool ok() const noexcept { return code_ == StatusCode::ok; }
  [[nodiscard]] StatusCode code() const noexcept { return code_; }

  /// Empty on success.
  [[nodiscard]] const char* message() const noexcept { return message_; }

 private:
  StatusCode code_;
  char message_[kMaxMessage + 1];
};

}  // namespace qloom
