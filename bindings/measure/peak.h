// bindings/measure/peak.h: what this core can do, measured beside whatever is compared with it.
#pragma once

#include <cstdint>

namespace qloom::measure {

/// Runs register-blocked float32 multiply-adds (fused where the processor has them, at the widest
/// vectors of AVX2 or the baseline) for about `microseconds`; returns multiply-accumulates per
/// nanosecond (GMAC/s). Takes the best of short repetitions inside the time.
[[nodiscard]] double fp32_peak_gmacs(double microseconds);

}  // namespace qloom::measure
