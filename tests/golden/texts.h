// tests/golden/texts.h: texts that QKeras accepts and misreads.
#pragma once

#include <string>

namespace qloom::golden {

/// Why QKeras's reading of a quantizer's text is not what stands there; "" where it is:
///   a second "("           it drops all arguments
///   text after ")"         it ignores that
///   an unquoted word       it takes it for a text without its first and last letter
/// Decided by a scan of its own, not by the reader that is tested.
[[nodiscard]] std::string misread_text(const std::string& text);

}  // namespace qloom::golden
