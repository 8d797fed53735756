#include "graph/support/error.h"

namespace qloom {

void fail_internal(const std::source_location& where, const std::string& text) {
  throw InternalError(join_text("internal error at ", where.file_name(), ":", where.line(), " in ",
                                where.function_name(), text.empty() ? "" : ": ", text,
                                " (this is a bug in qloom; please report it)"));
}

}  // namespace qloom
