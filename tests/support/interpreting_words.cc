// Words of InterpretingEmitter that work on several lanes at once: products, sums, lookups, orders.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "tests/support/interpreting_emitter.h"

namespace qloom::testing {

using Value = InterpretingEmitter::Value;
using Element = InterpretingEmitter::Element;

Value InterpretingEmitter::multiply_add_pairs_u8s8(Value a, Value b, jit::Pairs pairs) {
  require(a.element == Element::i8 && b.element == Element::i8 && a.lanes == b.lanes,
          "pairs u8s8: operands");
  const Value r = make(Element::i16, a.lanes / 2);
  emit([this, r, a, b, pairs] {
    for (int i = 0; i < r.lanes; ++i) {
      int64_t sum = 0;
      for (int k = 2 * i; k < 2 * i + 2; ++k)
        sum += static_cast<int64_t>(unsigned_lane(a, k)) * signed_lane(b, k);
      const int64_t clamped = std::min<int64_t>(32767, std::max<int64_t>(-32768, sum));
      require(clamped == sum || pairs == jit::Pairs::saturating,
              "a pair sum that was proven to fit does not");
      set_lane(r, i, clamped);
    }
  });
  return r;
}
Value InterpretingEmitter::multiply_add_pairs_s16(Value a, Value b) {
  require(a.element == Element::i16 && b.element == Element::i16 && a.lanes == b.lanes,
          "pairs s16: operands");
  const Value r = make(Element::i32, a.lanes / 2);
  emit([this, r, a, b] {
    for (int i = 0; i < r.lanes; ++i)
      set_lane(r, i,
               signed_lane(a, 2 * i) * signed_lane(b, 2 * i) +
                   signed_lane(a, 2 * i + 1) * signed_lane(b, 2 * i + 1));
  });
  return r;
}
Value InterpretingEmitter::add_dot_u8s8(Value sum, Value a, Value b) {
  require(sum.element == Element::i32 && a.element == Element::i8 && b.element == Element::i8 &&
              a.lanes == b.lanes && a.lanes == 4 * sum.lanes,
          "dot u8s8: operands");
  const Value r = make(Element::i32, sum.lanes);
  emit([this, r, sum, a, b] {
    for (int i = 0; i < r.lanes; ++i) {
      int64_t total = signed_lane(sum, i);
      for (int k = 4 * i; k < 4 * i + 4; k += 2) {
        const int64_t pair = static_cast<int64_t>(unsigned_lane(a, k)) * signed_lane(b, k) +
                             static_cast<int64_t>(unsigned_lane(a, k + 1)) * signed_lane(b, k + 1);
        require(target().has_dot() || (pair >= -32768 && pair <= 32767),
                "a pair sum of a dot product leaves 16 bits, and the target has no exact one");
        total += pair;
      }
      set_lane(r, i, total);
    }
  });
  return r;
}
Value InterpretingEmitter::add_dot_s16(Value sum, Value a, Value b) {
  return add(sum, multiply_add_pairs_s16(a, b));
}
Value InterpretingEmitter::narrow_saturated(Value v, bool is_signed) {
  require(v.element == Element::i32, "narrow_saturated of no i32");
  const int64_t lo = is_signed ? -128 : 0, hi = is_signed ? 127 : 255;
  return lanewise(Element::i8, v,
                  [this, v, lo, hi](int i) { return std::clamp(signed_lane(v, i), lo, hi); });
}
Value InterpretingEmitter::logic(jit::Logic op, Value a, Value b, Value c) {
  return lanewise(a.element, a, [=, this](int i) -> int64_t {
    const uint64_t x = unsigned_lane(a, i), y = unsigned_lane(b, i), z = unsigned_lane(c, i);
    switch (op) {
      case jit::Logic::and_xor:
        return static_cast<int64_t>(x & (y ^ z));
      case jit::Logic::parity:
        return static_cast<int64_t>(x ^ y ^ z);
      default:
        return static_cast<int64_t>((x & y) | (x & z) | (y & z));
    }
  });
}
Value InterpretingEmitter::popcount_bytes(Value v) {
  require(v.element == Element::i8, "popcount_bytes of no bytes");
  return lanewise(Element::i8, v,
                  [this, v](int i) -> int64_t { return std::popcount(unsigned_lane(v, i)); });
}
Value InterpretingEmitter::sum_bytes(Value v) {
  require(v.element == Element::i8 && v.lanes >= 8, "sum_bytes of no bytes");
  const Value r = make(Element::i64, v.lanes / 8);
  emit([this, r, v] {
    for (int i = 0; i < r.lanes; ++i) {
      uint64_t sum = 0;
      for (int k = 0; k < 8; ++k) sum += unsigned_lane(v, 8 * i + k);
      set_lane(r, i, static_cast<int64_t>(sum));
    }
  });
  return r;
}
Value InterpretingEmitter::reduce_add(Value v) {
  const Value r = make(v.element, 1);
  emit([this, r, v] {
    uint64_t sum = 0;
    for (int i = 0; i < v.lanes; ++i) sum += static_cast<uint64_t>(signed_lane(v, i));
    set_lane(r, 0, static_cast<int64_t>(sum));
  });
  return r;
}
Value InterpretingEmitter::sign_bits(Value v) {
  require(v.element == Element::i8 && v.lanes <= 64, "sign_bits of no bytes");
  const Value r = make(Element::i64, 1);
  emit([this, r, v] {
    uint64_t bits = 0;
    for (int i = 0; i < v.lanes; ++i) bits |= uint64_t{signed_lane(v, i) < 0} << i;
    set_lane(r, 0, static_cast<int64_t>(bits));
  });
  return r;
}
Value InterpretingEmitter::table_lookup(Value table, Value index) {
  require(
      table.element == Element::i8 && index.element == Element::i8 && table.lanes == index.lanes,
      "table_lookup: operands");
  return lanewise(Element::i8, table, [this, table, index](int i) -> int64_t {
    const int64_t k = signed_lane(index, i);
    return k < 0 ? 0 : signed_lane(table, i / 16 * 16 + static_cast<int>(k % 16));
  });
}
Value InterpretingEmitter::permute_bytes(Value table, Value index) {
  require(table.element == Element::i8 && index.element == Element::i8 &&
              table.lanes == index.lanes && table.lanes % 16 == 0 && table.lanes <= 64,
          "permute_bytes: operands");
  return lanewise(Element::i8, table, [this, table, index](int i) {
    return signed_lane(table, static_cast<int>(signed_lane(index, i) & (table.lanes - 1)));
  });
}
Value InterpretingEmitter::interleave(Value a, Value b, bool high) {
  require(a.element == b.element && a.lanes == b.lanes, "interleave: operands differ");
  require(a.bytes() >= 16, "interleave of less than 16 bytes");
  const int block = 16 / bytes_of(a.element);
  return lanewise(a.element, a, [this, a, b, high, block](int i) {
    const int from = i / block * block + (high ? block / 2 : 0) + i % block / 2;
    return signed_lane(i % 2 == 0 ? a : b, from);
  });
}
Value InterpretingEmitter::interleave_low(Value a, Value b) { return interleave(a, b, false); }
Value InterpretingEmitter::interleave_high(Value a, Value b) { return interleave(a, b, true); }
Value InterpretingEmitter::concat(Value a, Value b) {
  require(a.element == b.element && a.lanes == b.lanes, "concat: operands differ");
  const Value r = make(a.element, a.lanes * 2);
  emit([this, r, a, b] {
    std::memcpy(at(r), at(a), static_cast<size_t>(a.bytes()));
    std::memcpy(at(r) + a.bytes(), at(b), static_cast<size_t>(b.bytes()));
  });
  return r;
}
Value InterpretingEmitter::slice(Value v, int first, int lanes) {
  require(first >= 0 && first + lanes <= v.lanes, "slice: out of range");
  const Value r = make(v.element, lanes);
  emit([this, r, v, first] {
    std::memcpy(at(r), at(v) + first * bytes_of(v.element), static_cast<size_t>(r.bytes()));
  });
  return r;
}

}  // namespace qloom::testing
