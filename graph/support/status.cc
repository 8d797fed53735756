#include "graph/support/status.h"

#include <cstdarg>
#include <cstdio>

namespace qloom {

std::string_view name_of(StatusCode code) {
  switch (code) {
    case StatusCode::ok:
      return "ok";
    case StatusCode::invalid_argument:
      return "invalid_argument";
    case StatusCode::not_finite:
      return "not_finite";
    case StatusCode::out_of_memory:
      return "out_of_memory";
    case StatusCode::internal:
      return "internal";
  }
  return "unknown";
}

Status Status::error(StatusCode code, const char* format, ...) noexcept {
  Status status;
  status.code_ = code;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(status.message_, sizeof status.message_, format, arguments);
  va_end(arguments);
  return status;
}

}  // namespace qloom
