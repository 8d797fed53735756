// kernels/conv/winograd/minimal_filter.cc
//
// Stride 1, F(4, 3) of Lavin and Gray at the points 0, 1, -1, 2, -2, ∞: 6 products instead of 12.
//   Bᵀ d = (4 d0 - 5 d2 + d4,           -4 d1 - 4 d2 + d3 + d4,   4 d1 - 4 d2 - d3 + d4,
//           -2 d1 - d2 + 2 d3 + d4,      2 d1 - d2 - 2 d3 + d4,   4 d1 - 5 d3 + d5)
//   G g  = (6 g0, -(g0 + g1 + g2), -(g0 - g1 + g2), g0 + 2 g1 + 4 g2, g0 - 2 g1 + 4 g2, 6 g2)
//   24 y0 = m0 + 4 (m1 + m2) + (m3 + m4)        12 y1 = 2 (m1 - m2) + (m3 - m4)
//    6 y2 =       (m1 + m2) + (m3 + m4)          6 y3 = (m1 - m2) + 2 (m3 - m4) + m5
//
// Stride 2: inputs with even numbers meet the taps 0 and 2, a filter of two taps with stride 1, by
// F(4, 2) at the points 0, 1, -1, 2, ∞; those with odd numbers meet tap 1 alone. Both are added
// before anything is divided: 9 products instead of 12. With e = (d0, d2, d4, d6, d8):
//   Bᵀ e = (2 e0 - e1 - 2 e2 + e3, -2 e1 - e2 + e3, 2 e1 - 3 e2 + e3, e3 - e1,
//           2 e1 - e2 - 2 e3 + e4), then d1, d3, d5, d7
//   G g  = (3 g0, -3 (g0 + g2), g2 - g0, g0 + 2 g2, 6 g2), then 6 g1 four times
//   6 y0 = m0 + m1 + m2 + m3 + m5               6 y1 = m1 - m2 + 2 m3 + m6
//   6 y2 = m1 + m2 + 4 m3 + m7                  6 y3 = m1 - m2 + 8 m3 + m4 + m8
//
// Source: Lavin, Gray, Fast Algorithms for Convolutional Neural Networks (2015), 4.3; in integers
// and with stride 2: own.
#include "kernels/conv/winograd/minimal_filter.h"

#include <algorithm>

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Emitter;
using jit::Value;

Value times(Emitter& e, Value v, int shift) {
  return e.binary(Binary::shift_left, v, e.integer(shift, v.element));
}
Value twice(Emitter& e, Value v) { return e.add(v, v); }

std::vector<int64_t> weights_1(std::span<const int64_t> g) {
  const int64_t ends = g[0] + g[2], wide = g[0] + 4 * g[2];
  return {6 * g[0], -ends - g[1], -ends + g[1], wide + 2 * g[1], wide - 2 * g[1], 6 * g[2]};
}

std::vector<Value> inputs_1(Emitter& e, std::span<const Value> d) {
  const Value even = e.subtract(d[4], d[2]), odd = e.subtract(d[3], d[1]);
  const Value far_even = e.subtract(d[4], times(e, d[2], 2));
  const Value far_odd = e.subtract(d[3], times(e, d[1], 2));
  const Value double_odd = twice(e, odd);
  return {e.add(times(e, e.subtract(d[0], d[2]), 2), even),
          e.add(far_even, far_odd),
          e.subtract(far_even, far_odd),
          e.add(even, double_odd),
          e.subtract(even, double_odd),
          e.subtract(e.subtract(d[5], d[3]), times(e, odd, 2))};
}

std::vector<Value> outputs_1(Emitter& e, std::span<const Value> m) {
  const Value near_sum = e.add(m[1], m[2]), near_difference = e.subtract(m[1], m[2]);
  const Value far_sum = e.add(m[3], m[4]), far_difference = e.subtract(m[3], m[4]);
  return {e.add(e.add(m[0], far_sum), times(e, near_sum, 2)),
          e.add(twice(e, near_difference), far_difference), e.add(near_sum, far_sum),
          e.add(e.add(near_difference, m[5]), twice(e, far_difference))};
}

std::vector<int64_t> weights_2(std::span<const int64_t> g) {
  const int64_t middle = 6 * g[1];
  return {
      3 * g[0], -3 * (g[0] + g[2]), g[2] - g[0], g[0] + 2 * g[2], 6 * g[2], middle, middle, middle,
      middle};
}

std::vector<Value> inputs_2(Emitter& e, std::span<const Value> d) {
  const Value rise = e.subtract(d[6], d[2]), step = e.subtract(d[6], d[4]);
  return {e.add(twice(e, e.subtract(d[0], d[4])), rise),
          e.subtract(step, twice(e, d[2])),
          e.add(step, twice(e, e.subtract(d[2], d[4]))),
          rise,
          e.subtract(e.subtract(d[8], d[4]), twice(e, rise)),
          d[1],
          d[3],
          d[5],
          d[7]};
}

std::vector<Value> outputs_2(Emitter& e, std::span<const Value> m) {
  const Value sum = e.add(m[1], m[2]), difference = e.subtract(m[1], m[2]);
  return {e.add(e.add(m[0], sum), e.add(m[3], m[5])),
          e.add(e.add(difference, m[6]), twice(e, m[3])),
          e.add(e.add(sum, m[7]), times(e, m[3], 2)),
          e.add(e.add(difference, m[8]), e.add(m[4], times(e, m[3], 3)))};
}

constexpr MinimalFilter kFilters[] = {{.stride = 1,
                                       .points = 6,
                                       .growth = 7,
                                       .reach = 10,
                                       .most_bytes = int64_t{64} << 20,
                                       .shift = {3, 2, 1, 1},
                                       .weights = weights_1,
                                       .inputs = inputs_1,
                                       .outputs = outputs_1},
                                      {.stride = 2,
                                       .points = 9,
                                       .growth = 6,
                                       .reach = 6,
                                       .most_bytes = int64_t{8} << 20,
                                       .shift = {1, 1, 1, 1},
                                       .weights = weights_2,
                                       .inputs = inputs_2,
                                       .outputs = outputs_2}};

}  // namespace

int MinimalFilter::most_shift() const { return *std::ranges::max_element(shift); }

const MinimalFilter* minimal_filter(int64_t stride) {
  for (const MinimalFilter& filter : kFilters)
    if (filter.stride == stride) return &filter;
  return nullptr;
}

}  // namespace qloom::kernels
