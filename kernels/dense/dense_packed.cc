// kernels/dense/dense_packed.cc: dense layer whose weights lie two or four to a byte: for few
// samples, where bytes of weights take longer than sums.
//
//   sum_k a_k·w_k,   a = u - zero (u: bytes),   w = v + lo (v: fields of B = 2 or 4 bits)
//
// Layout. K is cut into F = 8/B parts of H elements; element k of part j meets field j of weight
// byte k, bits [B·j, B·j + B). Four bytes are a step: a dword of activations of each part is
// broadcast, each 32-bit lane of a weight vector is an output channel: [channel tile][step][column]
// [lane]. What is behind the last element is field 0.
//
// Forms:
//   1. fields are cut out, by shift and mask:  sum = Σ u·v + lo·Σu - zero·Σw.
//   2. activations of so few bits that 2^(B·(F-1)) of them and their neighbours fit a byte. Masks
//      alone, no shifts: M_j = byte and (2^(B·(j+1)) - 1) holds fields 0..j, so v_j = (M_j -
//      M_{j-1})/2^(B·j), and by parts (s = 2^(B·(F-1)))
//        s·Σ_j u_j·v_j = Σ_j c_j·M_j,   c_j = (s/2^(B·j))·u_j - (s/2^(B·(j+1)))·u_{j+1},
//        c_{F-1} = u_{F-1}.
//      c_j is made once a sample, plus an offset that makes it non-negative, in scratch. The last
//      M is the whole byte, signed: its field is v - 2^(B-1). Sums are s times as large and
//      shifted back at the end: exact, as Σ c·M is a multiple of s once the offsets are taken off.
// All sums are modulo 2^32; form 2 asks that s times the accumulator fits int32. Pair sums lie in
// int16 in both forms: 255·2·15, or at most 15·2·128 for the whole byte.
//
// Source: ours; fields by shift and mask as in other engines' 4-bit dot products (low-bit kernel
// survey, 1.4).

#include <algorithm>
#include <functional>
#include <vector>

#include "graph/support/error.h"
#include "kernels/conv/channel_tiles.h"
#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Value;
using jit::Variable;

constexpr int64_t kStepBytes = 4;
constexpr int kLongestUnit = 4;  // steps
constexpr int kChains = 8;       // sums that do not wait for each other hide a product's latency

/// What pack and emit agree on.
struct Plan {
  Geometry geometry;
  int bits = 4, fields = 2;
  bool masks = false;   ///< form 2
  int shift = 0;        ///< sums are 2^shift times the accumulator
  int64_t largest = 0;  ///< of a stored byte of the input
  int64_t lo = 0;       ///< weight of field 0
  int lanes = 8, columns = 1;
  int64_t c = 0, n = 0;
  int64_t part = 0;             ///< elements of a part, whole steps
  int64_t part_bytes = 0;       ///< of a part in scratch, whole vectors
  int64_t unit = 1, units = 0;  ///< steps unrolled, and how often
  ChannelTiles tiles;
  int64_t weights = 0, initial = 0, tail = 0;

  [[nodiscard]] int64_t vector_bytes() const { return kStepBytes * lanes; }
  [[nodiscard]] int64_t tile_bytes(int n_columns) const {
    return part / kStepBytes * n_columns * vector_bytes();
  }
  /// Factor of part j's own activations in c_j.
  [[nodiscard]] int factor_bits(int j) const { return masks ? bits * (fields - 1 - j) : 0; }
  /// What is added to c_j; form 2, all but the last.
  [[nodiscard]] int64_t offset_of(int j) const {
    return masks && j < fields - 1 ? largest << factor_bits(j + 1) : 0;
  }
  /// The field's value is w - lo - this.
  [[nodiscard]] int64_t bias_of(int j) const {
    return masks && j == fields - 1 ? int64_t{1} << (bits - 1) : 0;
  }
};

/// Bits of the narrowest field that holds every weight; 8: none does.
int field_bits(const Query& q) {
  const CodeRange range = weight_range(q);
  const int64_t span = range.hi - range.lo;
  return span < 4 ? 2 : span < 16 ? 4 : 8;
}

