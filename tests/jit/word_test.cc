// Each word of the emitter × element × lanes × lowering against plain C++ on random data.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "tests/jit/run_kernel.h"

namespace qloom::jit {
namespace {

using testing::Lanes;

/// One word on operands of fixed shapes.
struct Case {
  std::string name;
  std::vector<std::pair<Element, int>> operands;
  std::function<Value(Emitter&, std::span<const Value>)> emit;
  std::function<Lanes(std::span<const Lanes>)> expected;
  bool special = true;    ///< NaN and infinities among the operands
  int32_t and_mask = -1;  ///< the second operand's lanes are masked with it (shift amounts)
};

constexpr Element kIntegers[] = {Element::i8, Element::i16, Element::i32, Element::i64};
constexpr const char* kElementNames[] = {"i8", "i16", "i32", "i64", "f32"};

std::string shape_name(Element e, int lanes) {
  return std::string(kElementNames[static_cast<int>(e)]) + "x" + std::to_string(lanes);
}

/// Lanes whose value is at most 128 bytes wide: four registers of AVX2, eight of SSE2.
std::vector<int> all_lanes(Element e, int minimum = 1) {
  std::vector<int> list;
  for (int n = minimum; n * bytes_of(e) <= 128; n *= 2) list.push_back(n);
  return list;
}

/// A result computed lane by lane from integers.
Lanes lanewise(Element e, int lanes, const std::function<int64_t(int)>& f) {
  Lanes r(e, lanes);
  for (int i = 0; i < lanes; ++i) r.set(i, f(i));
  return r;
}
Lanes lanewise_real(int lanes, const std::function<float(int)>& f) {
  Lanes r(Element::f32, lanes);
  for (int i = 0; i < lanes; ++i) r.set_real(i, f(i));
  return r;
}

using Integer = std::function<int64_t(int64_t a, int64_t b, uint64_t ua, uint64_t ub, int width)>;
struct IntegerWord {
  const char* name;
  Binary op;
  Integer f;
};
const std::vector<IntegerWord>& integer_words() {
  static const auto u = [](int64_t v) { return static_cast<uint64_t>(v); };
  static const std::vector<IntegerWord> kWords = {
      {"add", Binary::add, [](auto, auto, auto x, auto y, int) { return int64_t(x + y); }},
      {"subtract", Binary::subtract,
       [](auto, auto, auto x, auto y, int) { return int64_t(x - y); }},
      {"multiply", Binary::multiply,
       [](auto a, auto b, auto, auto, int) { return int64_t(u(a) * u(b)); }},
      {"min_signed", Binary::min_signed,
       [](auto a, auto b, auto, auto, int) { return std::min(a, b); }},
      {"max_signed", Binary::max_signed,
       [](auto a, auto b, auto, auto, int) { return std::max(a, b); }},
      {"min_unsigned", Binary::min_unsigned,
       [](auto, auto, auto x, auto y, int) { return int64_t(std::min(x, y)); }},
      {"max_unsigned", Binary::max_unsigned,
       [](auto, auto, auto x, auto y, int) { return int64_t(std::max(x, y)); }},
      {"and", Binary::bit_and, [](auto a, auto b, auto, auto, int) { return a & b; }},
      {"or", Binary::bit_or, [](auto a, auto b, auto, auto, int) { return a | b; }},
      {"xor", Binary::bit_xor, [](auto a, auto b, auto, auto, int) { return a ^ b; }},
      {"shift_left", Binary::shift_left,
       [](auto, auto b, auto x, auto, int) { return int64_t(x << b); }},
      {"shift_right_logical", Binary::shift_right_logical,
       [](auto, auto b, auto x, auto, int) { return int64_t(x >> b); }},
      {"shift_right_arithmetic", Binary::shift_right_arithmetic,
       [](auto a, auto b, auto, auto, int) { return a >> b; }},
  };
  return kWords;
}

void add_integer_cases(std::vector<Case>& cases) {
  for (const IntegerWord& word : integer_words()) {
    const bool shift = word.op >= Binary::shift_left;
    for (Element e : kIntegers) {
      const int width = 8 * bytes_of(e);
      for (int n : all_lanes(e)) {
        Case c{.name = std::string(word.name) + "_" + shape_name(e, n),
               .operands = {{e, n}, {e, n}},
               .emit = [op = word.op](Emitter& m, auto v) { return m.binary(op, v[0], v[1]); },
               .expected =
                   [=, f = word.f](auto v) {
                     return lanewise(e, n, [&](int i) {
                       return f(v[0].get(i), v[1].get(i), v[0].unsigned_at(i), v[1].unsigned_at(i),
                                width);
                     });
                   }};
        if (shift) c.and_mask = width - 1;
        cases.push_back(c);
        for (int amount : {0, 1, width / 2, width - 1}) {
          if (!shift) break;
          Case k = c;
          k.name += "_by_" + std::to_string(amount);
          k.operands.pop_back();
          k.emit = [op = word.op, amount](Emitter& m, auto v) {
            return m.binary(op, v[0], m.integer(amount));
          };
          k.expected = [=, f = word.f](auto v) {
            return lanewise(e, n, [&](int i) {
              return f(v[0].get(i), amount, v[0].unsigned_at(i), amount, width);
            });
          };
          cases.push_back(k);
        }
      }
    }
  }
}

struct RealWord {
  const char* name;
  Binary op;
  float (*f)(float, float);
};
constexpr RealWord kRealWords[] = {
    {"add", Binary::add, [](float a, float b) { return a + b; }},
    {"subtract", Binary::subtract, [](float a, float b) { return a - b; }},
    {"multiply", Binary::multiply, [](float a, float b) { return a * b; }},
    {"divide", Binary::divide, [](float a, float b) { return a / b; }},
    {"minimum", Binary::minimum, [](float a, float b) { return a < b ? a : b; }},
    {"maximum", Binary::maximum, [](float a, float b) { return a > b ? a : b; }},
};
struct RealFunction {
  const char* name;
  Value (*emit)(Emitter&, Value);
  float (*f)(float);
};
constexpr RealFunction kRealFunctions[] = {
    {"negate", [](Emitter& m, Value v) { return m.negate(v); }, [](float a) { return -a; }},
    {"round_even", [](Emitter& m, Value v) { return m.round_even(v); },
     [](float a) { return std::nearbyint(a); }},
};

void add_real_cases(std::vector<Case>& cases) {
  constexpr Element f = Element::f32;
  for (int n : all_lanes(f)) {
    for (const RealWord& word : kRealWords) {
      cases.push_back(
          {.name = std::string(word.name) + "_" + shape_name(f, n),
           .operands = {{f, n}, {f, n}},
           .emit = [op = word.op](Emitter& m, auto v) { return m.binary(op, v[0], v[1]); },
           .expected =
               [=, g = word.f](auto v) {
                 return lanewise_real(n, [&](int i) { return g(v[0].real(i), v[1].real(i)); });
               }});
    }
    for (const RealFunction& word : kRealFunctions) {
      cases.push_back({.name = std::string(word.name) + "_" + shape_name(f, n),
                       .operands = {{f, n}},
                       .emit = [g = word.emit](Emitter& m, auto v) { return g(m, v[0]); },
                       .expected =
                           [=, g = word.f](auto v) {
                             return lanewise_real(n, [&](int i) { return g(v[0].real(i)); });
                           }});
    }
    cases.push_back(
        {.name = "fused_multiply_add_" + shape_name(f, n),
         .operands = {{f, n}, {f, n}, {f, n}},
         .emit = [](Emitter& m, auto v) { return m.fused_multiply_add(v[0], v[1], v[2]); },
         .expected =
             [=](auto v) {
               return lanewise_real(
                   n, [&](int i) { return std::fma(v[0].real(i), v[1].real(i), v[2].real(i)); });
             }});
    // a·b − round(a·b): every bit of the error shows.
    cases.push_back({.name = "fused_multiply_add_residue_" + shape_name(f, n),
                     .operands = {{f, n}, {f, n}},
                     .emit =
                         [](Emitter& m, auto v) {
                           return m.fused_multiply_add(v[0], v[1],
                                                       m.negate(m.multiply(v[0], v[1])));
                         },
                     .expected =
                         [=](auto v) {
                           return lanewise_real(n, [&](int i) {
                             const float a = v[0].real(i), b = v[1].real(i);
                             return std::fma(a, b, -(a * b));
                           });
                         }});
    // a·b + c rounds twice, whatever the target could do.
    cases.push_back({.name = "multiply_then_add_" + shape_name(f, n),
                     .operands = {{f, n}, {f, n}, {f, n}},
                     .emit = [](Emitter& m, auto v) { return m.add(m.multiply(v[0], v[1]), v[2]); },
                     .expected =
                         [=](auto v) {
                           return lanewise_real(n, [&](int i) {
                             const volatile float product = v[0].real(i) * v[1].real(i);
                             return product + v[2].real(i);
                           });
                         }});
    // Products of f32 are exact in f64; only the last rounding shows.
    cases.push_back({.name = "add_exact_product_" + shape_name(f, n),
                     .operands = {{f, n}, {f, n}, {f, n}},
                     .emit =
                         [](Emitter& m, auto v) {
                           const Value sum = m.add(m.to_f64(v[2]), m.to_f64(v[1]));
                           return m.to_f32(
                               m.add_exact_product(sum, m.to_f64(v[0]), m.to_f64(v[1])));
                         },
                     .expected =
                         [=](auto v) {
                           return lanewise_real(n, [&](int i) {
                             const double a = v[0].real(i), b = v[1].real(i), c = v[2].real(i);
                             const volatile double sum = c + b, product = a * b;
                             return static_cast<float>(sum + product);
                           });
                         }});
    cases.push_back({.name = "to_i32_" + shape_name(f, n),
                     .operands = {{f, n}},
                     .emit = [](Emitter& m, auto v) { return m.to_i32(v[0]); },
                     .expected =
                         [=](auto v) {
                           return lanewise(Element::i32, n, [&](int i) {
                             return static_cast<int64_t>(std::nearbyint(v[0].real(i)));
                           });
                         },
                     .special = false});
    cases.push_back({.name = "to_f32_" + shape_name(f, n),
                     .operands = {{Element::i32, n}},
                     .emit = [](Emitter& m, auto v) { return m.to_f32(v[0]); },
                     .expected =
                         [=](auto v) {
                           return lanewise_real(
                               n, [&](int i) { return static_cast<float>(v[0].get(i)); });
                         }});
  }
}

struct Comparison {
  const char* name;
  Compare op;
  bool (*f)(const Lanes& a, const Lanes& b, int i);
};
constexpr Comparison kComparisons[] = {
    {"equal", Compare::equal,
     [](const Lanes& a, const Lanes& b, int i) { return a.get(i) == b.get(i); }},
    {"less_signed", Compare::less_signed,
     [](const Lanes& a, const Lanes& b, int i) { return a.get(i) < b.get(i); }},
    {"greater_signed", Compare::greater_signed,
     [](const Lanes& a, const Lanes& b, int i) { return a.get(i) > b.get(i); }},
    {"less_unsigned", Compare::less_unsigned,
     [](const Lanes& a, const Lanes& b, int i) { return a.unsigned_at(i) < b.unsigned_at(i); }},
    {"greater_equal", Compare::greater_equal_f32,
     [](const Lanes& a, const Lanes& b, int i) { return a.real(i) >= b.real(i); }},
    {"less", Compare::less_f32,
     [](const Lanes& a, const Lanes& b, int i) { return a.real(i) < b.real(i); }},
    {"equal", Compare::equal_f32,
     [](const Lanes& a, const Lanes& b, int i) { return a.real(i) == b.real(i); }},
};

void add_compare_cases(std::vector<Case>& cases) {
  for (const Comparison& word : kComparisons) {
    for (Element e : {Element::i8, Element::i16, Element::i32, Element::i64, Element::f32}) {
      const bool real = word.op >= Compare::greater_equal_f32;
      if (real != (e == Element::f32)) continue;
      const Element mask = real ? Element::i32 : e;
      for (int n : all_lanes(e)) {
        cases.push_back(
            {.name = std::string("compare_") + word.name + "_" + shape_name(e, n),
             .operands = {{e, n}, {e, n}},
             .emit = [op = word.op](Emitter& m, auto v) { return m.compare(op, v[0], v[1]); },
             .expected =
                 [=, f = word.f](auto v) {
                   return lanewise(mask, n, [&](int i) { return f(v[0], v[1], i) ? -1 : 0; });
                 }});
        cases.push_back({.name = std::string("select_") + word.name + "_" + shape_name(e, n),
                         .operands = {{e, n}, {e, n}, {e, n}},
                         .emit =
                             [op = word.op](Emitter& m, auto v) {
                               return m.select(m.compare(op, v[0], v[1]), v[2], v[0]);
                             },
                         .expected =
                             [=, f = word.f](auto v) {
                               return lanewise(e, n, [&](int i) {
                                 return (f(v[0], v[1], i) ? v[2] : v[0]).get(i);
                               });
                             }});
      }
    }
  }
}

void add_width_cases(std::vector<Case>& cases) {
  for (Element from : kIntegers) {
    for (Element to : kIntegers) {
      for (int n : all_lanes(std::max(from, to))) {
        const std::string tail = shape_name(from, n) + "_" + kElementNames[static_cast<int>(to)];
        if (to > from) {
          cases.push_back(
              {.name = "widen_signed_" + tail,
               .operands = {{from, n}},
               .emit = [=](Emitter& m, auto v) { return m.widen_signed(v[0], to); },
               .expected =
                   [=](auto v) { return lanewise(to, n, [&](int i) { return v[0].get(i); }); }});
          cases.push_back({.name = "widen_unsigned_" + tail,
                           .operands = {{from, n}},
                           .emit = [=](Emitter& m, auto v) { return m.widen_unsigned(v[0], to); },
                           .expected =
                               [=](auto v) {
                                 return lanewise(
                                     to, n, [&](int i) { return int64_t(v[0].unsigned_at(i)); });
                               }});
        } else if (to < from) {
          cases.push_back(
              {.name = "narrow_" + tail,
               .operands = {{from, n}},
               .emit = [=](Emitter& m, auto v) { return m.narrow(v[0], to); },
               .expected =
                   [=](auto v) { return lanewise(to, n, [&](int i) { return v[0].get(i); }); }});
        }
      }
    }
  }
  for (int n : all_lanes(Element::i32)) {
    for (const bool is_signed : {false, true}) {
      // Half of the lanes near the limits, half anywhere.
      cases.push_back(
          {.name = std::string("narrow_saturated_") + (is_signed ? "s8_" : "u8_") +
                   shape_name(Element::i32, n),
           .operands = {{Element::i32, n}, {Element::i16, n}},
           .emit =
               [=](Emitter& m, auto v) {
                 const Value odd = m.splat(m.integer(1, Element::i32), n);
                 const Value is_odd =
                     m.compare(Compare::equal, m.binary(Binary::bit_and, v[0], odd), odd);
                 const Value near =
                     m.binary(Binary::shift_right_arithmetic, m.widen_signed(v[1], Element::i32),
                              m.integer(6, Element::i32));
                 return m.narrow_saturated(m.select(is_odd, near, v[0]), is_signed);
               },
           .expected =
               [=](auto v) {
                 return lanewise(Element::i8, n, [&](int i) {
                   const int64_t x = v[0].get(i) % 2 != 0 ? v[1].get(i) >> 6 : v[0].get(i);
                   return std::clamp<int64_t>(x, is_signed ? -128 : 0, is_signed ? 127 : 255);
                 });
               }});
    }
  }
  for (Element from : {Element::i8, Element::i16, Element::i32, Element::i64, Element::f32}) {
    for (Element to : {Element::i8, Element::i16, Element::i32, Element::i64, Element::f32}) {
      for (int n : all_lanes(from)) {
        if (n * bytes_of(from) % bytes_of(to)) continue;
        const int lanes = n * bytes_of(from) / bytes_of(to);
        cases.push_back(
            {.name = "bitcast_" + shape_name(from, n) + "_" + kElementNames[static_cast<int>(to)],
             .operands = {{from, n}},
             .emit = [=](Emitter& m, auto v) { return m.bitcast(v[0], to); },
             .expected =
                 [=](auto v) {
                   Lanes r(to, lanes);
                   r.bytes = v[0].bytes;
                   return r;
                 }});
      }
    }
  }
}

int64_t saturate16(int64_t v) { return std::clamp<int64_t>(v, -32768, 32767); }

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

const std::vector<Case>& all_cases() {
  static const std::vector<Case> kCases = [] {
    std::vector<Case> cases;
    add_integer_cases(cases);
    add_real_cases(cases);
    add_compare_cases(cases);
    add_width_cases(cases);
    add_byte_cases(cases);
    add_shuffle_cases(cases);
    for (size_t i = 0; i < cases.size(); ++i) cases[i].name += "_" + std::to_string(i);
    return cases;
  }();
  return kCases;
}

/// Buffers 0… hold the operands of `rounds` calls one after the other, the last takes the results.
FunctionSource function_of(const Case& c) {
  return {c.name, [&c](Emitter& e) {
            std::vector<Value> places;
            for (size_t k = 0; k <= c.operands.size(); ++k)
              places.push_back(e.buffer(static_cast<int>(k)));
            e.loop("round", e.integer(0), e.count(), 1, 10, [&](Value round) {
              std::vector<Value> operands;
              for (size_t k = 0; k < c.operands.size(); ++k) {
                const auto [element, lanes] = c.operands[k];
                const Value at = e.offset(places[k], e.multiply(round, lanes * bytes_of(element)));
                operands.push_back(e.load(at, element, lanes));
              }
              const Value result = c.emit(e, operands);
              e.store(e.offset(places.back(), e.multiply(round, result.bytes())), result);
            });
          }};
}

void check(const Case& c, KernelFunction run, std::mt19937_64& random) {
  constexpr int kRounds = 24;
  std::vector<std::vector<Lanes>> operands(kRounds);
  std::vector<std::vector<uint8_t>> memory(c.operands.size() + 1);
  std::vector<Lanes> expected;
  for (auto& round : operands) {
    for (size_t k = 0; k < c.operands.size(); ++k) {
      Lanes v = testing::random_lanes(c.operands[k].first, c.operands[k].second, c.special, random);
      for (int i = 0; k == 1 && c.and_mask >= 0 && i < v.lanes; ++i)
        v.set(i, v.get(i) & c.and_mask);
      memory[k].insert(memory[k].end(), v.bytes.begin(), v.bytes.end());
      round.push_back(std::move(v));
    }
    expected.push_back(c.expected(round));
  }
  memory.back().assign(kRounds * expected[0].bytes.size(), 0xee);
  std::vector<void*> buffers;
  for (auto& m : memory) buffers.push_back(m.data());
  run(buffers.data(), kRounds, 0, 1);
  for (int r = 0; r < kRounds; ++r) {
    Lanes got(expected[r].element, expected[r].lanes);
    std::memcpy(got.bytes.data(), memory.back().data() + r * got.bytes.size(), got.bytes.size());
    if (testing::same(got, expected[r])) continue;
    std::string text;
    for (const Lanes& v : operands[r]) text += "\n  operand:  " + testing::print(v);
    FAIL() << c.name << text << "\n  expected: " << testing::print(expected[r])
           << "\n  got:      " << testing::print(got);
  }
}

/// In groups of functions that one compilation makes.
void check_all(const Target& target, size_t group) {
  const std::vector<Case>& cases = all_cases();
  std::mt19937_64 random(20240607);
  for (size_t first = 0; first < cases.size(); first += group) {
    const size_t last = std::min(cases.size(), first + group);
    std::vector<FunctionSource> functions;
    for (size_t i = first; i < last; ++i) functions.push_back(function_of(cases[i]));
    const auto code = testing::build(functions, target);
    for (size_t i = first; i < last; ++i) {
      auto* run = reinterpret_cast<KernelFunction>(code->symbol(cases[i].name));
      ASSERT_NE(run, nullptr) << cases[i].name;
      check(cases[i], run, random);
    }
  }
}

TEST(Words, AreAllTried) { EXPECT_GT(all_cases().size(), 1000u); }

TEST(Words, Avx512LoweringEqualsPlainCode) {
  if (Target::host().lowering != Lowering::avx512) GTEST_SKIP() << "this processor has no AVX-512";
  check_all(Target::host(), 100);
}

TEST(Words, Avx2LoweringEqualsPlainCode) {
  if (Target::avx2().lowering != Lowering::avx2) GTEST_SKIP() << "this processor has no AVX2";
  check_all(Target::avx2(), 100);
}

TEST(Words, DotProductsOfAnyBytesAreExactWhereTheTargetHasThem) {
  if (!Target::host().has_dot()) GTEST_SKIP() << "this processor has no dot products of bytes";
  constexpr int kLanes = 64;
  std::array<uint8_t, kLanes> a{};
  std::array<int8_t, kLanes> b{};
  std::array<int32_t, kLanes / 4> sum{};
  std::mt19937_64 random(7);
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < kLanes; ++i) {
      a[i] = round == 0 ? 255 : static_cast<uint8_t>(random());
      b[i] = round == 0 ? -128 : static_cast<int8_t>(random());
    }
    testing::build_and_run(
        [](Emitter& e) {
          const Value x = e.load(e.buffer(0), Element::i8, kLanes);
          const Value y = e.load(e.buffer(1), Element::i8, kLanes);
          e.store(e.buffer(2), e.add_dot_u8s8(e.zeros(Element::i32, kLanes / 4), x, y));
        },
        Target::host(), {a.data(), b.data(), sum.data()}, 1);
    for (int i = 0; i < kLanes / 4; ++i) {
      int32_t expected = 0;
      for (int k = 4 * i; k < 4 * i + 4; ++k) expected += a[k] * b[k];
      EXPECT_EQ(sum[i], expected);
    }
  }
}

TEST(Words, PortableLoweringEqualsPlainCode) { check_all(Target::portable(), 100); }

TEST(Words, PortableLoweringCompilesForAArch64) {
  Target target = Target::portable();
  target.triple = "aarch64-unknown-linux-gnu";
  target.cpu = target.tune = "generic";
  target.features.clear();
  std::vector<FunctionSource> functions;
  for (size_t i = 0; i < all_cases().size(); i += 7)
    functions.push_back(function_of(all_cases()[i]));
  const CompiledObject object = compiler().compile(functions, target, {});
  EXPECT_EQ(object.functions.size(), functions.size());
  ASSERT_GT(object.elf.size(), 20u);
  EXPECT_EQ(object.elf[18], 183);  // e_machine: EM_AARCH64
}

}  // namespace
}  // namespace qloom::jit
