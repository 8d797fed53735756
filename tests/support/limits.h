// tests/support/limits.h: what tests need that limit time, or the number of drawn cases.
#pragma once

#include <time.h>

namespace qloom::testing {

/// Built with AddressSanitizer or ThreadSanitizer, which multiply time and memory: limits of both
/// say nothing, and tests that draw many cases draw fewer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Processor time of the calling thread: what else the machine does is no part of it.
inline double milliseconds_of_this_thread() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

}  // namespace qloom::testing
