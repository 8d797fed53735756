// bindings/report/explain.h: what became of a graph, as text.
#pragma once

#include <string>

#include "bindings/measure/choice.h"
#include "passes/compile.h"

namespace qloom::report {

/// What was measured of a region; null where it was not.
[[nodiscard]] const measure::NodeChoice* choice_of(const passes::RegionReport& region,
                                                   const measure::ChoiceReport* measured);
/// Fastest measured time of a kernel for a region; 0 where it was not measured.
[[nodiscard]] double measured_ns(const measure::NodeChoice* choice, const std::string& kernel);

/// One region or node: its layers, value sets, proof, kernel, and why not the others; measured
/// beside predicted times where there are some. Lines of at most `width` characters (0: no limit).
[[nodiscard]] std::string to_text(const passes::RegionReport& region, size_t width = 0,
                                  const measure::NodeChoice* measured = nullptr);

/// Calls that one function makes.
[[nodiscard]] std::string to_text(const passes::ChainReport& chain, size_t width = 0);

/// All regions and chains, the certificates of the outputs, and the notes.
[[nodiscard]] std::string to_text(const passes::Compilation& compilation, size_t width = 0,
                                  const measure::ChoiceReport* measured = nullptr);

}  // namespace qloom::report
