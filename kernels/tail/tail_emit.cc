#include "kernels/tail/tail_emit.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "graph/support/error.h"
#include "kernels/functions/float_function.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Compare;
using jit::Element;
using jit::Emitter;
using jit::Value;

int64_t align_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

/// -1 in lanes where the mask is set → 1, else 0.
Value mask_to_int(Emitter& e, Value mask) { return e.negate(mask); }

Value splat_int(Emitter& e, int64_t v, int lanes) {
  return v == 0 ? e.zeros(Element::i32, lanes) : e.splat(e.integer(v, Element::i32), lanes);
}

/// What the ops on two operands are on vectors of integers and of f32.
struct BinaryOp {
  TailOp op;
  std::optional<Binary> integer, f32;
};
constexpr BinaryOp kBinaryOps[] = {
    {TailOp::add, Binary::add, Binary::add},
    {TailOp::subtract, Binary::subtract, Binary::subtract},
    {TailOp::multiply, Binary::multiply, Binary::multiply},
    {TailOp::divide, std::nullopt, Binary::divide},
    {TailOp::minimum, Binary::min_signed, Binary::minimum},
    {TailOp::maximum, Binary::max_signed, Binary::maximum},
    {TailOp::bit_xor, Binary::bit_xor, std::nullopt},
    {TailOp::bit_and, Binary::bit_and, std::nullopt},
    {TailOp::shift_left, Binary::shift_left, std::nullopt},
    {TailOp::shift_right, Binary::shift_right_arithmetic, std::nullopt},
};

/// Evaluates the steps of one place, those that are asked for.
class Steps {
 public:
  Steps(Emitter& e, const Tail& tail, const TailLayout& layout, Value accumulators,
        const TailPlace& place)
      : e_(e),
        tail_(tail),
        layout_(layout),
        accumulators_(accumulators),
        place_(place),
        lanes_(accumulators.lanes),
        values_(tail.steps.size()) {}

  Value at(int ref) {
    const auto i = static_cast<size_t>(ref);
    if (!values_[i].valid()) values_[i] = evaluate(tail_.steps[i]);
    return values_[i];
  }

  /// -1 in the lanes where an int step is above 0, else 0. What is a comparison, or 2·comparison -
  /// 1, is not compared again.
  Value positive(int ref) {
    const ScaledStep scaled = scaled_step(tail_, ref);
    const TailStep& step = step_at(scaled.x);
    const bool counts =
        step.op == TailOp::count_ge && tail_.tables[static_cast<size_t>(step.index)].rows == 1;
    if ((counts || step.op == TailOp::greater_equal) && scaled.is_positive_with_x() &&
        at(step.a).element == Element::i32) {
      const Value limit =
          counts ? table_row(tail_.tables[static_cast<size_t>(step.index)], step.index, 0)
                 : at(step.b);
      const Value below = e_.compare(Compare::greater_signed, limit, at(step.a));
      return e_.binary(Binary::bit_xor, below, splat_int(e_, -1, lanes_));
    }
    return e_.compare(Compare::greater_signed, at(ref), e_.zeros(Element::i32, lanes_));
  }

 private:
  [[nodiscard]] const TailStep& step_at(int ref) const {
    return tail_.steps[static_cast<size_t>(ref)];
  }

  Value table_row(const TailTable& table, int index, int row) {
    const int64_t offset = layout_.offsets[static_cast<size_t>(index)];
    if (offset < 0) {
      if (table.is_f32) return e_.splat(e_.real(table.f32[static_cast<size_t>(row)]), lanes_);
      return splat_int(e_, table.i32[static_cast<size_t>(row)], lanes_);
    }
    const Value pointer = e_.offset(e_.offset(place_.tables, e_.multiply(place_.channel, 4)),
                                    offset + row * layout_.pitch * 4);
    const Element element = table.is_f32 ? Element::f32 : Element::i32;
    return place_.one_channel ? e_.load_splat(pointer, element, lanes_)
                              : e_.load(pointer, element, lanes_);
  }