/// Form 2 can be taken.
bool masks_fit(const Query& q, int bits) {
  const int shift = 8 - bits;
  const int64_t largest = largest_byte(q, plain_storage(q.input));
  if ((largest << shift) + (largest << (shift - bits)) > 255) return false;
  const int64_t limit = int64_t{INT32_MAX} >> shift;
  const auto fits = [&](int64_t sum) { return sum >= -limit && sum <= limit; };
  return std::ranges::all_of(q.accumulator_lo, fits) && std::ranges::all_of(q.accumulator_hi, fits);
}

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  Plan plan;
  plan.geometry = geometry_of(q.window, q.input_storage);
  plan.bits = v.option;
  plan.fields = 8 / plan.bits;
  plan.masks = masks_fit(q, plan.bits);
  plan.shift = plan.masks ? 8 - plan.bits : 0;
  plan.largest = largest_byte(q, q.input_storage);
  plan.lo = weight_range(q).lo;
  plan.lanes = channel_lanes(target);
  plan.columns = v.columns;
  plan.c = q.window.c;
  plan.n = q.window.n;
  const auto up = [](int64_t x, int64_t to) { return (x + to - 1) / to * to; };
  plan.part = up((plan.c + plan.fields - 1) / plan.fields, kStepBytes);
  plan.part_bytes = up(plan.part, target.vector_bytes);
  // At least two units where there are two steps: the tail is then no part of the innermost loop.
  const int64_t steps = plan.part / kStepBytes;
  plan.unit = std::clamp<int64_t>(steps / 2, 1, kLongestUnit);
  while (steps % plan.unit != 0) --plan.unit;
  plan.units = steps / plan.unit;
  const int64_t full = plan.n / plan.lanes, partial = plan.n % plan.lanes;
  plan.tiles = {.lanes = plan.lanes,
                .columns = plan.columns,
                .full = full / plan.columns,
                .rest_columns = static_cast<int>(full % plan.columns) + (partial > 0 ? 1 : 0),
                .rest_lanes = static_cast<int>(partial > 0 ? partial : plan.lanes),
                .column_bytes = plan.tile_bytes(1)};
  Places places;
  plan.weights = places.next(plan.tiles.bytes());
  plan.initial = places.next(up(plan.n, plan.lanes) * 4);
  plan.tail = places.next(0);
  return plan;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (!q.window.is_dense()) return Verdict::no("several positions, this kernel needs one a sample");
  if (q.window.groups != 1) return Verdict::no(q.window.groups, " groups, this kernel needs one");
  if (Verdict v = fits_int32(q); !v) return v;
  if (plain_storage(q.input).kind != Storage::Kind::bytes)
    return Verdict::no("input is ", q.input, ", this kernel takes codes of one byte");
  if (field_bits(q) > 4) {
    const CodeRange range = weight_range(q);
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi,
                       "], this kernel takes 4 bits");
  }
  return Verdict::yes();
}

