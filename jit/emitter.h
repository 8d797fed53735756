#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jit/target.h"

namespace qloom::jit {

/// Element types of values; signedness belongs to operations.
/// f64 comes from f32 and goes there again: what must be rounded once or nearly so (float sums,
/// exponentials). It has add, subtract, multiply, divide, minimum, maximum and add_exact_product;
/// its bits are those of an i64 (bitcast), which is also how constants are made.
enum class Element : uint8_t { i8, i16, i32, i64, f32, pointer, f64 };
[[nodiscard]] constexpr int bytes_of(Element e) {
  constexpr int kBytes[] = {1, 2, 4, 8, 4, 8, 8};
  return kBytes[static_cast<int>(e)];
}

/// A scalar (lanes = 1), vector, or pointer inside one emitter. A handle: cheap to copy,
/// meaningless in another emitter. Lanes may be any power of two; wide vectors become several
/// registers.
struct Value {
  int32_t id = -1;
  Element element = Element::i64;
  int16_t lanes = 1;
  [[nodiscard]] bool valid() const { return id >= 0; }
  [[nodiscard]] int bytes() const { return lanes * bytes_of(element); }
};
/// A variable that loops may change. Becomes a register, never memory, unless registers run out.
struct Variable {
  int32_t id = -1;
  Element element = Element::i64;
  int16_t lanes = 1;
};

enum class Binary : uint8_t {
  add,
  subtract,
  multiply,
  divide,  // f32, f64 or integers (divide: no integers)
  min_signed,
  max_signed,
  min_unsigned,
  max_unsigned,
  minimum,
  maximum,  // f32, f64: (a < b ? a : b), (a > b ? a : b), as x86 min/max
  bit_and,
  bit_or,
  bit_xor,
  shift_left,
  shift_right_logical,
  shift_right_arithmetic,  // b: scalar constant or same-shape vector
};
enum class Compare : uint8_t {
  equal,
  less_signed,
  greater_signed,
  less_unsigned,
  greater_equal_f32,
  less_f32,
  equal_f32
};
/// saturating: pair sums clamp to int16 as the instruction does. proven: the caller has proved that
/// no pair sum leaves int16, so any lowering is right.
enum class Pairs : uint8_t { saturating, proven };

/// Of three integers, bit by bit.
enum class Logic : uint8_t {
  and_xor,   ///< a & (b ^ c)
  parity,    ///< a ^ b ^ c: the sum of a full adder
  majority,  ///< at least two of three: its carry
};

/// The vocabulary in which kernels are written, once for every target. Two families implement it:
/// llvm_emit (machine code; per-target lowerings and a portable one) and count_emit (cost). A
/// kernel is one function:  void f(void* const* buffers, int64_t count, int64_t begin, int64_t
/// end): of each of `count` samples it computes the work items [begin, end). What an item is, and
/// how many a sample has, each kernel says itself; a kernel that cannot be cut has one and need not
/// look.
///
/// Table lookups and interleaves act within 16-byte lanes; everything else is lane-agnostic. All
/// memory accesses may be unaligned. Buffers do not overlap, except where both are only read. Float
/// operations are single roundings, never contracted, never reordered.
class Emitter {
 public:
  virtual ~Emitter() = default;
  [[nodiscard]] virtual const Target& target() const = 0;
  /// Width in bytes of the target's vectors, the natural size of tiles.
  [[nodiscard]] int bytes() const { return target().vector_bytes; }

  // --- arguments and constants ------------------------------------------------------------------
  virtual Value buffer(int index) = 0;  ///< pointer buffers[index]; emit before loops
  virtual Value count() = 0;            ///< i64
  virtual Value begin() = 0;            ///< i64: first work item of each sample
  virtual Value end() = 0;              ///< i64: behind the last work item
  virtual Value integer(int64_t v, Element e = Element::i64) = 0;  ///< scalar constant
  virtual Value real(float v) = 0;
  virtual Value splat(Value scalar, int lanes) = 0;
  virtual Value zeros(Element e, int lanes) = 0;
  /// A vector constant, one integer (or float bits for f32) per lane.
  virtual Value vector_constant(Element e, std::span<const int64_t> lanes) = 0;

  // --- memory -----------------------------------------------------------------------------------
  virtual Value offset(Value pointer, Value bytes) = 0;  ///< bytes: i64 scalar
  virtual Value load(Value pointer, Element e, int lanes = 1) = 0;
  /// One scalar of `e` from memory in every lane; a folded broadcast where the target has one.
  virtual Value load_splat(Value pointer, Element e, int lanes) = 0;
  /// 16 bytes from memory repeated in every 16-byte lane: the table operand of table_lookup.
  virtual Value load_table(Value pointer) = 0;
  virtual void store(Value pointer, Value v) = 0;
  /// Only the first `lanes` lanes (a constant, 1..v.lanes) are written.
  virtual void store_first(Value pointer, Value v, int lanes) = 0;

