// kernels/dense/dense_sliced.cc: dense layers one behind the other with a sample in each bit: a
// tile of as many samples as a vector has bits goes through all layers.
//
// 1. Inputs: rows of bytes are transposed 16 × 16, and the top bits of the bytes taken, shifted by
//    each bit's place: planes (sliced_layout.h).
// 2. Layers: a loop over units loads the planes that its tables name and adds them with full adders
//    (bit_planes.h). Results are compared with their limits plane by plane.
// 3. Outputs, float32: planes become bytes again, from the highest down, which the last tail gets
//    as sums.
//
// Source: own; DESIGN 4, one sample per bit.

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/bit_planes.h"
#include "kernels/dense/sliced_layout.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Compare;
using jit::Element;
using jit::Emitter;
using jit::Value;

constexpr int kPiece = 16;  // bytes of a sample that are transposed together

/// Emits the function; see the top of this file.
class RunEmitter {
 public:
  RunEmitter(const DenseRun& run, const SlicedPlan& plan, Emitter& e)
      : run_(run),
        plan_(plan),
        e_(e),
        words_(plan.vector / 8),
        input_(e.buffer(0)),
        constants_(e.buffer(1)),
        output_(e.buffer(2)),
        scratch_(e.buffer(3)) {}

  void emit() {
    for (size_t i = 0; i < 2; ++i)
      for (int64_t at = plan_.zeros(); at < 0; at += plan_.vector)
        e_.store(e_.offset(region(i), at), e_.zeros(Element::i64, words_));
    e_.loop("tiles", e_.integer(0), e_.count(), plan_.tile(), 1, [&](Value sample) {
      if (plan_.quantizes) {
        quantize(sample);
        take_planes(e_.offset(scratch_, plan_.rows), elements_of(*run_[0]), false);
      } else {
        const Query& q = *run_[0];
        const int64_t pitch = run_bytes(q.input_storage, q.window.c);
        take_planes(e_.offset(input_, e_.multiply(sample, pitch)), pitch,
                    plan_.layers[0].in.packed);
      }
      for (size_t i = 0; i < plan_.layers.size(); ++i) layer(i);
      floats(sample);
    });
  }

 private:
  Value region(size_t i) { return e_.offset(scratch_, plan_.regions[i % 2]); }
  Value load_plane(Value at) { return e_.load(at, Element::i64, words_); }
  /// A bit of each of a vector's samples.
  [[nodiscard]] Element part() const {
    return plan_.vector == 64 ? Element::i64 : plan_.vector == 32 ? Element::i32 : Element::i16;
  }
  Value ones() { return e_.splat(e_.integer(-1), words_); }

  // --- inputs -----------------------------------------------------------------------------------

  /// Rows of bytes x of the tile's samples.
  void quantize(Value sample) {
    const Query& q = *run_[0];
    const Tail& tail = *q.tail;
    const TailLayout layout = lay_out_tail(tail, 1, plan_.lanes);
    const int64_t elements = elements_of(q);
    const Value from = e_.offset(input_, e_.multiply(sample, elements * 4));
    const Value to = e_.offset(scratch_, plan_.rows);
    const int64_t step = int64_t{4} * plan_.lanes;
    const Storage storage = tail.outputs[0].storage;
    e_.loop("quantize", e_.integer(0), e_.integer(plan_.tile() * elements), step, 0, [&](Value at) {
      std::vector<Value> codes;
      for (int i = 0; i < 4; ++i) {
        TailPlace place;
        place.tables = constants_;  // has none
        place.channel = e_.integer(0);
        const Value x =
            e_.load(e_.offset(e_.offset(from, e_.multiply(at, 4)), int64_t{4} * i * plan_.lanes),
                    Element::f32, plan_.lanes);
        codes.push_back(emit_tail_values(e_, tail, layout, x, place)[0]);
      }
      Value all = e_.concat(e_.concat(codes[0], codes[1]), e_.concat(codes[2], codes[3]));
      const Value zero = e_.zeros(Element::i32, all.lanes);
      if (storage.kind == Storage::Kind::bits)
        all = e_.negate(e_.compare(Compare::greater_signed, all, zero));
      else if (storage.zero != 0)
        all = e_.add(all, e_.splat(e_.integer(storage.zero, Element::i32), all.lanes));
      e_.store(e_.offset(to, at), e_.narrow_saturated(all, false));
    });
  }