  Value evaluate(const TailStep& step) {
    switch (step.op) {
      case TailOp::accumulator:
        return accumulators_;
      case TailOp::operand: {
        const auto k = static_cast<size_t>(step.index);
        if (place_.one_channel) return place_.operand_values[k];
        return emit_load(e_, tail_.operands[k].type, tail_.operands[k].storage, place_.operands[k],
                         place_.channel, lanes_);
      }
      case TailOp::constant:
        return table_row(tail_.tables[static_cast<size_t>(step.index)], step.index, 0);
      case TailOp::count_ge:
        return count_ge(step);
      case TailOp::to_f32:
        return e_.to_f32(at(step.a));
      case TailOp::to_int:
        return e_.to_i32(at(step.a));
      case TailOp::round_even:
        return e_.round_even(at(step.a));
      case TailOp::square_root:
        return e_.square_root(at(step.a));
      case TailOp::function:
        return emit_function(e_, static_cast<FloatFunction>(step.index), at(step.a));
      case TailOp::fused_multiply_add:
        return e_.fused_multiply_add(at(step.a), at(step.b), at(step.c));
      case TailOp::greater_equal: {
        const Value a = at(step.a), b = at(step.b);
        if (a.element == Element::f32)
          return mask_to_int(e_, e_.compare(Compare::greater_equal_f32, a, b));
        // a >= b  =  1 - (b > a)
        return e_.add(e_.compare(Compare::greater_signed, b, a), splat_int(e_, 1, lanes_));
      }
      case TailOp::select: {
        const Value a = at(step.a);
        const Value zero = e_.compare(Compare::equal, a, e_.zeros(Element::i32, lanes_));
        return e_.select(zero, at(step.c), at(step.b));
      }
      default: {
        const Value b = at(step.b), a = at(step.a);
        const auto op = binary_of(step.op, a.element == Element::f32);
        qloom_assert(op, "tail: not an operation on two operands");
        return e_.binary(*op, a, b);
      }
    }
  }

  /// rows - (number of thresholds above a): compares give -1 for each of those.
  Value count_ge(const TailStep& step) {
    const TailTable& table = tail_.tables[static_cast<size_t>(step.index)];
    Value sum = splat_int(e_, table.rows, lanes_);
    for (int row = 0; row < table.rows; ++row)
      sum = e_.add(
          sum, e_.compare(Compare::greater_signed, table_row(table, step.index, row), at(step.a)));
    return sum;
  }

  Emitter& e_;
  const Tail& tail_;
  const TailLayout& layout_;
  Value accumulators_;
  const TailPlace& place_;
  int lanes_;
  std::vector<Value> values_;
};

/// A step's value as it is stored; of packed bits, where it is given as -1 where the bit is, a mask
/// of bytes.
Value as_stored(Emitter& e, const Storage& storage, Value v) {
  switch (storage.kind) {
    case Storage::Kind::bits:
      qloom_assert(v.lanes % 8 == 0 && v.lanes <= 64, "tail: bits of ", v.lanes, " lanes");
      return e.narrow(v, Element::i8);
    case Storage::Kind::bytes:
      // The type promises code + zero in 0..255, so truncation keeps it.
      if (storage.zero != 0) v = e.add(v, splat_int(e, storage.zero, v.lanes));
      return e.narrow(v, Element::i8);
    case Storage::Kind::words:
      return e.narrow(v, Element::i16);
    default:
      return v;
  }
}

/// The first output that stores the same step in the same way: k where there is none before it.
size_t first_alike(const Tail& tail, size_t k) {
  size_t i = 0;
  while (tail.outputs[i].step != tail.outputs[k].step ||
         tail.outputs[i].storage != tail.outputs[k].storage)
    ++i;
  return i;
}

/// How the codes of a step become the stored bytes of an output: saturation, then what is left of
/// the clamp that the tail ends in, on bytes.
struct ToBytes {
  int step = -1;
  bool is_signed = false;       ///< saturated to -128..127, else to 0..255
  int64_t before = 0;           ///< added to the codes
  int64_t lo = -128, hi = 255;  ///< clamp after saturation
  int64_t after = 0;            ///< added to the bytes, modulo 256
};

ToBytes to_bytes_of(const Tail& tail, const TailOutput& output) {
  const int64_t zero = output.storage.zero;
  // Where the tail ends in a minimum and a maximum, saturation does all or most of their work.
  int step = output.step;
  std::optional<int64_t> lo, hi;
  for (;;) {
    const TailStep& s = tail.steps[static_cast<size_t>(step)];
    std::optional<int64_t>* const bound = s.op == TailOp::minimum   ? &hi
                                          : s.op == TailOp::maximum ? &lo
                                                                    : nullptr;
    const auto value =
        bound == nullptr || bound->has_value() ? std::nullopt : integer_of(tail, s.b);
    if (!value) break;
    *bound = value;
    step = s.a;
  }
  if (zero == 0) return {.step = step, .lo = lo.value_or(0), .hi = hi.value_or(255)};
  if (lo && hi && *lo >= -128 && *hi <= 127)
    return {.step = step, .is_signed = true, .lo = *lo, .hi = *hi, .after = zero};
  return {.step = output.step, .before = zero};  // the type promises code + zero in 0..255
}

