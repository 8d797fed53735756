#include "graph/support/version.h"

namespace qloom {

std::string_view version() { return QLOOM_VERSION; }

}  // namespace qloom
