// kernels/conv/conv_planes.cc: convolution and dense, weights -1, 0, 1 and activations of up to
// four bits, one population count for each bit of the activations.
//
//   sum_k a_k·w_k,   a = u - zero,  u = Σ_p 2^p·u_p  (u_p: bit p),   w in {-1, 0, 1}
//
// With s = [w = 1] and z = [w != 0], each bit of a plane contributes
//   u_p·w = s - [z and (u_p xor s)]           (w = 0: 0 - 0;  w = 1: 1 - !u_p;  w = -1: 0 - u_p)
// so that
//   sum = (2^planes - 1)·Σs - zero·Σw - Σ_p 2^p·popcount(z and (u_p xor s)).
// The first two terms are constants of the channel. Borders are filled with the bits of `zero`,
// that is with a = 0, and are exact.
//
// Layout. A sample is split into one bit image a plane, in scratch, C bits a pixel. Where taps are
// neighbours in memory (dilation_w = 1) a kernel row is one run of bits, else a tap is; runs are
// cut into 64-bit steps. 64 bits of activations are broadcast; each 64-bit lane of a weight vector
// is an output channel: [channel tile][step][column][s, then z][lane]. z is left out where no
// weight is 0 and runs are whole words. Counts are summed in bytes, at most 8 a step, so for 31
// steps.
//
// Source: low-bit kernel survey, 1.2 (ternary × binary by masked xor) and 1.3 (bit-serial), joined:
// with weights of one digit a plane costs what a binary layer does.

#include <algorithm>
#include <bit>

#include "graph/support/error.h"
#include "kernels/conv/bit_counts.h"
#include "kernels/conv/channel_tiles.h"
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

constexpr int kMostPlanes = 4;
constexpr int kStepsInBytes = 31;  // 31 · 8 <= 255
constexpr int64_t kLongestUnit = 4;

int planes_of(const Query& q) {
  return std::bit_width(static_cast<uint64_t>(largest_byte(q, plain_storage(q.input))));
}

/// What pack and emit agree on.
struct Plan {
  Geometry geometry;
  int planes = 1, lanes = 8;
  bool masked = false;                        ///< z is stored
  int64_t runs = 0, run_bits = 0, words = 0;  ///< 64-bit words of a run
  int64_t steps = 0, units = 0, chunk = 0;
  int unit = 1;
  ChannelTiles tiles;
  int64_t pitch = 0;
  int64_t weights = 0, initial = 0, step_table = 0, pixels = 0, tail = 0;

  [[nodiscard]] int64_t vector_bytes() const { return int64_t{8} * lanes; }
  [[nodiscard]] int64_t column_bytes() const { return vector_bytes() * (masked ? 2 : 1); }
  [[nodiscard]] int64_t step_offset(int64_t step) const {
    const Window& w = geometry.window;
    const int64_t run = step / words;
    const int64_t start = runs == w.kernel_h
                              ? geometry.tap_offset(run, 0)
                              : geometry.tap_offset(run / w.kernel_w, run % w.kernel_w);
    return start + step % words * 8;
  }
};

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  plan.planes = planes_of(q);
  plan.geometry = plane_geometry_of(w, q.input_storage, plan.planes);
  plan.lanes = channel_lanes(target);
  const bool rows = w.dilation_w == 1;
  plan.runs = w.kernel_h * (rows ? 1 : w.kernel_w);
  plan.run_bits = w.c * (rows ? w.kernel_w : 1);
  plan.words = (plan.run_bits + 63) / 64;
  const auto levels = weight_levels(q);
  plan.masked = plan.run_bits % 64 != 0 || std::ranges::find(levels, 0) != levels.end();
  plan.steps = plan.runs * plan.words;
  // At least two units where there are two steps: the tail is then no part of the innermost loop.
  plan.unit =
      static_cast<int>(std::min({kLongestUnit, plan.words, std::max<int64_t>(1, plan.steps / 2)}));
  while (plan.words % plan.unit != 0) --plan.unit;
  plan.units = plan.steps / plan.unit;
  const int64_t longest = kStepsInBytes / plan.unit, chunks = (plan.units + longest - 1) / longest;
  plan.chunk = (plan.units + chunks - 1) / chunks;
  plan.tiles = channel_tiles(w, plan.lanes, v.columns, plan.steps * plan.column_bytes());
  plan.pitch = (w.n + plan.lanes - 1) / plan.lanes * plan.lanes;
  Places places;
  plan.weights = places.next(plan.tiles.bytes());
  plan.initial = places.next(plan.pitch * 4);
  plan.step_table = places.next(plan.units * 4);
  plan.pixels = places.next(plan.geometry.positions() * 4);
  plan.tail = places.next(0);
  return plan;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (Verdict v = fits_int32(q); !v) return v;
  const CodeRange range = weight_range(q);
  if (range.lo < -1 || range.hi > 1)
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi,
                       "], this kernel takes -1, 0 and 1");
  if (plain_storage(q.input).kind != Storage::Kind::bytes || planes_of(q) > kMostPlanes)
    return Verdict::no("input is ", q.input, ", this kernel takes at most ", kMostPlanes, " bits");
  if (q.window.groups != 1) return Verdict::no(q.window.groups, " groups, this kernel needs one");
  if (q.window.c % 8 != 0) return Verdict::no(q.window.c, " channels are no whole bytes of bits");
  return Verdict::yes();
}

