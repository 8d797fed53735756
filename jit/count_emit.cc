// jit/count_emit.cc: the emitter's words as numbers of operations. The table below says what
// llvm_emit makes of each word; README.md says where its figures come from.
#include "jit/count_emit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <set>

#include "graph/support/error.h"

namespace qloom::jit {
namespace {

/// Operations per register of the operand, by pipe.
struct Ops {
  double alu = 0, shuffle = 0, multiply = 0;
};

enum class Word : uint8_t {
  any,  // add, subtract, and, or, xor of integers; a blend
  shift,
  shift_i8,
  multiply_i8,
  multiply_i16,  // and i32
  multiply_i64,
  real,  // add, multiply, minimum, compare, conversion of f32 and f64
  divide,
  divide_f64,
  min_max,
  min_max_i64,
  compare,  // signed integers
  compare_unsigned,
  select,
  fma,
  round,
  to_i32,
  widen,         // per register of the result
  widen_loaded,  // beyond the load
  narrow,
  narrow_saturated,
  pairs_u8s8,
  pairs_s16,
  dot_u8s8,
  dot_s16,
  and_xor,  // the words of Logic, in its order
  parity,
  majority,
  popcount,
  sum_bytes,
  lookup,
  repeat_table,  // beyond its load
  interleave,
  move_lanes,    // between the halves of a register, or from a scalar register
  unlike_signs,  // of a byte product, for each of its operands once, however often it is used
  count_
};

/// What a word becomes, in the order of Lowering.
struct WordCost {
  Word word;
  std::array<Ops, 4> ops;
};
// clang-format off: columns in the order of Lowering: avx512, avx2, neon, portable
constexpr WordCost kCosts[] = {
    {Word::any, {{{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}}}},
    {Word::shift, {{{0, 1, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}}}},
    {Word::shift_i8, {{{1.5, 1, 0}, {1.5, 1, 0}, {0, 1, 0}, {1.5, 1, 0}}}},  // shift as words, mask, sign
    {Word::multiply_i8, {{{2, 3, 2}, {2, 3, 2}, {1, 0, 0}, {2, 4, 2}}}},  // widen, multiply, narrow
    {Word::multiply_i16, {{{0, 0, 1}, {0, 0, 1}, {0, 0, 2}, {0, 1, 1.5}}}},  // SSE2 has no 32-bit multiply
    {Word::multiply_i64, {{{0, 0, 1.5}, {2, 3, 3}, {4, 1, 4}, {2, 3, 3}}}},  // three products of halves
    {Word::real, {{{0, 0, 1}, {0, 0, 1}, {1, 0, 0}, {0, 0, 1}}}},
    {Word::divide, {{{0, 0, 14}, {0, 0, 10}, {0, 0, 7}, {0, 0, 7}}}},  // 5 and 3.5 cycles on both pipes
    {Word::divide_f64, {{{0, 0, 18}, {0, 0, 10}, {0, 0, 7}, {0, 0, 8}}}},
    {Word::min_max, {{{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {4, 0, 0}}}},  // compare and blend by hand
    {Word::min_max_i64, {{{1, 0, 0}, {2, 0, 0}, {2, 0, 0}, {8, 2, 0}}}},
    {Word::compare, {{{0, 0, 1.5}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}}}},  // into a mask register
    {Word::compare_unsigned, {{{0, 0, 1.5}, {2, 0, 0}, {1, 0, 0}, {3, 0, 0}}}},
    {Word::select, {{{1, 0, 0}, {1, 0, 0}, {2, 0, 0}, {3, 0, 0}}}},
    {Word::fma, {{{0, 0, 1}, {0, 0, 1}, {1, 0, 0}, {12, 6, 16}}}},  // in doubles, rounded to odd
    {Word::round, {{{0, 0, 1}, {0, 0, 1}, {0, 0, 2}, {5, 0, 3}}}},
    {Word::to_i32, {{{0, 0, 1}, {0, 0, 1}, {0, 0, 2}, {5, 0, 4}}}},
    {Word::widen, {{{0, 1, 0}, {0, 2.5, 0}, {0, 1, 0}, {0, 1.5, 0}}}},  // vpmovsx of a register: 0.8 a cycle
    {Word::widen_loaded, {{{0, 1, 0}, {0, 0, 0}, {0, 1, 0}, {0, 0, 0}}}},  // of 64 bytes: 1 a cycle
    {Word::narrow, {{{0, 1, 0}, {1, 2, 0}, {1, 0, 0}, {1, 1, 0}}}},  // mask, pack, order the halves
    {Word::narrow_saturated, {{{0, 1, 0}, {0, 1.25, 0}, {0, 1.5, 0}, {8, 1, 0}}}},  // two packs, ordering
    {Word::pairs_u8s8, {{{0, 0, 1}, {0, 0, 1}, {2, 0, 2}, {6, 8, 2}}}},
    {Word::pairs_s16, {{{0, 0, 1}, {0, 0, 1}, {1, 0, 2}, {0, 0, 1}}}},  // LLVM finds pmaddwd in plain IR
    {Word::dot_u8s8, {{{0, 0, 1}, {1, 0, 2}, {2, 0, 0}, {8, 10, 2}}}},
    {Word::dot_s16, {{{0, 0, 1}, {1, 0, 1}, {2, 0, 2}, {1, 0, 1}}}},
    {Word::and_xor, {{{1.6, 0, 0}, {2, 0, 0}, {2, 0, 0}, {2, 0, 0}}}},  // beside population counts
    {Word::parity, {{{1.2, 0, 0}, {2, 0, 0}, {2, 0, 0}, {2, 0, 0}}}},
    {Word::majority, {{{1.2, 0, 0}, {3, 0, 0}, {3, 0, 0}, {3, 0, 0}}}},  // beside a parity
    {Word::popcount, {{{0, 1, 0}, {3, 3, 0}, {1, 0, 0}, {8, 3, 0}}}},
    {Word::sum_bytes, {{{0, 0, 1}, {0, 0, 1}, {3, 0, 0}, {8, 3, 0}}}},
    {Word::lookup, {{{0, 1, 0}, {0, 1, 0}, {2, 0, 0}, {48, 40, 0}}}},  // portable: a comparison per entry
    {Word::repeat_table, {{{0, 1, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}}},  // 16 bytes to 64: no load alone
    {Word::interleave, {{{0.3, 0.7, 0}, {0, 1, 0}, {1, 0, 0}, {0, 1, 0}}}},  // Zen 4: on a third pipe too
    {Word::move_lanes, {{{0, 2, 0}, {0, 2, 0}, {1, 0, 0}, {0, 1, 0}}}},  // crosses 16-byte lanes: 1 a cycle
    {Word::unlike_signs, {{{0, 0, 0}, {0, 0, 0}, {1, 0, 0}, {0, 0, 0}}}},  // u − 128; 128 s
};
// clang-format on
constexpr bool complete() {
  for (size_t i = 0; i < std::size(kCosts); ++i) {
    if (kCosts[i].word != static_cast<Word>(i)) return false;
  }
  return std::size(kCosts) == static_cast<size_t>(Word::count_);
}
static_assert(complete(), "one row per word, in order");

constexpr double kCallOperations = 20;  // arguments, saved registers, buffers loaded again

class CountEmitter final : public Emitter {
 public:
  CountEmitter(const Target& target, int64_t count, int64_t items)
      : target_(target), count_(count), items_(items) {}

  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] const Target& target() const override { return target_; }

  Value buffer(int) override {
    counts_.scalar += 1;
    return make(Element::pointer, 1, {});
  }
  Value count() override { return make(Element::i64, 1, {.constant = count_}); }
  Value begin() override { return make(Element::i64, 1, {.constant = 0}); }
  Value end() override { return make(Element::i64, 1, {.constant = items_}); }
  Value integer(int64_t v, Element e) override { return make(e, 1, {.constant = v, .free = true}); }
  Value real(float) override { return make(Element::f32, 1, {.free = true}); }
  Value splat(Value scalar, int lanes) override {
    const Info& info = at(scalar);
    if (!info.free && lanes > 1) {
      vector_once(Word::move_lanes, info.level);
    }
    return make(scalar.element, lanes, {.free = info.free, .level = info.level});
  }
  Value zeros(Element e, int lanes) override { return make(e, lanes, {.free = true}); }
  Value vector_constant(Element e, std::span<const int64_t> lanes) override {
    return make(e, static_cast<int>(lanes.size()), {.free = true});
  }

  Value offset(Value pointer, Value bytes) override {
    const int level = std::max(at(pointer).level, at(bytes).level);
    if (!at(bytes).constant) scalar(1, level);  // constants go into the address
    return make(Element::pointer, 1, {.level = level});
  }
  Value load(Value, Element e, int lanes) override {
    add_load(registers(lanes * bytes_of(e)), lanes * bytes_of(e));
    return make(e, lanes, {.level = level(), .loaded = true});
  }
  Value load_splat(Value, Element e, int lanes) override {
    add_load(1, bytes_of(e));
    return make(e, lanes, {.level = level()});
  }
  Value load_table(Value) override {
    add_load(1, 16);
    vector_once(Word::repeat_table, level());
    return make(Element::i8, bytes(), {.level = level()});
  }
  void store(Value, Value v) override { add_store(registers(v.bytes()), v.bytes()); }
  void store_first(Value, Value v, int lanes) override {
    const int stored = lanes * bytes_of(v.element);
    const int whole = stored / bytes(), rest = lanes - whole * bytes() / bytes_of(v.element);
    const int pieces = std::popcount(static_cast<unsigned>(std::max(rest, 0)));
    for (int i = 1; i < pieces; ++i) vector_once(Word::move_lanes, level());
    add_store(whole + pieces, stored);
  }

  Value binary(Binary op, Value a, Value b) override {
    const int depth = std::max(at(a).level, at(b).level);
    const bool address = a.element == Element::i64 && a.lanes == 1;
    const auto folded = address ? fold(op, at(a).constant, at(b).constant) : std::nullopt;
    const bool free = at(a).free && at(b).free;
    // Masks are turned by comparing the other way round.
    const bool turned = op == Binary::bit_xor && at(a).mask && at(b).free;
    if (!free && !folded && !turned) operate(word_of(op, a.element), a, depth);
    return make(a.element, a.lanes,
                {.constant = folded, .free = free, .level = depth, .mask = turned});
  }
  Value compare(Compare op, Value a, Value b) override {
    const bool real = op >= Compare::greater_equal_f32;
    const Element e = real ? Element::i32 : a.element;
    const Value result = apply(real                           ? Word::real
                               : op == Compare::less_unsigned ? Word::compare_unsigned
                                                              : Word::compare,
                               {a, b}, e, a.lanes);
    infos_[result.id].mask = target_.lowering == Lowering::avx512;
    return result;
  }
  Value select(Value mask, Value a, Value b) override {
    return apply(Word::select, {a, b, mask}, a.element, a.lanes);
  }
  Value negate(Value a) override { return apply(Word::any, {a}, a.element, a.lanes); }
  Value fused_multiply_add(Value a, Value b, Value c) override {
    return apply(Word::fma, {a, b, c}, a.element, a.lanes);
  }
  Value round_even(Value v) override { return apply(Word::round, {v}, v.element, v.lanes); }
  Value square_root(Value v) override { return apply(Word::divide, {v}, v.element, v.lanes); }
  Value to_f32(Value v) override { return apply(Word::real, {v}, Element::f32, v.lanes); }
  Value to_f64(Value v) override {
    const Info info = at(v);
    const Value result = make(Element::f64, v.lanes, {.free = info.free, .level = info.level});
    if (!info.free) vector(Word::real, registers(result.bytes()), info.level);
    return result;
  }
  Value add_exact_product(Value sum, Value a, Value b) override {
    return apply(Word::fma, {sum, a, b}, Element::f64, sum.lanes);
  }
  Value to_i32(Value v) override { return apply(Word::to_i32, {v}, Element::i32, v.lanes); }
  Value widen_signed(Value v, Element e) override { return widen(v, e); }
  Value widen_unsigned(Value v, Element e) override { return widen(v, e); }
  Value narrow(Value v, Element e) override {
    if (at(v).mask) return make(e, v.lanes, at(v));
    return apply(Word::narrow, {v}, e, v.lanes, v.element == e);
  }
  Value narrow_saturated(Value v, bool) override {
    return apply(Word::narrow_saturated, {v}, Element::i8, v.lanes);
  }
  Value bitcast(Value v, Element e) override {
    Info info = at(v);
    info.constant.reset();
    return make(e, v.bytes() / bytes_of(e), info);
  }
  Value multiply_add_pairs_u8s8(Value u8, Value s8, Pairs) override {
    unlike_signs({u8, s8});
    return apply(Word::pairs_u8s8, {u8, s8}, Element::i16, u8.lanes / 2);
  }
  Value multiply_add_pairs_s16(Value a, Value b) override {
    return apply(Word::pairs_s16, {a, b}, Element::i32, a.lanes / 2);
  }
  Value add_dot_u8s8(Value sum, Value u8, Value s8) override {
    unlike_signs({u8, s8});
    return apply(Word::dot_u8s8, {u8, s8, sum}, Element::i32, sum.lanes);
  }
  Value add_dot_s16(Value sum, Value a, Value b) override {
    return apply(Word::dot_s16, {a, b, sum}, Element::i32, sum.lanes);
  }
  Value logic(Logic op, Value a, Value b, Value c) override {
    const auto word = static_cast<Word>(static_cast<int>(Word::and_xor) + static_cast<int>(op));
    return apply(word, {a, b, c}, a.element, a.lanes);
  }
  Value popcount_bytes(Value v) override { return apply(Word::popcount, {v}, v.element, v.lanes); }
  Value sum_bytes(Value v) override {
    return apply(Word::sum_bytes, {v}, Element::i64, v.lanes / 8);
  }
  Value reduce_add(Value v) override {
    // Registers are added to one, which is halved until one lane is left, which moves out.
    const int depth = at(v).level, width = std::min(v.bytes(), bytes());
    for (int i = 1; i < registers(v.bytes()); ++i) vector_once(Word::any, depth);
    for (int lanes = width / bytes_of(v.element); lanes > 1; lanes /= 2) {
      vector_once(Word::interleave, depth);
      vector_once(Word::any, depth);
    }
    if (v.lanes > 1) vector_once(Word::move_lanes, depth);
    return make(v.element, 1, {.level = depth});
  }
  Value sign_bits(Value v) override {
    const int depth = at(v).level;
    if (at(v).mask)
      vector_once(Word::shift, depth);
    else
      operate(Word::move_lanes, v, depth);
    if (const int parts = registers(v.bytes()); parts > 1) scalar(2 * (parts - 1), depth);
    return make(Element::i64, 1, {.level = depth});
  }

  Value table_lookup(Value table, Value index) override {
    return apply(Word::lookup, {table, index}, Element::i8, table.lanes);
  }
  Value permute_bytes(Value table, Value index) override {
    if (target_.lowering == Lowering::avx512) return table_lookup(table, index);
    Value found = table_lookup(table, index);
    for (int part = 16; part < table.lanes; part += 16)
      found = select(index, table_lookup(table, index), found);
    return found;
  }
  Value interleave_low(Value a, Value b) override {
    return apply(Word::interleave, {a, b}, a.element, a.lanes);
  }
  Value interleave_high(Value a, Value b) override { return interleave_low(a, b); }
  Value concat(Value a, Value b) override {
    const int depth = std::max(at(a).level, at(b).level);
    const bool free = at(a).free && at(b).free;
    if (!free && a.bytes() < bytes()) vector_once(Word::move_lanes, depth);
    return make(a.element, 2 * a.lanes, {.free = free, .level = depth});
  }
  Value slice(Value v, int first, int lanes) override {
    const Info& info = at(v);
    // The low part of a register is a name for it; other parts move.
    if (!info.free && first * bytes_of(v.element) % bytes() != 0)
      vector_once(Word::move_lanes, info.level);
    return make(v.element, lanes, {.free = info.free, .level = info.level});
  }

  Variable variable(Value initial) override { return {0, initial.element, initial.lanes}; }
  Value get(Variable v) override { return make(v.element, v.lanes, {.level = level()}); }
  void set(Variable, Value) override {}
  void loop(std::string_view, Value begin, Value end, int64_t step, double expected,
            const std::function<void(Value)>& body) override {
    qloom_assert(step > 0, "loop: the step must be positive, is ", step);
    const auto first = at(begin).constant, last = at(end).constant;
    double rounds = expected;
    if (first && last)
      rounds = *last > *first ? static_cast<double>((*last - *first + step - 1) / step) : 0;
    weights_.push_back(weights_.back() * rounds);
    scalar(2, level());  // step, compare and branch
    body(make(Element::i64, 1, {.level = level()}));
    weights_.pop_back();
  }
  void if_less(Value a, Value b, const std::function<void()>& body) override {
    const auto x = at(a).constant, y = at(b).constant;
    if (!(x && y)) scalar(1, level());
    // A level of its own: what is inside is not moved in front of the condition.
    weights_.push_back(weights_.back() * (x && y && *x >= *y ? 0 : 1));
    body();
    weights_.pop_back();
  }
  void call(std::string_view, std::span<const Value> buffers, Value, Value, Value) override {
    add_store(static_cast<double>(buffers.size()), 8.0 * static_cast<double>(buffers.size()));
    scalar(kCallOperations, level());
  }

 private:
  struct Info {
    std::optional<int64_t> constant = {};  ///< of a scalar, where it is known
    bool free = false;                     ///< known when the code is made: costs nothing
    int level = 0;                         ///< nesting of the loop that it changes in
    bool loaded = false;  ///< straight from memory: widening may fold into the load
    bool mask = false;    ///< lies in a mask register, one bit a lane
  };

  [[nodiscard]] const Info& at(Value v) const {
    qloom_assert(v.valid() && v.id < static_cast<int32_t>(infos_.size()),
                 "count: not a value of this emitter");
    return infos_[v.id];
  }
  Value make(Element e, int lanes, Info info) {
    infos_.push_back(info);
    return {static_cast<int32_t>(infos_.size()) - 1, e, static_cast<int16_t>(lanes)};
  }
  [[nodiscard]] int level() const { return static_cast<int>(weights_.size()) - 1; }
  [[nodiscard]] int registers(int value_bytes) const { return std::max(1, value_bytes / bytes()); }

  void scalar(double n, int depth) { counts_.scalar += n * weights_[depth]; }
  void vector(Word word, double times, int depth) {
    const Ops& ops = kCosts[static_cast<size_t>(word)].ops[static_cast<size_t>(target_.lowering)];
    const double n = times * weights_[depth];
    counts_.vector_alu += n * ops.alu;
    counts_.shuffle += n * ops.shuffle;
    counts_.multiply += n * ops.multiply;
  }
  void vector_once(Word word, int depth) { vector(word, 1, depth); }
  void unlike_signs(std::initializer_list<Value> operands) {
    for (const Value v : operands)
      if (!at(v).free && prepared_.insert(v.id).second)
        vector(Word::unlike_signs, registers(v.bytes()), at(v).level);
  }
  /// The word on every register of v; one scalar operation where v is a scalar integer.
  void operate(Word word, Value v, int depth) {
    if (v.lanes == 1 && v.element != Element::f32 && v.element != Element::f64) {
      scalar(1, depth);
    } else {
      vector(word, registers(v.bytes()), depth);
    }
  }
  Value apply(Word word, std::initializer_list<Value> operands, Element e, int lanes,
              bool nothing = false) {
    int depth = 0;
    bool free = true;
    for (Value v : operands) {
      depth = std::max(depth, at(v).level);
      free = free && at(v).free;
    }
    if (!free && !nothing) operate(word, *operands.begin(), depth);
    return make(e, lanes, {.free = free, .level = depth});
  }
  Value widen(Value v, Element e) {
    const Info info = at(v);
    const Value result = make(e, v.lanes, {.free = info.free, .level = info.level});
    if (info.free || e == v.element) return result;
    if (v.lanes == 1) {
      if (!info.loaded) scalar(1, info.level);
    } else if (info.loaded) {
      // Loads that widen: one for each register of the result.
      vector(Word::widen_loaded, registers(result.bytes()), info.level);
      const int more = registers(result.bytes()) - registers(v.bytes());
      counts_.loads += more * weights_[info.level];
    } else {
      vector(Word::widen, registers(result.bytes()), info.level);
    }
    return result;
  }
  void add_load(double n, double load_bytes) {
    counts_.loads += n * weights_.back();
    counts_.load_bytes += load_bytes * weights_.back();
  }
  void add_store(double n, double store_bytes) {
    counts_.stores += n * weights_.back();
    counts_.store_bytes += store_bytes * weights_.back();
  }

  /// Of 64-bit scalars, which trip counts and offsets are made of.
  static std::optional<int64_t> fold(Binary op, std::optional<int64_t> a,
                                     std::optional<int64_t> b) {
    if (!a || !b) return std::nullopt;
    int64_t r = 0;
    const bool shiftable = *b >= 0 && *b < 64;
    switch (op) {
      case Binary::add:
        return __builtin_add_overflow(*a, *b, &r) ? std::nullopt : std::optional(r);
      case Binary::subtract:
        return __builtin_sub_overflow(*a, *b, &r) ? std::nullopt : std::optional(r);
      case Binary::multiply:
        return __builtin_mul_overflow(*a, *b, &r) ? std::nullopt : std::optional(r);
      case Binary::min_signed:
        return std::min(*a, *b);
      case Binary::max_signed:
        return std::max(*a, *b);
      case Binary::bit_and:
        return *a & *b;
      case Binary::shift_left:
        return shiftable ? std::optional(static_cast<int64_t>(static_cast<uint64_t>(*a) << *b))
                         : std::nullopt;
      case Binary::shift_right_arithmetic:
        return shiftable ? std::optional(*a >> *b) : std::nullopt;
      default:
        return std::nullopt;
    }
  }

  static Word word_of(Binary op, Element e) {
    const bool wide = e == Element::i64, real = e == Element::f32 || e == Element::f64;
    switch (op) {
      case Binary::add:
      case Binary::subtract:
        return real ? Word::real : Word::any;
      case Binary::multiply:
        return real               ? Word::real
               : e == Element::i8 ? Word::multiply_i8
               : wide             ? Word::multiply_i64
                                  : Word::multiply_i16;
      case Binary::divide:
        return e == Element::f64 ? Word::divide_f64 : Word::divide;
      case Binary::min_signed:
      case Binary::max_signed:
      case Binary::min_unsigned:
      case Binary::max_unsigned:
        return wide ? Word::min_max_i64 : Word::min_max;
      case Binary::minimum:
      case Binary::maximum:
        return Word::real;
      case Binary::bit_and:
      case Binary::bit_or:
      case Binary::bit_xor:
        return Word::any;
      case Binary::shift_left:
      case Binary::shift_right_logical:
      case Binary::shift_right_arithmetic:
        return e == Element::i8 ? Word::shift_i8 : Word::shift;
    }
    qloom_assert(false, "count: unknown operation");
    return Word::any;
  }

  const Target& target_;
  int64_t count_, items_;
  Counts counts_;
  std::vector<double> weights_ = {1};  ///< executions of each enclosing level
  std::vector<Info> infos_;
  std::set<int32_t> prepared_;  ///< operands of byte products so far
};

}  // namespace

Counts& Counts::operator+=(const Counts& o) {
  vector_alu += o.vector_alu;
  shuffle += o.shuffle;
  multiply += o.multiply;
  loads += o.loads;
  stores += o.stores;
  scalar += o.scalar;
  load_bytes += o.load_bytes;
  store_bytes += o.store_bytes;
  return *this;
}

Counts Counts::scaled(double factor) const {
  Counts c = *this;
  for (double* v : {&c.vector_alu, &c.shuffle, &c.multiply, &c.loads, &c.stores, &c.scalar,
                    &c.load_bytes, &c.store_bytes}) {
    *v *= factor;
  }
  return c;
}

Counts count_operations(const FunctionSource& function, const Target& target, int64_t count,
                        int64_t items) {
  const Target of_function = function.without_avx512 ? target.without_avx512() : target;
  CountEmitter emitter(of_function, count, items);
  function.emit(emitter);
  return emitter.counts();
}

namespace {

/// Cycles that a byte takes to come from memory that holds a working set. Near the size of a cache
/// part of the set is found there, the rest in the next level.
double cycles_per_byte(const Target& target, int64_t working_set_bytes) {
  const PortRates& r = target.rates;
  constexpr double kBegin = 0.75, kEnd = 1.25;  // times a cache's size
  double cycles = 1 / r.l1_bytes;
  const auto beyond = [&](int64_t cache_bytes, double next_bytes) {
    const double fill = static_cast<double>(working_set_bytes) / static_cast<double>(cache_bytes);
    const double share = std::clamp((fill - kBegin) / (kEnd - kBegin), 0.0, 1.0);
    cycles += share * (1 / next_bytes - cycles);
  };
  beyond(target.l1_bytes, r.l2_bytes);
  beyond(target.l2_bytes, r.l3_bytes);
  beyond(target.l3_bytes, r.memory_bytes);
  return cycles;
}

}  // namespace

double predicted_ns(const Counts& counts, const Target& target, int64_t working_set_bytes) {
  const PortRates& r = target.rates;
  const double vector = counts.vector_alu + counts.shuffle + counts.multiply;
  // A load that an operation takes from memory needs no slot of its own.
  const double cycles =
      std::max({vector / r.vector_alu, counts.shuffle / r.shuffle, counts.multiply / r.multiply,
                counts.loads / r.load, counts.stores / r.store, counts.store_bytes / r.store_width,
                counts.scalar / r.scalar, (vector + counts.stores + counts.scalar) / r.total,
                counts.load_bytes * cycles_per_byte(target, working_set_bytes)});
  return cycles / r.clock_ghz;
}

double streamed_ns(const Target& target, int64_t bytes, int64_t working_set_bytes) {
  return static_cast<double>(bytes) * cycles_per_byte(target, working_set_bytes) /
         target.rates.clock_ghz;
}

}  // namespace qloom::jit
