// jit/shared_object.h: code from an open file.
#pragma once

#include <memory>
#include <string>

#include "jit/code.h"

namespace qloom::jit {

/// Maps the shared object that `descriptor` is open on; what follows its last section is ignored.
/// The descriptor may be closed afterwards. Null, and a reason in `why`, when the loader refuses.
[[nodiscard]] std::shared_ptr<const Code> open_shared_object(int descriptor, std::string& why);

}  // namespace qloom::jit