  /// Planes of the first layer's input from rows of `pitch` bytes.
  void take_planes(Value rows, int64_t pitch, bool packed) {
    const SlicedLayer& layer = plan_.layers[0];
    const int64_t columns = packed ? SlicedPlan::channels(layer) / 8 : layer.q->window.c;
    const int64_t groups = plan_.tile() / plan_.vector;
    e_.loop("groups", e_.integer(0), e_.integer(groups), 1, 0, [&](Value group) {
      const Value first = e_.offset(rows, e_.multiply(group, plan_.vector * pitch));
      const Value to = e_.offset(region(0), e_.multiply(group, groups_bytes()));
      const auto piece = [&](Value column, int count) {
        take_piece(e_.offset(first, column), pitch, packed,
                   e_.offset(to, e_.multiply(column, (packed ? 8 : 1) * channel_bytes(layer))),
                   count);
      };
      const int64_t whole = columns / kPiece * kPiece;
      if (whole > 0)
        e_.loop("pieces", e_.integer(0), e_.integer(whole), kPiece, 0,
                [&](Value column) { piece(column, kPiece); });
      if (columns > whole) piece(e_.integer(whole), static_cast<int>(columns - whole));
    });
    e_.loop("complements", e_.integer(0), e_.integer(layer.q->window.c), 1, 0, [&](Value channel) {
      const Value at = e_.offset(region(0), e_.multiply(channel, channel_bytes(layer)));
      for (int64_t b = 0; b < layer.in.bits; ++b) {
        const Value x = load_plane(e_.offset(at, b * plan_.vector));
        e_.store(e_.offset(at, (layer.in.bits + b) * plan_.vector),
                 e_.binary(Binary::bit_xor, x, ones()));
      }
    });
  }
  [[nodiscard]] int64_t groups_bytes() const { return plan_.vector / 8; }
  [[nodiscard]] int64_t channel_bytes(const SlicedLayer& layer) const {
    return 2 * layer.in.bits * plan_.vector;
  }

  /// `kPiece` bytes of every `kPiece`th sample, `bytes` in all.
  Value rows(Value from, int64_t pitch, int bytes) {
    if (bytes == kPiece) return e_.load(from, Element::i8, kPiece);
    const Value low = rows(from, pitch, bytes / 2);
    return e_.concat(low, rows(e_.offset(from, bytes / 2 * pitch), pitch, bytes / 2));
  }

  /// As many bytes of each of a vector's samples: their bits go to planes from `to` on.
  void take_piece(Value from, int64_t pitch, bool packed, Value to, int columns) {
    const SlicedLayer& layer = plan_.layers[0];
    std::array<Value, kPiece> x;
    for (int64_t s = 0; s < kPiece; ++s) {
      x[static_cast<size_t>(s)] = rows(e_.offset(from, s * pitch), pitch, plan_.vector);
    }
    for (int round = 0; round < 4; ++round) {
      std::array<Value, kPiece> y;
      for (size_t i = 0; i < kPiece / 2; ++i) {
        y[2 * i] = e_.interleave_low(x[i], x[i + kPiece / 2]);
        y[2 * i + 1] = e_.interleave_high(x[i], x[i + kPiece / 2]);
      }
      x = y;
    }
    const int64_t bits = packed ? 8 : layer.in.bits;
    const int64_t step = packed ? channel_bytes(layer) : plan_.vector;
    for (int c = 0; c < columns; ++c)
      for (int64_t b = 0; b < bits; ++b) {
        const Value words = e_.bitcast(x[static_cast<size_t>(c)], Element::i16);
        const Value shifted =
            b == 7 ? words
                   : e_.binary(Binary::shift_left, words,
                               e_.splat(e_.integer(7 - b, Element::i16), words.lanes));
        const Value top = e_.sign_bits(e_.bitcast(shifted, Element::i8));
        e_.store(e_.offset(to, c * (packed ? 8 : 1) * channel_bytes(layer) + b * step),
                 plan_.vector == 64 ? top : e_.narrow(top, part()));
      }
  }

