#pragma once

#include <cstdint>

namespace qloom {

/// Rounding and denormal mode of everything that qloom computes: round to nearest even, subnormal
/// numbers kept, no traps. One on entry, the caller's mode restored on exit; one per thread.
///
/// TensorFlow's own threads flush subnormals to zero (spec of quantizers, 1.2). We keep them: IEEE
/// arithmetic means the same on every processor, while flushing does not (before or after
/// rounding), and no quantizer's code depends on it outside of what is stated there as not to be
/// compared.
class FloatEnvironment {
 public:
  FloatEnvironment() noexcept;
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace qloom
