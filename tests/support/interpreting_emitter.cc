#include "tests/support/interpreting_emitter.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace qloom::testing {

using jit::Binary;
using jit::Compare;
using Value = InterpretingEmitter::Value;
using Variable = InterpretingEmitter::Variable;
using Element = InterpretingEmitter::Element;

void InterpretingEmitter::require(bool ok, const char* what) const {
  if (!ok) throw std::runtime_error(std::string("emitter: ") + what);
}

Value InterpretingEmitter::make(Element e, int lanes) {
  require(lanes >= 1 && std::has_single_bit(static_cast<unsigned>(lanes)),
          "lanes must be a power of two");
  const Value v{static_cast<int32_t>(places_.size()), e, static_cast<int16_t>(lanes)};
  places_.push_back(bytes_);
  bytes_ += static_cast<size_t>((v.bytes() + 15) / 16 * 16);
  return v;
}

int64_t InterpretingEmitter::signed_lane(Value v, int lane) {
  const uint8_t* p = at(v) + lane * bytes_of(v.element);
  switch (bytes_of(v.element)) {
    case 1:
      return static_cast<int8_t>(*p);
    case 2: {
      int16_t x;
      std::memcpy(&x, p, 2);
      return x;
    }
    case 4: {
      int32_t x;
      std::memcpy(&x, p, 4);
      return x;
    }
    default: {
      int64_t x;
      std::memcpy(&x, p, 8);
      return x;
    }
  }
}
uint64_t InterpretingEmitter::unsigned_lane(Value v, int lane) {
  const auto x = static_cast<uint64_t>(signed_lane(v, lane));
  const int bits = 8 * bytes_of(v.element);
  return bits == 64 ? x : x & ((uint64_t{1} << bits) - 1);
}
float InterpretingEmitter::f32_lane(Value v, int lane) {
  float x;
  std::memcpy(&x, at(v) + lane * 4, 4);
  return x;
}
double InterpretingEmitter::f64_lane(Value v, int lane) {
  double x;
  std::memcpy(&x, at(v) + lane * 8, 8);
  return x;
}
void InterpretingEmitter::set_f64(Value v, int lane, double x) {
  std::memcpy(at(v) + lane * 8, &x, 8);
}
void InterpretingEmitter::set_lane(Value v, int lane, int64_t x) {
  std::memcpy(at(v) + lane * bytes_of(v.element), &x, static_cast<size_t>(bytes_of(v.element)));
}
void InterpretingEmitter::set_f32(Value v, int lane, float x) {
  std::memcpy(at(v) + lane * 4, &x, 4);
}
uint8_t* InterpretingEmitter::pointer(Value v) {
  uint8_t* p;
  std::memcpy(&p, at(v), sizeof p);
  return p;
}

void InterpretingEmitter::check_access(const uint8_t* begin, int64_t bytes, bool write) const {
  if (regions_.empty()) return;
  for (const Region& r : regions_)
    if (begin >= r.begin && begin + bytes <= r.end && (r.writable || !write)) return;
  throw std::runtime_error(write ? "kernel writes outside of its buffers"
                                 : "kernel reads outside of its buffers");
}

void InterpretingEmitter::run_block(const Block& block) {
  for (const Step& step : block) step();
}

void InterpretingEmitter::run(void* const* buffers, int64_t count, int64_t begin, int64_t end,
                              std::vector<Region> regions) {
  memory_.assign(bytes_, 0);
  buffers_ = buffers;
  count_ = count;
  begin_ = begin;
  end_ = end;
  regions_ = std::move(regions);
  run_block(main_);
}

Value InterpretingEmitter::lanewise(Element e, Value a, std::function<int64_t(int)> f) {
  const Value r = make(e, a.lanes);
  emit([this, r, f = std::move(f)] {
    for (int i = 0; i < r.lanes; ++i) set_lane(r, i, f(i));
  });
  return r;
}