Value emit_to_bytes(Emitter& e, const ToBytes& to, Value codes) {
  const int lanes = codes.lanes;
  if (to.before != 0) codes = e.add(codes, splat_int(e, to.before, lanes));
  Value bytes = e.narrow_saturated(codes, to.is_signed);
  auto splat = [&](int64_t v) { return e.splat(e.integer(v, Element::i8), lanes); };
  if (to.lo > (to.is_signed ? -128 : 0))
    bytes = e.binary(to.is_signed ? Binary::max_signed : Binary::max_unsigned, bytes, splat(to.lo));
  if (to.hi < (to.is_signed ? 127 : 255))
    bytes = e.binary(to.is_signed ? Binary::min_signed : Binary::min_unsigned, bytes, splat(to.hi));
  return to.after == 0 ? bytes : e.add(bytes, splat(to.after));
}

/// How many of the next places are packed together: 4, 2 or 1; all lanes of them are channels.
size_t places_together(std::span<const TailPlace> places, int lanes) {
  size_t full = 0;
  while (full < std::min<size_t>(places.size(), 4) && places[full].valid_lanes == lanes) ++full;
  return full >= 4 ? 4 : full >= 2 ? 2 : 1;
}

Value concat_all(Emitter& e, std::vector<Value> parts) {
  while (parts.size() > 1) {
    std::vector<Value> wider;
    for (size_t i = 0; i + 1 < parts.size(); i += 2)
      wider.push_back(e.concat(parts[i], parts[i + 1]));
    parts = std::move(wider);
  }
  return parts[0];
}

/// Stores the bytes of places side by side; those that follow each other at once. `apart`: where
/// another position's channels lie elsewhere.
void store_together(Emitter& e, Value bytes, std::span<const TailPlace> places, size_t output,
                    bool apart) {
  const auto begin = [&](const TailPlace& p) { return p.outputs[output].id; };
  const bool one_run = std::all_of(places.begin() + 1, places.end(), [&](const TailPlace& p) {
    return p.follows && (!apart || begin(p) == begin(places[0]));
  });
  if (one_run) {
    e.store(e.offset(places[0].outputs[output], places[0].channel), bytes);
    return;
  }
  const int half = bytes.lanes / 2;
  const size_t middle = places.size() / 2;
  store_together(e, e.slice(bytes, 0, half), places.first(middle), output, apart);
  store_together(e, e.slice(bytes, half, half), places.subspan(middle), output, apart);
}

/// True when a type's stored bit 0 stands for -1.
bool bit_is_sign(const TensorType& type) { return type.numeric.is_binary(); }

}  // namespace

std::optional<Binary> binary_of(TailOp op, bool f32) {
  for (const BinaryOp& row : kBinaryOps)
    if (row.op == op) return f32 ? row.f32 : row.integer;
  return std::nullopt;
}

void store_lanes(Emitter& e, Value pointer, Value v, int valid) {
  if (valid >= v.lanes)
    e.store(pointer, v);
  else
    e.store_first(pointer, v, valid);
}

void store_output(Emitter& e, const TailOutput& output, Value pointer, Value channel, Value stored,
                  int valid) {
  const Storage storage = output.storage;
  if (storage.kind == Storage::Kind::bits) {
    const Value byte = e.binary(Binary::shift_right_logical, channel, e.integer(3));
    return store_bit_run(e, e.offset(pointer, byte), stored, valid);
  }
  store_lanes(e, e.offset(pointer, e.multiply(channel, element_bytes(storage))), stored, valid);
}

void store_bit_run(Emitter& e, Value at, Value mask, int valid) {
  Value bits = e.sign_bits(mask);
  if (valid < mask.lanes)
    bits = e.binary(Binary::bit_and, bits, e.integer((int64_t{1} << valid) - 1));
  // Whole bytes up to the last valid lane; a power of two of them at a time.
  int bytes = (valid + 7) / 8;
  for (int done = 0; bytes > 0;) {
    const int part = static_cast<int>(std::bit_floor(static_cast<unsigned>(bytes)));
    const Element element = part == 8   ? Element::i64
                            : part == 4 ? Element::i32
                            : part == 2 ? Element::i16
                                        : Element::i8;
    Value word =
        done == 0 ? bits : e.binary(Binary::shift_right_logical, bits, e.integer(8 * done));
    if (part < 8) word = e.narrow(word, element);
    e.store(e.offset(at, done), word);
    done += part;
    bytes -= part;
  }
}