  // --- layers -----------------------------------------------------------------------------------

  void layer(size_t i) {
    const SlicedLayer& layer = plan_.layers[i];
    const Value from = region(i);
    e_.loop("units", e_.integer(0), e_.integer(layer.q->window.n), 1, 0, [&](Value unit) {
      PlaneAdder adder(e_);
      for (const Digit& digit : layer.digits) {
        const Value offsets =
            e_.offset(e_.offset(constants_, digit.at), e_.multiply(unit, digit.terms * 4));
        for (int64_t t = 0; t < digit.terms; ++t) {
          const Value offset = e_.load(e_.offset(offsets, 4 * t), Element::i32);
          const Value at = e_.offset(from, e_.widen_signed(offset, Element::i64));
          for (int64_t b = 0; b < layer.in.bits; ++b)
            adder.add(digit.place + static_cast<size_t>(b),
                      load_plane(e_.offset(at, b * plan_.vector)));
        }
      }
      const std::vector<Value> held = adder.planes(static_cast<size_t>(layer.planes));
      if (layer.out_bits > 0)
        results(layer, held, unit, region(i + 1));
      else
        for (size_t k = 0; k < held.size(); ++k)
          e_.store(e_.offset(e_.offset(scratch_, e_.multiply(unit, layer.planes * plan_.vector)),
                             plan_.sums + static_cast<int64_t>(k) * plan_.vector),
                   held[k]);
    });
  }

  /// Planes of a unit's result and their complements.
  void results(const SlicedLayer& layer, const std::vector<Value>& held, Value unit, Value region) {
    const Value limits = e_.offset(e_.offset(constants_, layer.limits),
                                   e_.multiply(unit, layer.limits_of_unit() * 8));
    const Value to = e_.offset(region, e_.multiply(unit, 2 * layer.out_bits * plan_.vector));
    int64_t before = 0;
    const auto limit = [&](int64_t i) {
      return e_.load_splat(e_.offset(limits, (before + i) * 8), Element::i64, words_);
    };
    for (size_t j = 0; j < layer.changes.size(); ++j) {
      Value plane = limit(0);
      for (int64_t c = 0; c < layer.changes_given[j]; ++c)
        plane = e_.binary(Binary::bit_xor, plane, emit_at_least(e_, held, [&](size_t k) {
                            return limit(1 + c * layer.planes + static_cast<int64_t>(k));
                          }));
      before += layer.limits_of_bit(j);
      const auto bit = static_cast<int64_t>(j);
      e_.store(e_.offset(to, bit * plan_.vector), plane);
      e_.store(e_.offset(to, (layer.out_bits + bit) * plan_.vector),
               e_.binary(Binary::bit_xor, plane, ones()));
    }
  }

  // --- outputs ----------------------------------------------------------------------------------

  /// Planes [first, end) of a unit's sums as bytes of a vector's samples.
  Value bytes_of(Value sums, int64_t first, int64_t end) {
    std::vector<int64_t> from, bit;
    for (int i = 0; i < plan_.vector; ++i) {
      from.push_back(i / 8);
      bit.push_back(int64_t{1} << i % 8);
    }
    const Value index = e_.vector_constant(Element::i8, from);
    const Value place = e_.vector_constant(Element::i8, bit);
    Value sum = e_.zeros(Element::i8, plan_.vector);
    for (int64_t k = end - 1; k >= first; --k) {
      const Value bits = e_.load_splat(e_.offset(sums, k * plan_.vector), part(), 8);
      const Value spread = e_.table_lookup(e_.bitcast(bits, Element::i8), index);
      const Value set =
          e_.compare(Compare::equal, e_.binary(Binary::bit_and, spread, place), place);
      sum = e_.subtract(e_.add(sum, sum), set);
    }
    return sum;
  }