  // --- arithmetic -------------------------------------------------------------------------------
  virtual Value binary(Binary op, Value a, Value b) = 0;  ///< same element and lanes
  virtual Value compare(
      Compare op, Value a,
      Value b) = 0;  ///< all-ones or zero per lane, integer element of the same width
  virtual Value select(Value mask, Value a,
                       Value b) = 0;  ///< mask from compare: a where set, else b
  virtual Value negate(Value a) = 0;
  virtual Value fused_multiply_add(Value a, Value b, Value c) = 0;  ///< f32: a·b + c, one rounding
  virtual Value round_even(Value f32) = 0;
  virtual Value square_root(Value f32) = 0;  ///< correctly rounded; NaN below 0
  virtual Value to_f32(Value v) = 0;         ///< i32 or f64; round to nearest even
  virtual Value to_f64(Value f32) = 0;       ///< exact
  /// f64: sum + a·b, where a and b have come from f32, so that the product is exact and a fused
  /// operation rounds as two do.
  virtual Value add_exact_product(Value sum, Value a, Value b) = 0;
  virtual Value to_i32(Value f32) = 0;  ///< round to nearest even; |x| < 2^31 promised
  virtual Value widen_signed(Value v, Element e) = 0;  ///< same lanes, wider element
  virtual Value widen_unsigned(Value v, Element e) = 0;
  virtual Value narrow(Value v, Element e) = 0;  ///< same lanes, truncates
  /// i32 → i8, same lanes: clamped to 0..255, or to -128..127 (is_signed). Cheapest for four
  /// registers at once.
  virtual Value narrow_saturated(Value i32, bool is_signed) = 0;
  virtual Value bitcast(Value v, Element e) = 0;  ///< same bytes
  /// u8 × s8, adjacent products added: i8 vectors of L lanes → i16 of L/2.
  virtual Value multiply_add_pairs_u8s8(Value u8, Value s8, Pairs pairs) = 0;
  /// s16 × s16, adjacent products added in 32 bits: i16 of L → i32 of L/2.
  virtual Value multiply_add_pairs_s16(Value a, Value b) = 0;
  /// sum + u8 × s8, four neighbouring products a lane: i32 of L/4, i8 of L. Sums are modulo 2^32.
  /// Where the target has no dot products (Target::has_dot) pair sums must lie in int16, as with
  /// Pairs::proven.
  virtual Value add_dot_u8s8(Value sum, Value u8, Value s8) = 0;
  /// sum + s16 × s16, two neighbouring products a lane: i32 of L/2, i16 of L. Modulo 2^32.
  virtual Value add_dot_s16(Value sum, Value a, Value b) = 0;
  /// Bit by bit, same element and lanes: one operation where the target has ternary logic.
  virtual Value logic(Logic op, Value a, Value b, Value c) = 0;
  /// Population count of each i8.
  virtual Value popcount_bytes(Value v) = 0;
  /// Sum of each group of eight u8 into an i64 lane: i8 of L → i64 of L/8.
  virtual Value sum_bytes(Value v) = 0;
  virtual Value reduce_add(Value v) = 0;  ///< integer vector → scalar
  virtual Value sign_bits(Value i8) = 0;  ///< bit i of an i64 scalar = top bit of lane i

  // --- shuffles ---------------------------------------------------------------------------------
  /// result[i] = table[16·⌊i/16⌋ + index[i] mod 16], 0 where the index has its top bit set.
  virtual Value table_lookup(Value table, Value index) = 0;
  /// result[i] = table[index[i] mod lanes], i8 vectors of 16, 32 or 64 lanes: across 16-byte lanes.
  /// Slow unless the target has dot products.
  virtual Value permute_bytes(Value table, Value index) = 0;
  virtual Value interleave_low(Value a, Value b) = 0;  ///< within 16-byte lanes
  virtual Value interleave_high(Value a, Value b) = 0;
  virtual Value concat(Value a, Value b) = 0;  ///< a's lanes, then b's
  virtual Value slice(Value v, int first, int lanes) = 0;

  // --- control ----------------------------------------------------------------------------------
  virtual Variable variable(Value initial) = 0;
  virtual Value get(Variable v) = 0;
  virtual void set(Variable v, Value value) = 0;
  /// for (i = begin; i < end; i += step) body(i). All i64. `expected` is the number of iterations
  /// the cost model assumes where begin or end is not a constant. Never unrolled by the compiler.
  virtual void loop(std::string_view name, Value begin, Value end, int64_t step, double expected,
                    const std::function<void(Value)>& body) = 0;
  /// Runs body when a < b (i64 scalars).
  virtual void if_less(Value a, Value b, const std::function<void()>& body) = 0;
  /// Calls another emitted function (KernelFunction) by its symbol. It may read and write whatever
  /// `buffers` (pointers) point to.
  virtual void call(std::string_view symbol, std::span<const Value> buffers, Value count,
                    Value begin, Value end) = 0;

  // --- spellings --------------------------------------------------------------------------------
  Value add(Value a, Value b) { return binary(Binary::add, a, b); }
  Value subtract(Value a, Value b) { return binary(Binary::subtract, a, b); }
  Value multiply(Value a, Value b) { return binary(Binary::multiply, a, b); }
  Value and_xor(Value mask, Value a, Value b) { return logic(Logic::and_xor, mask, a, b); }
  Value add(Value a, int64_t b) { return add(a, integer(b)); }
  Value multiply(Value a, int64_t b) { return multiply(a, integer(b)); }
  Value offset(Value pointer, int64_t bytes) { return offset(pointer, integer(bytes)); }
};

/// A function to be emitted: its symbol, and what writes its body.
struct FunctionSource {
  std::string name;
  std::function<void(Emitter&)> emit;
  /// Emitted for Target::without_avx512 of whatever the others are for.
  bool without_avx512 = false;
};

}  // namespace qloom::jit