Value InterpretingEmitter::buffer(int index) {
  const Value r = make(Element::pointer, 1);
  emit([this, r, index] { std::memcpy(at(r), &buffers_[index], 8); });
  return r;
}
Value InterpretingEmitter::count() {
  const Value r = make(Element::i64, 1);
  emit([this, r] { set_lane(r, 0, count_); });
  return r;
}
Value InterpretingEmitter::begin() {
  const Value r = make(Element::i64, 1);
  emit([this, r] { set_lane(r, 0, begin_); });
  return r;
}
Value InterpretingEmitter::end() {
  const Value r = make(Element::i64, 1);
  emit([this, r] { set_lane(r, 0, end_); });
  return r;
}
Value InterpretingEmitter::integer(int64_t v, Element e) {
  const Value r = make(e, 1);
  emit([this, r, v] { set_lane(r, 0, v); });
  return r;
}
Value InterpretingEmitter::real(float v) {
  const Value r = make(Element::f32, 1);
  emit([this, r, v] { set_f32(r, 0, v); });
  return r;
}
Value InterpretingEmitter::splat(Value scalar, int lanes) {
  require(scalar.lanes == 1, "splat of a vector");
  const Value r = make(scalar.element, lanes);
  emit([this, r, scalar] {
    for (int i = 0; i < r.lanes; ++i) set_lane(r, i, signed_lane(scalar, 0));
  });
  return r;
}
Value InterpretingEmitter::zeros(Element e, int lanes) { return splat(integer(0, e), lanes); }
Value InterpretingEmitter::vector_constant(Element e, std::span<const int64_t> lanes) {
  const Value r = make(e, static_cast<int>(lanes.size()));
  emit([this, r, v = std::vector<int64_t>(lanes.begin(), lanes.end())] {
    for (int i = 0; i < r.lanes; ++i) set_lane(r, i, v[static_cast<size_t>(i)]);
  });
  return r;
}

Value InterpretingEmitter::offset(Value p, Value bytes) {
  require(p.element == Element::pointer, "offset of no pointer");
  require(bytes.element == Element::i64 && bytes.lanes == 1, "offset by no i64");
  const Value r = make(Element::pointer, 1);
  emit([this, r, p, bytes] { set_lane(r, 0, signed_lane(p, 0) + signed_lane(bytes, 0)); });
  return r;
}
Value InterpretingEmitter::load(Value p, Element e, int lanes) {
  require(p.element == Element::pointer, "load from no pointer");
  const Value r = make(e, lanes);
  emit([this, r, p] {
    check_access(pointer(p), r.bytes(), false);
    std::memcpy(at(r), pointer(p), static_cast<size_t>(r.bytes()));
  });
  return r;
}
Value InterpretingEmitter::load_splat(Value p, Element e, int lanes) {
  return splat(load(p, e, 1), lanes);
}
Value InterpretingEmitter::load_table(Value p) {
  const Value table = load(p, Element::i8, 16);
  return lanewise(Element::i8, Value{0, Element::i8, static_cast<int16_t>(bytes())},
                  [this, table](int i) { return signed_lane(table, i % 16); });
}
void InterpretingEmitter::store(Value p, Value v) { store_first(p, v, v.lanes); }
void InterpretingEmitter::store_first(Value p, Value v, int lanes) {
  require(p.element == Element::pointer, "store to no pointer");
  require(lanes >= 1 && lanes <= v.lanes, "store_first: no such number of lanes");
  emit([this, p, v, lanes] {
    const int64_t n = int64_t{lanes} * bytes_of(v.element);
    check_access(pointer(p), n, true);
    std::memcpy(pointer(p), at(v), static_cast<size_t>(n));
  });
}

template <class T>
T InterpretingEmitter::real_binary(Binary op, T a, T b) const {
  switch (op) {
    case Binary::add:
      return a + b;
    case Binary::subtract:
      return a - b;
    case Binary::multiply:
      return a * b;
    case Binary::divide:
      return a / b;
    case Binary::minimum:
      return a < b ? a : b;
    case Binary::maximum:
      return a > b ? a : b;
    default:
      require(false, "binary: not an operation on floats");
      return 0;
  }
}

Value InterpretingEmitter::binary(Binary op, Value a, Value b) {
  const bool shift = op == Binary::shift_left || op == Binary::shift_right_logical ||
                     op == Binary::shift_right_arithmetic;
  require(a.element == b.element || (shift && b.lanes == 1), "binary: elements differ");
  require(a.lanes == b.lanes || (shift && b.lanes == 1), "binary: lanes differ");
  require(a.element != Element::pointer, "binary on pointers");
  if (a.element == Element::f64) {
    const Value r = make(Element::f64, a.lanes);
    emit([this, op, r, a, b] {
      for (int i = 0; i < r.lanes; ++i)
        set_f64(r, i, real_binary(op, f64_lane(a, i), f64_lane(b, i)));
    });
    return r;
  }
  if (a.element == Element::f32) {
    const Value r = make(Element::f32, a.lanes);
    emit([this, op, r, a, b] {
      for (int i = 0; i < r.lanes; ++i)
        set_f32(r, i, real_binary(op, f32_lane(a, i), f32_lane(b, i)));
    });
    return r;
  }
  const int bits = 8 * bytes_of(a.element);
  return lanewise(a.element, a, [this, op, a, b, bits](int i) -> int64_t {
    const int64_t x = signed_lane(a, i), y = signed_lane(b, b.lanes == 1 ? 0 : i);
    const uint64_t ux = unsigned_lane(a, i), uy = unsigned_lane(b, b.lanes == 1 ? 0 : i);
    switch (op) {
      case Binary::add:
        return static_cast<int64_t>(ux + uy);
      case Binary::subtract:
        return static_cast<int64_t>(ux - uy);
      case Binary::multiply:
        return static_cast<int64_t>(ux * uy);
      case Binary::min_signed:
        return x < y ? x : y;
      case Binary::max_signed:
        return x > y ? x : y;
      case Binary::min_unsigned:
        return static_cast<int64_t>(ux < uy ? ux : uy);
      case Binary::max_unsigned:
        return static_cast<int64_t>(ux > uy ? ux : uy);
      case Binary::bit_and:
        return x & y;
      case Binary::bit_or:
        return x | y;
      case Binary::bit_xor:
        return x ^ y;
      case Binary::shift_left:
        require(uy < static_cast<uint64_t>(bits), "shift too far");
        return static_cast<int64_t>(ux << uy);
      case Binary::shift_right_logical:
        require(uy < static_cast<uint64_t>(bits), "shift too far");
        return static_cast<int64_t>(ux >> uy);
      case Binary::shift_right_arithmetic:
        require(uy < static_cast<uint64_t>(bits), "shift too far");
        return x >> uy;
      default:
        require(false, "binary: not an operation on integers");
        return 0;
    }
  });
}