  void floats(Value sample) {
    const SlicedLayer& layer = plan_.layers.back();
    const Query& q = *layer.q;
    const TailLayout layout = lay_out_tail(*q.tail, q.window.n, plan_.lanes);
    const int64_t groups = plan_.tile() / plan_.vector;
    e_.loop("floats", e_.integer(0), e_.integer(groups), 1, 0, [&](Value group) {
      const Value sums =
          e_.offset(e_.offset(scratch_, plan_.sums), e_.multiply(group, groups_bytes()));
      std::vector<Value> low, high;
      for (int64_t unit = 0; unit < q.window.n; ++unit) {
        const Value at = e_.offset(sums, unit * layer.planes * plan_.vector);
        low.push_back(bytes_of(at, 0, std::min<int64_t>(8, layer.planes)));
        if (layer.planes > 8) high.push_back(bytes_of(at, 8, layer.planes));
      }
      const Value first = e_.add(sample, e_.multiply(group, plan_.vector));
      for (int at = 0; at < plan_.vector; at += plan_.lanes) {
        std::vector<Value> units;
        for (size_t u = 0; u < low.size(); ++u)
          units.push_back(result(layout, low[u], high.empty() ? Value{} : high[u], at,
                                 static_cast<int64_t>(u)));
        emit_store_samples(
            e_, std::move(units),
            e_.offset(output_, e_.multiply(e_.add(first, int64_t{at}), q.window.n * 4)),
            [](int p, int i) { return 4 * i + p; });
      }
    });
  }

  Value result(const TailLayout& layout, Value low, Value high, int at, int64_t unit) {
    const SlicedLayer& layer = plan_.layers.back();
    const auto dwords = [&](Value bytes) {
      return e_.widen_unsigned(e_.slice(bytes, at, plan_.lanes), Element::i32);
    };
    const auto shifted = [&](Value v, int64_t by) {
      return e_.binary(Binary::shift_left, v, e_.splat(e_.integer(by, Element::i32), v.lanes));
    };
    Value sum = dwords(low);
    if (high.valid()) sum = e_.add(sum, shifted(dwords(high), 8));
    if (layer.in.scale == 2) sum = e_.add(sum, sum);
    const Value constant =
        e_.load_splat(e_.offset(constants_, layer.sums + unit * 4), Element::i32, plan_.lanes);
    TailPlace place;
    place.tables = e_.offset(constants_, layer.tail);
    place.channel = e_.integer(unit);
    place.valid_lanes = plan_.lanes;
    place.one_channel = true;
    return emit_tail_values(e_, *layer.q->tail, layout, e_.add(sum, constant), place)[0];
  }

  const DenseRun& run_;
  const SlicedPlan& plan_;
  Emitter& e_;
  const int words_;  ///< of a plane
  Value input_, constants_, output_, scratch_;
};

class SlicedFunction final : public DenseFunction {
 public:
  SlicedFunction(const DenseRun& run, SlicedPlan plan) : run_(run), plan_(std::move(plan)) {}
  [[nodiscard]] int64_t tile() const override { return plan_.tile(); }
  [[nodiscard]] std::vector<uint8_t> pack() const override { return pack_sliced(plan_); }
  [[nodiscard]] int64_t scratch_bytes() const override { return plan_.scratch; }
  void emit(Emitter& e) const override { RunEmitter(run_, plan_, e).emit(); }
  [[nodiscard]] OverCounted over_counted() const override {
    // Of vectors of 32 bytes Zen 4 does two in the time of one of 64.
    return {.zen4 = plan_.vector == 32 ? 0.75 : 1, .avx2 = 1};
  }

 private:
  DenseRun run_;
  SlicedPlan plan_;
};

Verdict match(const DenseRun& run, const jit::Target&) { return match_sliced(run); }

/// Planes of whole vectors; where those take 512 samples, of half as many too.
std::vector<std::unique_ptr<DenseFunction>> prepare(const DenseRun& run,
                                                    const jit::Target& target) {
  std::vector<std::unique_ptr<DenseFunction>> functions;
  for (int vector = std::min(target.vector_bytes, 32); vector <= target.vector_bytes; vector *= 2)
    if (std::optional<SlicedPlan> plan = sliced_plan(run, target, vector))
      functions.push_back(std::make_unique<SlicedFunction>(run, *std::move(plan)));
  return functions;
}

}  // namespace

extern constinit const DenseRunDef dense_sliced{
    .name = "dense_sliced",
    .doc = "Dense layers of few bits one behind the other by full adders, a sample in each bit.",
    .where = "bits",
    .match = match,
    .prepare = prepare};

}  // namespace qloom::kernels
