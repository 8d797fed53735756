// kernels/reference/quantizer_table.h: a monotone quantizer as sorted thresholds.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "graph/quantizer.h"

namespace qloom::kernels::reference {

/// code(x) = codes[number of thresholds ≤ x]. Codes ascend. Floats so large that the quantizer's
/// own products overflow, for which it has no code, get the first or last.
struct QuantizerTable {
  std::vector<float> thresholds;
  std::vector<int64_t> codes;  ///< one more than thresholds
  [[nodiscard]] int64_t code(float x) const noexcept;
};

/// One table, or one per channel where the quantizer has so many constant scales. Each step of the
/// code is found by bisection over all finite floats on the quantizer's own `forward`, and the
/// tables are checked on other points. None where the quantizer is not monotone, has its scale from
/// data, no codes, or more than `kMostThresholds` steps.
[[nodiscard]] std::optional<std::vector<QuantizerTable>> quantizer_tables(
    const Quantizer& quantizer, const QuantizeOptions& options);
inline constexpr size_t kMostThresholds = 1 << 16;

}  // namespace qloom::kernels::reference