std::vector<Value> emit_tail_values(Emitter& e, const Tail& tail, const TailLayout& layout,
                                    Value accumulators, const TailPlace& place) {
  Steps steps(e, tail, layout, accumulators, place);
  std::vector<Value> values;
  for (const TailOutput& output : tail.outputs) values.push_back(steps.at(output.step));
  return values;
}

int channel_lanes(const jit::Target& target) { return std::max(8, target.vector_bytes / 4); }

int64_t element_bytes(Storage storage) {
  switch (storage.kind) {
    case Storage::Kind::bytes:
      return 1;
    case Storage::Kind::words:
      return 2;
    case Storage::Kind::f32:
    case Storage::Kind::dwords:
      return 4;
    case Storage::Kind::bits:
      break;
  }
  fail_internal(std::source_location::current(), "bits have no bytes per element");
}

int64_t run_bytes(Storage storage, int64_t n) {
  return storage.kind == Storage::Kind::bits ? (n + 63) / 64 * 8 : n * element_bytes(storage);
}

int64_t pitch_of(const TailOutput& output, int64_t n) {
  return output.pitch > 0 ? output.pitch : run_bytes(output.storage, n);
}

int64_t pitch_of(const TailOperand& operand, int64_t n) {
  return operand.pitch > 0 ? operand.pitch : run_bytes(operand.storage, n);
}

TailLayout lay_out_tail(const Tail& tail, int64_t channels, int lanes) {
  TailLayout layout;
  layout.pitch = align_up(channels, lanes) + lanes;  // a vector may begin at any channel
  for (const TailTable& table : tail.tables) {
    layout.offsets.push_back(table.per_channel ? layout.bytes : -1);
    if (table.per_channel) layout.bytes += table.rows * layout.pitch * 4;
  }
  layout.bytes = align_up(layout.bytes, 64);
  return layout;
}

void append_tail(std::vector<uint8_t>& constants, const Tail& tail, int64_t channels, int lanes) {
  constants.resize(static_cast<size_t>(align_up(static_cast<int64_t>(constants.size()), 64)));
  const TailLayout layout = lay_out_tail(tail, channels, lanes);
  const auto base = constants.size();
  constants.resize(base + static_cast<size_t>(layout.bytes));
  for (size_t i = 0; i < tail.tables.size(); ++i) {
    const TailTable& table = tail.tables[i];
    if (!table.per_channel) continue;
    for (int row = 0; row < table.rows; ++row) {
      const void* from = table.is_f32 ? static_cast<const void*>(table.f32.data() + row * channels)
                                      : static_cast<const void*>(table.i32.data() + row * channels);
      std::memcpy(constants.data() + base + layout.offsets[i] + row * layout.pitch * 4, from,
                  static_cast<size_t>(channels) * 4);
    }
  }
}

Value emit_load(Emitter& e, const TensorType& type, Storage storage, Value pointer, Value channel,
                int lanes) {
  if (storage.kind == Storage::Kind::bits) {
    const Value at =
        e.offset(pointer, e.binary(Binary::shift_right_logical, channel, e.integer(3)));
    std::vector<Value> parts;
    std::vector<int64_t> places;
    for (int i = 0; i < 8; ++i) places.push_back(int64_t{1} << i);
    const Value place = e.vector_constant(Element::i32, places);
    for (int i = 0; i < lanes / 8; ++i) {
      const Value byte = e.widen_unsigned(e.load(e.offset(at, i), Element::i8), Element::i32);
      const Value set =
          e.compare(Compare::equal, e.binary(Binary::bit_and, e.splat(byte, 8), place), place);
      // set is -1 or 0: bit → 1 or 0, sign → 1 or -1
      parts.push_back(bit_is_sign(type) ? e.select(set, splat_int(e, 1, 8), splat_int(e, -1, 8))
                                        : mask_to_int(e, set));
    }
    return concat_all(e, std::move(parts));
  }
  const Value at = e.offset(pointer, e.multiply(channel, element_bytes(storage)));
  switch (storage.kind) {
    case Storage::Kind::f32:
      return e.load(at, Element::f32, lanes);
    case Storage::Kind::dwords:
      return e.load(at, Element::i32, lanes);
    case Storage::Kind::words:
      return e.widen_signed(e.load(at, Element::i16, lanes), Element::i32);
    default:
      break;
  }
  const Value codes = e.widen_unsigned(e.load(at, Element::i8, lanes), Element::i32);
  return storage.zero == 0 ? codes : e.subtract(codes, splat_int(e, storage.zero, lanes));
}

void emit_tail(Emitter& e, const Tail& tail, const TailLayout& layout, Value accumulators,
               const TailPlace& place) {
  TailBatch batch(e, tail, layout);
  batch.add(accumulators, place);
  batch.emit();
}