Storage input_storage(const Query& q) { return plain_storage(q.input); }

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const int64_t vectors = (q.window.n + channel_lanes(target) - 1) / channel_lanes(target);
  std::vector<Variant> list;
  for (const int bits : {4, 2})
    for (const int columns : {8, 4, 2, 1})
      if (bits >= field_bits(q) && (columns <= vectors || columns == 1))
        list.push_back({1, columns, bits});
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const auto codes = q.weight_codes->i64();
  // The field of element k of part j, and 0 behind the last element or channel.
  const auto field = [&](int64_t k, int j, int64_t n) -> int64_t {
    const int64_t row = j * plan.part + k;
    if (row >= plan.c || n >= plan.n) return 0;
    return codes[static_cast<size_t>(row * plan.n + n)] - plan.lo - plan.bias_of(j);
  };
  std::vector<uint8_t> packed;
  const auto tile = [&](int64_t first, int columns) {
    for (int64_t step = 0; step < plan.part; step += kStepBytes)
      for (int64_t n = first; n < first + int64_t{columns} * plan.lanes; ++n)
        for (int64_t k = step; k < step + kStepBytes; ++k) {
          int64_t byte = 0;
          for (int j = 0; j < plan.fields; ++j)
            byte |= (field(k, j, n) & ((1 << plan.bits) - 1)) << (plan.bits * j);
          packed.push_back(static_cast<uint8_t>(byte));
        }
  };
  for (int64_t t = 0; t < plan.tiles.full; ++t) tile(t * plan.columns * plan.lanes, plan.columns);
  tile(plan.tiles.full * plan.columns * plan.lanes, plan.tiles.rest_columns);
  std::vector<uint8_t> out;
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");

  // -zero·Σw times 2^shift, less what the offsets of c add.
  const int64_t pitch = (plan.n + plan.lanes - 1) / plan.lanes * plan.lanes;
  std::vector<int32_t> initial = initial_sums(q, pitch);
  for (int64_t n = 0; n < plan.n; ++n) {
    int64_t sum = int64_t{initial[static_cast<size_t>(n)]} << plan.shift;
    for (int64_t k = 0; k < plan.part; ++k) {
      int64_t masked = 0;
      for (int j = 0; j < plan.fields - 1; ++j) {
        masked |= field(k, j, n) << (plan.bits * j);
        sum -= plan.offset_of(j) * masked;
      }
    }
    initial[static_cast<size_t>(n)] = static_cast<int32_t>(sum);
  }
  qloom_assert(append(out, initial) == plan.initial, q.name, ": initial sums misplaced");
  append_tail(out, *q.tail, plan.n, plan.lanes);
  return out;
}

Split split(const Query& q, const Plan& plan) {
  return split_of(q, plan.geometry, 1, plan.tiles.full + (plan.tiles.rest_columns > 0 ? 1 : 0));
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return split(q, plan_of(q, v, target)).items;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  return plan.masks ? plan.fields * plan.part_bytes : 0;
}

/// What a sample's activations become before they meet weights.
class Activations {
 public:
  Activations(Emitter& e, const Plan& plan, Value sample, Value scratch)
      : e_(e), plan_(plan), sample_(sample), scratch_(scratch) {}

  /// Factors of part j in a row.
  [[nodiscard]] Value factors(int j) const {
    return plan_.masks ? e_.offset(scratch_, j * plan_.part_bytes)
                       : e_.offset(sample_, j * plan_.part);
  }

  /// Fills scratch (form 2) and sums what all channels' accumulators begin with: 2^shift · Σ_j (lo
  /// + bias_j)·Σu_j, an i32; not valid where that is 0.
  Value prepare() {
    for (int j = 0; j < plan_.fields; ++j)
      if (weight_of_sum(j) != 0) sums_ = true;
    if (!sums_ && !plan_.masks) return {};
    for (int side = 0; side < 2; ++side)
      sum_.push_back(e_.variable(e_.zeros(Element::i32, e_.bytes() / 4)));
    // The last part is the shortest; vectors that are whole there are whole everywhere.
    const int64_t whole = std::max<int64_t>(own(plan_.fields - 1), 0) / e_.bytes() * e_.bytes();
    if (whole > 0)
      e_.loop("prepare", e_.integer(0), e_.integer(whole), e_.bytes(), 0,
              [&](Value at) { vectors(at, [&](int) { return e_.bytes(); }); });
    for (int64_t at = whole; at < plan_.part_bytes; at += e_.bytes())
      vectors(e_.integer(at), [&](int j) { return own(j) - at; });
    if (!sums_) return {};
    Value total;
    for (int side = 0; side < 2; ++side) {
      const int64_t weight = weight_of_sum(side == 0 ? 0 : plan_.fields - 1) << plan_.shift;
      if (weight == 0) continue;
      const Value sum = e_.get(sum_[static_cast<size_t>(side)]);
      const Value product =
          e_.binary(Binary::multiply, sum, e_.splat(e_.integer(weight, Element::i32), sum.lanes));
      total = total.valid() ? e_.add(total, product) : product;
    }
    return e_.reduce_add(total);
  }

