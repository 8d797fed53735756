// bindings/measure/peak.h: what this core can do, measured beside whatever is compared with it.
#pragma once

#include <cstdint>

namespace qloom::measure {

/// Runs register-blocked float32 multiply-adds (fused, in the widest vectors that the processor
/// has) for about `microseconds`, at least once; returns multiply-accumulates per nanosecond
/// (GMAC/s). Takes the best of short repetitions (some 6 µs) inside the time.
[[nodiscard]] double fp32_peak_gmacs(double microseconds);

}  // namespace qloom::measure
