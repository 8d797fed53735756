// Products, counts and sums of bytes and words; shuffles.
#include <algorithm>
#include <bit>
#include <cmath>

#include "tests/jit/word_cases.h"

namespace qloom::jit::testing {

namespace {

int64_t saturate16(int64_t v) { return std::clamp<int64_t>(v, -32768, 32767); }

}  // namespace

void add_byte_cases(std::vector<Case>& cases) {
  constexpr Element b = Element::i8, h = Element::i16, w = Element::i32, q = Element::i64;
  for (int n : all_lanes(b)) {
    const std::string shape = shape_name(b, n);
    cases.push_back({.name = "popcount_" + shape,
                     .operands = {{b, n}},
                     .emit = [](Emitter& m, auto v) { return m.popcount_bytes(v[0]); },
                     .expected =
                         [=](auto v) {
                           return lanewise(
                               b, n, [&](int i) { return std::popcount(v[0].unsigned_at(i)); });
                         }});
    if (n <= 64) {
      cases.push_back({.name = "sign_bits_" + shape,
                       .operands = {{b, n}},
                       .emit = [](Emitter& m, auto v) { return m.sign_bits(v[0]); },
                       .expected =
                           [=](auto v) {
                             uint64_t bits = 0;
                             for (int i = 0; i < n; ++i) bits |= uint64_t{v[0].get(i) < 0} << i;
                             return lanewise(q, 1, [&](int) { return int64_t(bits); });
                           }});
    }
    if (n >= 2) {
      // Saturating on any operands: 255·127 + 255·127 and 255·(−128) twice leave 16 bits.
      cases.push_back(
          {.name = "pairs_u8s8_saturating_" + shape,
           .operands = {{b, n}, {b, n}},
           .emit = [](Emitter& m,
                      auto v) { return m.multiply_add_pairs_u8s8(v[0], v[1], Pairs::saturating); },
           .expected =
               [=](auto v) {
                 return lanewise(h, n / 2, [&](int i) {
                   auto product = [&](int k) { return int64_t(v[0].unsigned_at(k)) * v[1].get(k); };
                   return saturate16(product(2 * i) + product(2 * i + 1));
                 });
               }});
      // Proven: the unsigned operand has 7 bits.
      cases.push_back({.name = "pairs_u8s8_proven_" + shape,
                       .operands = {{b, n}, {b, n}},
                       .emit =
                           [](Emitter& m, auto v) {
                             const Value seven = m.splat(m.integer(127, b), v[0].lanes);
                             return m.multiply_add_pairs_u8s8(
                                 m.binary(Binary::bit_and, v[0], seven), v[1], Pairs::proven);
                           },
                       .expected =
                           [=](auto v) {
                             return lanewise(h, n / 2, [&](int i) {
                               auto product = [&](int k) {
                                 return (v[0].get(k) & 127) * v[1].get(k);
                               };
                               return product(2 * i) + product(2 * i + 1);
                             });
                           }});
    }
    if (n >= 8) {
      // Four products a lane; pair sums fit 16 bits, as targets without exact dot products need.
      cases.push_back({.name = "add_dot_u8s8_" + shape,
                       .operands = {{w, n / 4}, {b, n}, {b, n}},
                       .emit =
                           [](Emitter& m, auto v) {
                             const Value seven = m.splat(m.integer(127, b), v[1].lanes);
                             return m.add_dot_u8s8(v[0], m.binary(Binary::bit_and, v[1], seven),
                                                   v[2]);
                           },
                       .expected =
                           [=](auto v) {
                             return lanewise(w, n / 4, [&](int i) {
                               int64_t sum = v[0].get(i);
                               for (int k = 4 * i; k < 4 * i + 4; ++k)
                                 sum += (v[1].get(k) & 127) * v[2].get(k);
                               return sum;
                             });
                           }});
      cases.push_back({.name = "and_xor_" + shape,
                       .operands = {{b, n}, {b, n}, {b, n}},
                       .emit = [](Emitter& m, auto v) { return m.and_xor(v[0], v[1], v[2]); },
                       .expected =
                           [=](auto v) {
                             return lanewise(b, n, [&](int k) {
                               return v[0].get(k) & (v[1].get(k) ^ v[2].get(k));
                             });
                           }});
      cases.push_back(
          {.name = "parity_" + shape,
           .operands = {{b, n}, {b, n}, {b, n}},
           .emit = [](Emitter& m, auto v) { return m.logic(Logic::parity, v[0], v[1], v[2]); },
           .expected =
               [=](auto v) {
                 return lanewise(b, n,
                                 [&](int k) { return v[0].get(k) ^ v[1].get(k) ^ v[2].get(k); });
               }});
      cases.push_back(
          {.name = "majority_" + shape,
           .operands = {{b, n}, {b, n}, {b, n}},
           .emit = [](Emitter& m, auto v) { return m.logic(Logic::majority, v[0], v[1], v[2]); },
           .expected =
               [=](auto v) {
                 return lanewise(b, n, [&](int k) {
                   return (v[0].get(k) & v[1].get(k)) | (v[0].get(k) & v[2].get(k)) |
                          (v[1].get(k) & v[2].get(k));
                 });
               }});
      cases.push_back({.name = "sum_bytes_" + shape,
                       .operands = {{b, n}},
                       .emit = [](Emitter& m, auto v) { return m.sum_bytes(v[0]); },
                       .expected =
                           [=](auto v) {
                             return lanewise(q, n / 8, [&](int i) {
                               int64_t sum = 0;
                               for (int k = 0; k < 8; ++k)
                                 sum += int64_t(v[0].unsigned_at(8 * i + k));
                               return sum;
                             });
                           }});
    }
    if (n >= 16 && n <= 64)
      cases.push_back({.name = "permute_bytes_" + shape,
                       .operands = {{b, n}, {b, n}},
                       .emit = [](Emitter& m, auto v) { return m.permute_bytes(v[0], v[1]); },
                       .expected =
                           [=](auto v) {
                             return lanewise(b, n, [&](int i) {
                               return v[0].get(static_cast<int>(v[1].get(i) & (n - 1)));
                             });
                           }});
    if (n >= 16) {
      cases.push_back({.name = "table_lookup_" + shape,
                       .operands = {{b, n}, {b, n}},
                       .emit = [](Emitter& m, auto v) { return m.table_lookup(v[0], v[1]); },
                       .expected =
                           [=](auto v) {
                             return lanewise(b, n, [&](int i) {
                               const int64_t k = v[1].get(i);
                               return k < 0 ? 0 : v[0].get(i / 16 * 16 + static_cast<int>(k % 16));
                             });
                           }});
    }
  }
  for (int n : all_lanes(h, 2)) {
    cases.push_back(
        {.name = "pairs_s16_" + shape_name(h, n),
         .operands = {{h, n}, {h, n}},
         .emit = [](Emitter& m, auto v) { return m.multiply_add_pairs_s16(v[0], v[1]); },
         .expected =
             [=](auto v) {
               return lanewise(w, n / 2, [&](int i) {
                 return v[0].get(2 * i) * v[1].get(2 * i) +
                        v[0].get(2 * i + 1) * v[1].get(2 * i + 1);
               });
             }});
    cases.push_back({.name = "add_dot_s16_" + shape_name(h, n),
                     .operands = {{w, n / 2}, {h, n}, {h, n}},
                     .emit = [](Emitter& m, auto v) { return m.add_dot_s16(v[0], v[1], v[2]); },
                     .expected =
                         [=](auto v) {
                           return lanewise(w, n / 2, [&](int i) {
                             return v[0].get(i) + v[1].get(2 * i) * v[2].get(2 * i) +
                                    v[1].get(2 * i + 1) * v[2].get(2 * i + 1);
                           });
                         }});
  }
}

void add_shuffle_cases(std::vector<Case>& cases) {
  for (Element e : {Element::i8, Element::i16, Element::i32, Element::i64, Element::f32}) {
    const int per_lane = 16 / bytes_of(e);
    for (int n : all_lanes(e)) {
      const std::string shape = shape_name(e, n);
      if (e != Element::f32) {
        cases.push_back({.name = "reduce_add_" + shape,
                         .operands = {{e, n}},
                         .emit = [](Emitter& m, auto v) { return m.reduce_add(v[0]); },
                         .expected =
                             [=](auto v) {
                               uint64_t sum = 0;
                               for (int i = 0; i < n; ++i)
                                 sum += static_cast<uint64_t>(v[0].get(i));
                               return lanewise(e, 1, [&](int) { return int64_t(sum); });
                             }});
        cases.push_back({.name = "negate_" + shape,
                         .operands = {{e, n}},
                         .emit = [](Emitter& m, auto v) { return m.negate(v[0]); },
                         .expected =
                             [=](auto v) {
                               return lanewise(
                                   e, n, [&](int i) { return int64_t(-uint64_t(v[0].get(i))); });
                             }});
      }
      for (bool high : {false, true}) {
        if (n < per_lane) continue;
        cases.push_back({.name = std::string(high ? "interleave_high_" : "interleave_low_") + shape,
                         .operands = {{e, n}, {e, n}},
                         .emit =
                             [=](Emitter& m, auto v) {
                               return high ? m.interleave_high(v[0], v[1])
                                           : m.interleave_low(v[0], v[1]);
                             },
                         .expected =
                             [=](auto v) {
                               return lanewise(e, n, [&](int i) {
                                 const int from = i / per_lane * per_lane + i % per_lane / 2 +
                                                  (high ? per_lane / 2 : 0);
                                 return v[i % 2].get(from);
                               });
                             }});
      }
      cases.push_back({.name = "concat_" + shape,
                       .operands = {{e, n}, {e, n}},
                       .emit = [](Emitter& m, auto v) { return m.concat(v[0], v[1]); },
                       .expected =
                           [=](auto v) {
                             return lanewise(e, 2 * n, [&](int i) { return v[i / n].get(i % n); });
                           }});
      for (int part = 1; part <= n; part *= 2) {
        for (int first : {0, n - part, part < n ? part : 0, n / 2 - part / 2}) {
          cases.push_back(
              {.name = "slice_" + shape + "_" + std::to_string(first) + "_" + std::to_string(part),
               .operands = {{e, n}},
               .emit = [=](Emitter& m, auto v) { return m.slice(v[0], first, part); },
               .expected =
                   [=](auto v) {
                     return lanewise(e, part, [&](int i) { return v[0].get(first + i); });
                   }});
        }
      }
      cases.push_back(
          {.name = "splat_" + shape,
           .operands = {{e, 1}},
           .emit = [=](Emitter& m, auto v) { return m.splat(v[0], n); },
           .expected = [=](auto v) { return lanewise(e, n, [&](int) { return v[0].get(0); }); }});
      cases.push_back({.name = "vector_constant_" + shape,
                       .operands = {{e, n}},
                       .emit =
                           [=](Emitter& m, auto v) {
                             std::vector<int64_t> lanes(n);
                             for (int i = 0; i < n; ++i)
                               lanes[i] = (e == Element::f32 ? 0x3f800000 : 0) + 5 * i - 70;
                             const Value c = m.vector_constant(e, lanes);
                             return m.add(m.multiply(v[0], m.zeros(e, n)), c);
                           },
                       .expected =
                           [=](auto) {
                             return lanewise(e, n, [&](int i) {
                               return (e == Element::f32 ? 0x3f800000 : 0) + 5 * i - 70;
                             });
                           },
                       .special = false});
    }
  }
}

}  // namespace qloom::jit::testing