 private:
  [[nodiscard]] int64_t weight_of_sum(int j) const { return plan_.lo + plan_.bias_of(j); }

  /// Elements of part j.
  [[nodiscard]] int64_t own(int j) const { return std::min(plan_.c - j * plan_.part, plan_.part); }

  /// One vector of each part, of which the first `valid(j)` bytes are elements: 0 behind them.
  void vectors(Value at, const std::function<int64_t(int)>& valid) {
    std::vector<Value> u;
    for (int j = 0; j < plan_.fields; ++j) {
      const Value from = e_.offset(e_.offset(sample_, j * plan_.part), at);
      u.push_back(first(e_.load(from, Element::i8, e_.bytes()), valid(j)));
    }
    for (int j = 0; j < plan_.fields; ++j) {
      if (weight_of_sum(j) != 0) {
        const Variable sum = sum_[j < plan_.fields - 1 ? 0 : 1];
        const Value ones = e_.splat(e_.integer(1, Element::i8), e_.bytes());
        e_.set(sum, e_.add_dot_u8s8(e_.get(sum), u[static_cast<size_t>(j)], ones));
      }
      if (!plan_.masks) continue;
      Value c = shifted(u[static_cast<size_t>(j)], plan_.factor_bits(j));
      if (j < plan_.fields - 1) {
        const Value next = shifted(u[static_cast<size_t>(j) + 1], plan_.factor_bits(j + 1));
        const Value offset =
            e_.splat(e_.integer(static_cast<int8_t>(plan_.offset_of(j)), Element::i8), e_.bytes());
        c = e_.add(e_.subtract(c, next), offset);
      }
      e_.store(e_.offset(factors(j), at), c);
    }
  }

  /// The first `n` bytes, zeros behind them.
  Value first(Value bytes, int64_t n) {
    if (n >= bytes.lanes) return bytes;
    std::vector<int64_t> mask(static_cast<size_t>(bytes.lanes), 0);
    std::fill_n(mask.begin(), std::max<int64_t>(n, 0), -1);
    return e_.binary(Binary::bit_and, bytes, e_.vector_constant(Element::i8, mask));
  }

  /// Bytes times 2^bits, no product beyond a byte.
  Value shifted(Value bytes, int bits) {
    if (bits == 0) return bytes;
    const Value words = e_.bitcast(bytes, Element::i16);
    return e_.bitcast(e_.binary(Binary::shift_left, words, e_.integer(bits, Element::i16)),
                      Element::i8);
  }

  Emitter& e_;
  const Plan& plan_;
  Value sample_, scratch_;
  bool sums_ = false;
  std::vector<Variable> sum_;  ///< of all parts but the last, of the last
};

