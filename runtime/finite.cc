#include "runtime/finite.h"

#include <bit>

namespace qloom::runtime {
namespace {

/// Bits without the sign, plus the smallest exponent: the top bit is set just where all exponent
/// bits were.
inline uint32_t flag(float v) { return (std::bit_cast<uint32_t>(v) & 0x7fffffffu) + 0x00800000u; }

/// Whole blocks from the first on that hold neither. Blocks of constant length are what the
/// compiler makes vectors of, as wide as the function that this becomes part of may have.
template <int64_t kBlock>
[[gnu::always_inline]] inline int64_t finite_blocks_of(const float* x, int64_t i, int64_t n) {
  for (; i + kBlock <= n; i += kBlock) {
    uint32_t any = 0;
    for (int64_t k = 0; k < kBlock; ++k) any |= flag(x[i + k]);
    if (any >> 31) break;
  }
  return i;
}
[[gnu::always_inline]] inline int64_t finite_blocks(const float* x, int64_t n) {
  return finite_blocks_of<16>(x, finite_blocks_of<256>(x, 0, n), n);
}

int64_t finite_any(const float* x, int64_t n) { return finite_blocks(x, n); }

using FiniteBlocks = int64_t (*)(const float*, int64_t);

#if defined(__x86_64__)
[[gnu::target("avx2")]] int64_t finite_avx2(const float* x, int64_t n) {
  return finite_blocks(x, n);
}
#if defined(__clang__)
[[gnu::target("avx512f"), clang::min_vector_width(512)]]
#else
[[gnu::target("avx512f,prefer-vector-width=512")]]
#endif
int64_t finite_avx512(const float* x, int64_t n) {
  return finite_blocks(x, n);
}
FiniteBlocks widest() {
  if (__builtin_cpu_supports("avx512f")) return finite_avx512;
  if (__builtin_cpu_supports("avx2")) return finite_avx2;
  return finite_any;
}
#else
FiniteBlocks widest() { return finite_any; }
#endif

const FiniteBlocks kFiniteBlocks = widest();

}  // namespace

int64_t first_not_finite(const float* x, int64_t n) noexcept {
  int64_t i = kFiniteBlocks(x, n);
  while (i < n && (flag(x[i]) >> 31) == 0) ++i;
  return i;
}

}  // namespace qloom::runtime
