// Integers, comparisons, widths and floats.
#include "tests/jit/word_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace qloom::jit::testing {

std::string shape_name(Element e, int lanes) {
  return std::string(kElementNames[static_cast<int>(e)]) + "x" + std::to_string(lanes);
}

std::vector<int> all_lanes(Element e, int minimum) {
  std::vector<int> list;
  for (int n = minimum; n * bytes_of(e) <= 128; n *= 2) list.push_back(n);
  return list;
}

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

namespace {

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

}  // namespace

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

namespace {

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
/// The same on f64, of operands that no f32 holds.
struct DoubleWord {
  const char* name;
  Binary op;
  double (*f)(double, double);
};
constexpr DoubleWord kDoubleWords[] = {
    {"add_f64", Binary::add, [](double a, double b) { return a + b; }},
    {"subtract_f64", Binary::subtract, [](double a, double b) { return a - b; }},
    {"multiply_f64", Binary::multiply, [](double a, double b) { return a * b; }},
    {"divide_f64", Binary::divide, [](double a, double b) { return a / b; }},
    {"minimum_f64", Binary::minimum, [](double a, double b) { return a < b ? a : b; }},
    {"maximum_f64", Binary::maximum, [](double a, double b) { return a > b ? a : b; }},
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
    {"square_root", [](Emitter& m, Value v) { return m.square_root(v); },
     [](float a) { return std::sqrt(a); }},
};

}  // namespace

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
    for (const DoubleWord& word : kDoubleWords) {
      // All bits of the result show, the last of them too: as integers.
      if (n > 16) break;
      cases.push_back({.name = std::string(word.name) + "_" + shape_name(f, n),
                       .operands = {{f, n}, {f, n}, {f, n}},
                       .emit =
                           [op = word.op](Emitter& m, auto v) {
                             const Value third = m.to_f64(v[2]);
                             const Value a = m.multiply(m.to_f64(v[0]), third);
                             const Value b = m.add(m.to_f64(v[1]), third);
                             return m.bitcast(m.binary(op, a, b), Element::i64);
                           },
                       .expected =
                           [=, g = word.f](auto v) {
                             return lanewise(Element::i64, n, [&](int i) {
                               const double third = v[2].real(i);
                               const volatile double a = v[0].real(i) * third;
                               const volatile double b = v[1].real(i) + third;
                               return std::bit_cast<int64_t>(g(a, b));
                             });
                           },
                       .special = false});
    }
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

namespace {

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

}  // namespace

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

}  // namespace qloom::jit::testing
