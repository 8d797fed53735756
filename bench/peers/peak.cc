// bindings/measure's loop for Python: the float32 multiply-add rate of this core, beside which
// every peer is measured.
#include "bindings/measure/peak.h"

extern "C" double qloom_fp32_peak_gmacs(double microseconds) {
  return qloom::measure::fp32_peak_gmacs(microseconds);
}