Value InterpretingEmitter::compare(Compare op, Value a, Value b) {
  require(a.element == b.element && a.lanes == b.lanes, "compare: operands differ");
  const bool f32 =
      op == Compare::greater_equal_f32 || op == Compare::less_f32 || op == Compare::equal_f32;
  require(f32 == (a.element == Element::f32), "compare: wrong element");
  return lanewise(f32 ? Element::i32 : a.element, a, [this, op, a, b](int i) -> int64_t {
    bool r = false;
    switch (op) {
      case Compare::equal:
        r = signed_lane(a, i) == signed_lane(b, i);
        break;
      case Compare::less_signed:
        r = signed_lane(a, i) < signed_lane(b, i);
        break;
      case Compare::greater_signed:
        r = signed_lane(a, i) > signed_lane(b, i);
        break;
      case Compare::less_unsigned:
        r = unsigned_lane(a, i) < unsigned_lane(b, i);
        break;
      case Compare::greater_equal_f32:
        r = f32_lane(a, i) >= f32_lane(b, i);
        break;
      case Compare::less_f32:
        r = f32_lane(a, i) < f32_lane(b, i);
        break;
      case Compare::equal_f32:
        r = f32_lane(a, i) == f32_lane(b, i);
        break;
    }
    return r ? -1 : 0;
  });
}