/// Sums of one tile of channels: `columns` vectors of i32.
std::vector<Value> emit_sums(Emitter& e, const Plan& plan, const Activations& activations,
                             int columns, Value weights, std::span<const Value> initial) {
  const int wide = plan.lanes * 4, chains = std::max(1, kChains / columns);
  std::vector<Variable> sums;  // [column][chain]
  for (int i = 0; i < columns * chains; ++i)
    sums.push_back(e.variable(i % chains == 0 ? initial[static_cast<size_t>(i / chains)]
                                              : e.zeros(Element::i32, plan.lanes)));
  const auto mask = [&](int bits) {
    return e.splat(e.integer((int64_t{1} << bits) - 1, Element::i8), wide);
  };
  const int64_t step_bytes = columns * plan.vector_bytes();
  const auto unit = [&](Value index) {
    const Value w = e.offset(weights, e.multiply(index, plan.unit * step_bytes));
    int next = 0;  // chain
    for (int64_t s = 0; s < plan.unit; ++s) {
      std::vector<Value> u;
      for (int j = 0; j < plan.fields; ++j) {
        const Value at =
            e.offset(e.offset(activations.factors(j), e.multiply(index, plan.unit * kStepBytes)),
                     s * kStepBytes);
        u.push_back(e.bitcast(e.load_splat(at, Element::i32, plan.lanes), Element::i8));
      }
      for (int c = 0; c < columns; ++c) {
        const Value bytes =
            e.load(e.offset(w, s * step_bytes + c * plan.vector_bytes()), Element::i8, wide);
        for (int j = 0; j < plan.fields; ++j) {
          Value factor = bytes;
          if (!plan.masks && j > 0) {
            const Value words = e.bitcast(bytes, Element::i16);
            factor = e.bitcast(e.binary(Binary::shift_right_logical, words,
                                        e.integer(plan.bits * j, Element::i16)),
                               Element::i8);
          }
          if (!plan.masks || j < plan.fields - 1)
            factor = e.binary(Binary::bit_and, factor, mask(plan.bits * (plan.masks ? j + 1 : 1)));
          const Variable sum = sums[static_cast<size_t>(c * chains + (next + j) % chains)];
          e.set(sum, e.add_dot_u8s8(e.get(sum), u[static_cast<size_t>(j)], factor));
        }
      }
      next += plan.fields;
    }
  };
  if (plan.units == 1)
    unit(e.integer(0));
  else
    e.loop("k", e.integer(0), e.integer(plan.units), 1, 0, unit);
  std::vector<Value> out;
  for (int c = 0; c < columns; ++c) {
    Value sum = e.get(sums[static_cast<size_t>(c * chains)]);
    for (int i = 1; i < chains; ++i)
      sum = e.add(sum, e.get(sums[static_cast<size_t>(c * chains + i)]));
    if (plan.shift > 0)
      sum = e.binary(Binary::shift_right_arithmetic, sum, e.integer(plan.shift, Element::i32));
    out.push_back(sum);
  }
  return out;
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Tail& tail = *q.tail;
  const TailLayout layout = lay_out_tail(tail, plan.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, plan.masks);
  const Value tables = e.offset(b.constants, plan.tail);
  const Split cut = split(q, plan);
  emit_clear_bits(e, q, plan.geometry, cut, b.outputs);

  e.loop("samples", e.integer(0), e.count(), 1, 1, [&](Value sample) {
    Activations activations(e, plan, e.offset(b.input, e.multiply(sample, plan.c)), b.scratch);
    const Value common = activations.prepare();
    TailPlace place = place_at(e, tail, tables, b.operands, b.outputs, sample, plan.n);
    const auto tile = [&](const ChannelTile& channels) {
      const auto& [columns, last_lanes, channel, weights] = channels;
      const Value table = e.offset(e.offset(b.constants, e.multiply(channel, 4)), plan.initial);
      std::vector<Value> initial;
      for (int c = 0; c < columns; ++c) {
        const Value of_channel =
            e.load(e.offset(table, int64_t{4} * c * plan.lanes), Element::i32, plan.lanes);
        initial.push_back(common.valid() ? e.add(of_channel, e.splat(common, plan.lanes))
                                         : of_channel);
      }
      const std::vector<Value> sums = emit_sums(e, plan, activations, columns, weights, initial);
      TailBatch batch(e, tail, layout);
      for (int c = 0; c < columns; ++c) {
        place.channel = e.add(channel, int64_t{c} * plan.lanes);
        place.valid_lanes = c == columns - 1 ? last_lanes : plan.lanes;
        place.follows = c > 0;
        batch.add(sums[static_cast<size_t>(c)], place);
      }
      batch.emit();
    };
    emit_group_tiles(e, cut, plan.tiles, e.offset(b.constants, plan.weights), Value{}, tile);
  });
}

}  // namespace

extern constinit const KernelDef dense_packed{
    .name = "dense_packed",
    .doc = "Dense on few samples, weights of up to four bits packed two or four to a byte.",
    .source = "own; survey of low-bit kernels, K8",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 1.15},
    .weight_bits = 4};

}  // namespace qloom::kernels