Storage input_storage(const Query& q) { return plain_storage(q.input); }

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const int lanes = channel_lanes(target);
  const int64_t vectors = (q.window.n + lanes - 1) / lanes;
  const Geometry geometry = plane_geometry_of(q.window, plain_storage(q.input), planes_of(q));
  // A column of 64-bit lanes takes two registers: of counts, one pair a plane; of weights, two
  // pairs. Counting takes some more.
  const int registers = target.vector_bytes >= 64 ? 32 : 16;
  std::vector<Variant> list;
  for (const int columns : {2, 1})
    for (const int rows : {8, 7, 6, 5, 4, 3, 2, 1}) {
      if (columns > vectors || rows > geometry.positions()) continue;
      if (rows * columns * planes_of(q) * 2 + 8 > registers && rows * columns > 1) continue;
      if (rows > 5 && pitch_of(geometry, rows) == 0) continue;
      list.push_back({rows, columns, 0});
    }
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const Window& w = q.window;
  const auto codes = q.weight_codes->i64();
  // Bits of one word of channel n: `of(code)` for each weight.
  auto word = [&](int64_t step, int64_t n, auto of) {
    uint64_t bits = 0;
    const int64_t run = step / plan.words, begin = step % plan.words * 64;
    for (int64_t k = begin; n < w.n && k < std::min(plan.run_bits, begin + 64); ++k) {
      // A run is a contiguous piece of the kernel's rows too: [R, S, C, K].
      const int64_t code = codes[static_cast<size_t>((run * plan.run_bits + k) * w.n + n)];
      bits |= uint64_t{of(code)} << (k - begin);
    }
    return bits;
  };
  std::vector<uint64_t> packed;
  plan.tiles.for_each([&](int64_t, int64_t first, int columns) {
    for (int64_t step = 0; step < plan.steps; ++step)
      for (int c = 0; c < columns; ++c) {
        const int64_t begin = first + int64_t{c} * plan.lanes;
        for (int64_t n = begin; n < begin + plan.lanes; ++n)
          packed.push_back(word(step, n, [](int64_t code) { return code > 0; }));
        for (int64_t n = begin; plan.masked && n < begin + plan.lanes; ++n)
          packed.push_back(word(step, n, [](int64_t code) { return code != 0; }));
      }
  });
  std::vector<uint8_t> out;
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");

  std::vector<int32_t> initial(static_cast<size_t>(plan.pitch)), steps;
  const int64_t largest = (int64_t{1} << plan.planes) - 1;
  for (size_t i = 0; i < codes.size(); ++i) {
    const int64_t code = codes[i], zero = q.input_storage.zero;
    initial[i % static_cast<size_t>(w.n)] +=
        static_cast<int32_t>((code > 0 ? largest : 0) - zero * code);
  }
  qloom_assert(append(out, initial) == plan.initial, q.name, ": initial sums misplaced");
  for (int64_t u = 0; u < plan.units; ++u)
    steps.push_back(static_cast<int32_t>(plan.step_offset(u * plan.unit)));
  qloom_assert(append(out, steps) == plan.step_table, q.name, ": step table misplaced");
  qloom_assert(append(out, pixel_table(plan.geometry)) == plan.pixels, q.name,
               ": pixel table misplaced");
  append_tail(out, *q.tail, w.n, plan.lanes);
  return out;
}

/// How samples are cut (KernelDef::work_items).
Split split(const Query& q, const Variant& v, const Plan& plan) {
  return split_of(q, plan.geometry, v.rows, plan.tiles.to_cut());
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return split(q, v, plan_of(q, v, target)).items;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).geometry.scratch_bytes;
}

/// Emits Σ_p 2^p·popcount of one tile: rows × columns vectors of i32.
class TileCounts {
 public:
  TileCounts(Emitter& e, const Plan& plan, Value constants, std::span<const Value> pixels,
             int64_t pitch, int columns, Value weights)
      : e_(e),
        plan_(plan),
        steps_(e.offset(constants, plan.step_table)),
        pixels_(pixels),
        pitch_(pitch),
        columns_(columns),
        weights_(weights),
        sums_(pixels.size() * static_cast<size_t>(columns)) {}

  std::vector<Value> emit() {
    return emit_in_chunks(e_, plan_.units, plan_.chunk, sums_, plan_.lanes,
                          [&](Value first, int64_t units) { return chunk(first, units); });
  }