Value InterpretingEmitter::select(Value mask, Value a, Value b) {
  require(a.element == b.element && a.lanes == b.lanes, "select: operands differ");
  require(mask.lanes == a.lanes && bytes_of(mask.element) == bytes_of(a.element),
          "select: mask differs");
  return lanewise(a.element, a, [this, mask, a, b](int i) {
    return signed_lane(mask, i) != 0 ? signed_lane(a, i) : signed_lane(b, i);
  });
}
Value InterpretingEmitter::negate(Value a) {
  if (a.element == Element::f32) {
    const Value r = make(Element::f32, a.lanes);
    emit([this, r, a] {
      for (int i = 0; i < r.lanes; ++i) set_f32(r, i, -f32_lane(a, i));
    });
    return r;
  }
  return lanewise(a.element, a,
                  [this, a](int i) { return static_cast<int64_t>(-unsigned_lane(a, i)); });
}
Value InterpretingEmitter::fused_multiply_add(Value a, Value b, Value c) {
  require(a.element == Element::f32 && b.element == Element::f32 && c.element == Element::f32,
          "fma on integers");
  require(a.lanes == b.lanes && a.lanes == c.lanes, "fma: lanes differ");
  const Value r = make(Element::f32, a.lanes);
  emit([this, r, a, b, c] {
    for (int i = 0; i < r.lanes; ++i)
      set_f32(r, i, std::fmaf(f32_lane(a, i), f32_lane(b, i), f32_lane(c, i)));
  });
  return r;
}
Value InterpretingEmitter::of_real(const char* word, Value a, float (*f)(float)) {
  require(a.element == Element::f32, word);
  const Value r = make(Element::f32, a.lanes);
  emit([this, r, a, f] {
    for (int i = 0; i < r.lanes; ++i) set_f32(r, i, f(f32_lane(a, i)));
  });
  return r;
}
Value InterpretingEmitter::to_f64(Value a) {
  require(a.element == Element::f32, "to_f64 of no f32");
  const Value r = make(Element::f64, a.lanes);
  emit([this, r, a] {
    for (int i = 0; i < r.lanes; ++i) set_f64(r, i, static_cast<double>(f32_lane(a, i)));
  });
  return r;
}
Value InterpretingEmitter::add_exact_product(Value sum, Value a, Value b) {
  require(sum.element == Element::f64 && a.element == Element::f64 && b.element == Element::f64,
          "add_exact_product of no f64");
  require(sum.lanes == a.lanes && sum.lanes == b.lanes, "add_exact_product: lanes differ");
  const Value r = make(Element::f64, a.lanes);
  emit([this, r, sum, a, b] {
    for (int i = 0; i < r.lanes; ++i) {
      const double x = f64_lane(a, i), y = f64_lane(b, i);
      require(static_cast<double>(static_cast<float>(x)) == x || x != x,
              "add_exact_product: a factor is no f32");
      require(static_cast<double>(static_cast<float>(y)) == y || y != y,
              "add_exact_product: a factor is no f32");
      set_f64(r, i, f64_lane(sum, i) + x * y);
    }
  });
  return r;
}
Value InterpretingEmitter::to_f32(Value a) {
  if (a.element == Element::f64) {
    const Value r = make(Element::f32, a.lanes);
    emit([this, r, a] {
      for (int i = 0; i < r.lanes; ++i) set_f32(r, i, static_cast<float>(f64_lane(a, i)));
    });
    return r;
  }
  require(a.element == Element::i32, "to_f32 of no i32");
  const Value r = make(Element::f32, a.lanes);
  emit([this, r, a] {
    for (int i = 0; i < r.lanes; ++i) set_f32(r, i, static_cast<float>(signed_lane(a, i)));
  });
  return r;
}
Value InterpretingEmitter::to_i32(Value a) {
  require(a.element == Element::f32, "to_i32 of no f32");
  return lanewise(Element::i32, a, [this, a](int i) -> int64_t {
    const float f = f32_lane(a, i);
    return f >= -2147483648.0F && f < 2147483648.0F ? static_cast<int64_t>(std::nearbyintf(f))
                                                    : INT32_MIN;
  });
}
Value InterpretingEmitter::widen_signed(Value v, Element e) {
  require(bytes_of(e) >= bytes_of(v.element), "widen: narrower");
  return lanewise(e, v, [this, v](int i) { return signed_lane(v, i); });
}
Value InterpretingEmitter::widen_unsigned(Value v, Element e) {
  require(bytes_of(e) >= bytes_of(v.element), "widen: narrower");
  return lanewise(e, v, [this, v](int i) { return static_cast<int64_t>(unsigned_lane(v, i)); });
}
Value InterpretingEmitter::narrow(Value v, Element e) {
  require(bytes_of(e) <= bytes_of(v.element), "narrow: wider");
  return lanewise(e, v, [this, v](int i) { return signed_lane(v, i); });
}
Value InterpretingEmitter::bitcast(Value v, Element e) {
  const Value r = make(e, v.bytes() / bytes_of(e));
  emit([this, r, v] { std::memcpy(at(r), at(v), static_cast<size_t>(v.bytes())); });
  return r;
}
Variable InterpretingEmitter::variable(Value initial) {
  const Value v = make(initial.element, initial.lanes);
  const Variable r{v.id, v.element, v.lanes};
  set(r, initial);
  return r;
}
Value InterpretingEmitter::get(Variable v) {
  return slice(Value{v.id, v.element, v.lanes}, 0, v.lanes);
}
void InterpretingEmitter::set(Variable v, Value value) {
  require(v.element == value.element && v.lanes == value.lanes, "set: types differ");
  emit([this, v, value] {
    std::memcpy(at(Value{v.id, v.element, v.lanes}), at(value), static_cast<size_t>(value.bytes()));
  });
}
void InterpretingEmitter::loop(std::string_view, Value begin, Value end, int64_t step, double,
                               const std::function<void(Value)>& body) {
  require(begin.element == Element::i64 && end.element == Element::i64 && step > 0, "loop: bounds");
  const Value index = make(Element::i64, 1);
  Block* block = owned_.emplace_back(std::make_unique<Block>()).get();
  blocks_.push_back(block);
  body(index);
  blocks_.pop_back();
  emit([this, begin, end, step, index, block] {
    const int64_t last = signed_lane(end, 0);
    for (int64_t i = signed_lane(begin, 0); i < last; i += step) {
      set_lane(index, 0, i);
      run_block(*block);
    }
  });
}
void InterpretingEmitter::if_less(Value a, Value b, const std::function<void()>& body) {
  Block* block = owned_.emplace_back(std::make_unique<Block>()).get();
  blocks_.push_back(block);
  body();
  blocks_.pop_back();
  emit([this, a, b, block] {
    if (signed_lane(a, 0) < signed_lane(b, 0)) run_block(*block);
  });
}

void InterpretingEmitter::call(std::string_view, std::span<const Value>, Value, Value, Value) {
  require(false, "there are no other functions to be called");
}

}  // namespace qloom::testing
