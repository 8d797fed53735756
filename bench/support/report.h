// bench/support/report.h: tables and a plot from one JSON of results.
#pragma once

#include <string>
#include <string_view>

namespace qloom::bench {

/// Results: {"machine": {…}, "commit", "models": [of qloom-bench-models], "kernels": [rows of
/// qloom-bench-kernels]}, as text. Throws UserError where a part is missing or odd.

/// What qloom-bench-models and qloom-bench-kernels wrote, in one. "" for `kernels`: none.
[[nodiscard]] std::string merge_results(const std::string& models, const std::string& kernels,
                                        const std::string& commit);
/// Markdown: the machine in a sentence, a table of the networks, a table of the layers.
[[nodiscard]] std::string markdown_of(const std::string& results);
/// SVG: a bar for each layer and each network, as multiples of the core's fp32 peak.
[[nodiscard]] std::string plot_of(const std::string& results);
/// The text with what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->` replaced.
/// Throws UserError naming `file` where the marks are missing.
[[nodiscard]] std::string replace_section(std::string_view text, std::string_view name,
                                          std::string_view content, const std::string& file);

}  // namespace qloom::bench