 private:
  /// Counts of `units` units in bytes, added up.
  std::vector<Value> chunk(Value first, int64_t units) {
    const auto planes = static_cast<size_t>(plan_.planes);
    std::vector<Variable> bytes;
    for (size_t i = 0; i < sums_ * planes; ++i)
      bytes.push_back(e_.variable(e_.zeros(Element::i8, plan_.lanes * 8)));
    emit_units(e_, first, units, [&](Value unit) { count(unit, bytes); });
    std::vector<Value> counts;
    for (size_t i = 0; i < sums_; ++i) {
      Value sum;
      for (size_t p = planes; p-- > 0;) {
        const Value plane = e_.narrow(e_.sum_bytes(e_.get(bytes[i * planes + p])), Element::i32);
        sum = sum.valid() ? e_.add(e_.add(sum, sum), plane) : plane;
      }
      counts.push_back(sum);
    }
    return counts;
  }

  void count(Value unit, const std::vector<Variable>& bytes) {
    const Value entry = e_.load(e_.offset(steps_, e_.multiply(unit, 4)), Element::i32);
    const Value input = e_.widen_signed(entry, Element::i64);
    const int64_t step_bytes = columns_ * plan_.column_bytes();
    const Value w = e_.offset(weights_, e_.multiply(unit, plan_.unit * step_bytes));
    const Value near = pitch_ > 0 ? e_.offset(pixels_[0], input) : Value{};
    const int wide = plan_.lanes * 8;
    for (int s = 0; s < plan_.unit; ++s) {
      std::vector<Value> signs, masks;
      for (int c = 0; c < columns_; ++c) {
        const int64_t at = s * step_bytes + c * plan_.column_bytes();
        signs.push_back(e_.load(e_.offset(w, at), Element::i8, wide));
        if (plan_.masked)
          masks.push_back(e_.load(e_.offset(w, at + plan_.vector_bytes()), Element::i8, wide));
      }
      for (size_t r = 0; r < pixels_.size(); ++r)
        for (int p = 0; p < plan_.planes; ++p) {
          const int64_t by = int64_t{8} * s + p * plan_.geometry.plane_bytes;
          const Value at = pitch_ > 0 ? e_.offset(near, static_cast<int64_t>(r) * pitch_ + by)
                                      : e_.offset(e_.offset(pixels_[r], input), by);
          const Value a = e_.bitcast(e_.load_splat(at, Element::i64, plan_.lanes), Element::i8);
          for (size_t c = 0; c < signs.size(); ++c) {
            const size_t sum = r * signs.size() + c;
            const Variable to =
                bytes[sum * static_cast<size_t>(plan_.planes) + static_cast<size_t>(p)];
            const Value differ = plan_.masked ? e_.and_xor(masks[c], a, signs[c])
                                              : e_.binary(Binary::bit_xor, a, signs[c]);
            e_.set(to, e_.add(e_.get(to), e_.popcount_bytes(differ)));
          }
        }
    }
  }

  Emitter& e_;
  const Plan& plan_;
  Value steps_;
  std::span<const Value> pixels_;
  int64_t pitch_;
  int columns_;
  Value weights_;
  size_t sums_;
};

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Tail& tail = *q.tail;
  const int64_t pitch = pitch_of(plan.geometry, v.rows);
  const TailLayout layout = lay_out_tail(tail, q.window.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, true);
  const Value tables = e.offset(b.constants, plan.tail);
  const Split cut = split(q, v, plan);
  emit_clear_bits(e, q, plan.geometry, cut, b.outputs);

  auto body = [&](const EmitTiles& emit_tiles, const ChannelTile& channels) {
    emit_tiles([&](const Tile& tile) {
      const std::vector<Value> counts =
          TileCounts(e, plan, b.constants, tile.pixels, pitch, channels.columns, channels.weights)
              .emit();
      const Value initial =
          e.offset(e.offset(b.constants, plan.initial), e.multiply(channels.channel, 4));
      emit_tile_tails(e, q, layout, tables, b, tile, channels, [&](size_t r, int c) {
        const Value begin =
            e.load(e.offset(initial, int64_t{4} * c * plan.lanes), Element::i32, plan.lanes);
        const auto columns = static_cast<size_t>(channels.columns);
        return e.subtract(begin, counts[r * columns + static_cast<size_t>(c)]);
      });
    });
  };
  emit_walk_channels(e, plan.geometry, v.rows, b, e.offset(b.constants, plan.pixels),
                     e.offset(b.constants, plan.weights), plan.tiles, cut, body);
}

}  // namespace

extern constinit const KernelDef conv_planes{
    .name = "conv_planes",
    .doc =
        "Convolution and dense, weights -1, 0 and 1, activations of up to four bits: a population "
        "count for each bit of the activations.",
    .source = "low-bit kernel survey, 1.2 and 1.3, joined",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .weight_bits = 2};

}  // namespace qloom::kernels
