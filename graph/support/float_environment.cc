#include "graph/support/float_environment.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#elif !defined(__aarch64__)
#include <cfenv>
#endif

namespace qloom {
namespace {

// The compiler may move arithmetic across a change of the mode; callers do the arithmetic in
// functions that are not inlined (calls through pointers), which it cannot see through.
#if defined(__x86_64__)
uint64_t mode() { return _mm_getcsr(); }
void set_mode(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
constexpr uint64_t kMode = 0x1f80;  // all exceptions masked, nearest even, no FTZ, no DAZ
#elif defined(__aarch64__)
uint64_t mode() {
  uint64_t value;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
void set_mode(uint64_t value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
constexpr uint64_t kMode = 0;  // no traps, nearest even, no flush to zero
#else
uint64_t mode() { return static_cast<uint64_t>(std::fegetround()); }
void set_mode(uint64_t value) { std::fesetround(static_cast<int>(value)); }
constexpr uint64_t kMode = FE_TONEAREST;
#endif

}  // namespace

FloatEnvironment::FloatEnvironment() noexcept : saved_(mode()) { set_mode(kMode); }
FloatEnvironment::~FloatEnvironment() { set_mode(saved_); }

}  // namespace qloom