void TailBatch::emit() {
  std::vector<ToBytes> to_bytes;
  bool any_bytes = false;
  for (const TailOutput& output : tail_.outputs) {
    to_bytes.push_back(to_bytes_of(tail_, output));
    any_bytes = any_bytes || output.storage.kind == Storage::Kind::bytes;
  }
  const std::span<const TailPlace> all = places_;
  // Group by group, so that few values live at the same time.
  for (size_t first = 0; first < all.size();) {
    const size_t together =
        any_bytes ? places_together(all.subspan(first), accumulators_[first].lanes) : 1;
    const auto places = all.subspan(first, together);
    std::vector<Steps> steps;
    for (size_t i = 0; i < together; ++i)
      steps.emplace_back(e_, tail_, layout_, accumulators_[first + i], places[i]);
    std::vector<std::vector<Value>> stored(tail_.outputs.size());  // of all places, or of each
    for (size_t k = 0; k < tail_.outputs.size(); ++k) {
      const TailOutput& output = tail_.outputs[k];
      const size_t alike = first_alike(tail_, k);
      if (together > 1 && output.storage.kind == Storage::Kind::bytes) {
        if (alike == k) {
          std::vector<Value> codes;
          for (Steps& place : steps) codes.push_back(place.at(to_bytes[k].step));
          stored[k] = {emit_to_bytes(e_, to_bytes[k], concat_all(e_, std::move(codes)))};
        }
        store_together(e_, stored[alike][0], places, k, output.pitch > 0);
        continue;
      }
      for (size_t i = 0; i < together; ++i) {
        if (alike == k)
          stored[k].push_back(as_stored(e_, output.storage,
                                        output.storage.kind == Storage::Kind::bits
                                            ? steps[i].positive(output.step)
                                            : steps[i].at(output.step)));
        store_output(e_, output, places[i].outputs[k], places[i].channel, stored[alike][i],
                     places[i].valid_lanes);
      }
    }
    first += together;
  }
  accumulators_.clear();
  places_.clear();
}

namespace {

bool has_bits_behind(const TailOutput& output, int64_t n) {
  return (n + 7) / 8 % 8 != 0 && output.storage.kind == Storage::Kind::bits && output.pitch == 0;
}

}  // namespace

bool needs_clear_bits(const Tail& tail, int64_t n) {
  return std::ranges::any_of(tail.outputs,
                             [&](const TailOutput& output) { return has_bits_behind(output, n); });
}

void emit_clear_bits(Emitter& e, const Tail& tail, std::span<const Value> outputs, Value begin,
                     Value end, int64_t n) {
  for (size_t i = 0; i < tail.outputs.size(); ++i) {
    if (!has_bits_behind(tail.outputs[i], n)) continue;
    const int64_t bytes = run_bytes(Storage::bits(), n);
    e.loop("clear bits", e.multiply(begin, bytes), e.multiply(end, bytes), 8,
           static_cast<double>(bytes) * 2,
           [&](Value at) { e.store(e.offset(outputs[i], at), e.integer(0)); });
  }
}

void emit_clear_bits(Emitter& e, const Tail& tail, std::span<const Value> outputs,
                     int64_t positions, int64_t n) {
  emit_clear_bits(e, tail, outputs, e.integer(0), e.multiply(e.count(), positions), n);
}

TailPlace place_at(Emitter& e, const Tail& tail, Value tables, std::span<const Value> operands,
                   std::span<const Value> outputs, Value position, int64_t n) {
  TailPlace place;
  place.tables = tables;
  for (size_t i = 0; i < tail.operands.size(); ++i)
    place.operands.push_back(
        e.offset(operands[i], e.multiply(position, pitch_of(tail.operands[i], n))));
  for (size_t i = 0; i < tail.outputs.size(); ++i) {
    const TailOutput& output = tail.outputs[i];
    const Value run = e.offset(outputs[i], e.multiply(position, pitch_of(output, n)));
    place.outputs.push_back(output.offset > 0 ? e.offset(run, output.offset) : run);
  }
  return place;
}

KernelBuffers kernel_buffers(Emitter& e, const Tail& tail, bool has_scratch) {
  KernelBuffers b;
  int index = 0;
  b.input = e.buffer(index++);
  for (size_t i = 0; i < tail.operands.size(); ++i) b.operands.push_back(e.buffer(index++));
  b.constants = e.buffer(index++);
  for (size_t i = 0; i < tail.outputs.size(); ++i) b.outputs.push_back(e.buffer(index++));
  if (has_scratch) b.scratch = e.buffer(index);
  return b;
}

}  // namespace qloom::kernels
