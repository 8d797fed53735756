// bench/support/machine.h: where figures come from.
#pragma once

#include <string>

namespace qloom::bench {

/// {"processor", "cores", "governor", "target", "compiler", "version"} as JSON text; what the
/// system does not say is "".
[[nodiscard]] std::string machine_json();

}  // namespace qloom::bench
