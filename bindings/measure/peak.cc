#include "bindings/measure/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace qloom::measure {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kIterations = 2000;
constexpr int kChains = 12;  // latency 4..5 × 2 a cycle needs at least 10 independent sums

template <int kLanes>
struct Vector {
  typedef float type __attribute__((vector_size(kLanes * 4)));
};

/// The sums stay in registers: chains × lanes independent multiply-adds an iteration. Returned, so
/// that nothing is optimised away. Inlined, so that it becomes its caller's instructions.
template <int kLanes>
[[gnu::always_inline]] inline float chains(float a, float b) {
  typedef typename Vector<kLanes>::type V;
  V sums[kChains];
  for (int c = 0; c < kChains; ++c) sums[c] = V{} + static_cast<float>(c);
  const V va = V{} + a, vb = V{} + b;
  for (int i = 0; i < kIterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = sums[c] * va + vb;
  }
  V total{};
  for (int c = 0; c < kChains; ++c) total += sums[c];
  float out = 0;
  for (int l = 0; l < kLanes; ++l) out += total[l];
  return out;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"), optimize("fp-contract=fast"), noinline)) float chains_fma512(
    float a, float b) {
  return chains<16>(a, b);
}
__attribute__((target("avx2,fma"), optimize("fp-contract=fast"), noinline)) float chains_fma(
    float a, float b) {
  return chains<8>(a, b);
}
#endif
__attribute__((noinline)) float chains_plain(float a, float b) { return chains<4>(a, b); }

struct Loop {
  float (*run)(float, float) = nullptr;
  int lanes = 0;
};

/// What this processor has. The widest is not always the fastest, so the best of all counts.
std::vector<Loop> loops() {
  std::vector<Loop> out;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) out.push_back({chains_fma512, 16});
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    out.push_back({chains_fma, 8});
#endif
  if (out.empty()) out.push_back({chains_plain, 4});
  return out;
}

}  // namespace

double fp32_peak_gmacs(double microseconds) {
  static const std::vector<Loop> all = loops();
  volatile float sink = 0, a = 0.999F, b = 0.001F;
  double best = 0;
  const auto start = Clock::now();
  do {
    for (const Loop& loop : all) {
      const double macs = static_cast<double>(kIterations) * kChains * loop.lanes;
      const auto begin = Clock::now();
      sink = loop.run(a, b);
      const double ns = std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
      best = std::max(best, macs / ns);
    }
  } while (std::chrono::duration<double, std::micro>(Clock::now() - start).count() < microseconds);
  (void)sink;
  return best;
}

}  // namespace qloom::measure
