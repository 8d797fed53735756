// kernels/conv/conv_xnor.cc: convolution and dense, binary × binary or ternary weights, by xor and
// population count.
//
//   a·w = C - 2·popcount(a xor w) for the C channels of one tap;  a, w in {-1, +1}; bit 1 stands
//   for +1. Where some weights are 0, a second word z has 0 bits for them:
//   a·w = popcount(z) - 2·popcount((a xor w) and z); what follows holds with C = popcount(z).
//
// Padding contributes 0, which no bit can say. So:
//   1. the border of the copied input holds 0 bits: a tap outside gives popcount(w_tap and z);
//   2. over all taps: sum = Σ_inside (C - 2·popcount_tap)
//                         = [C·inside + 2·Σ_outside popcount(w_tap)] - 2·Σ_all popcount_tap;
//   3. the bracket is a constant per channel and per set of taps inside: a table with one row for
//      each set that occurs (9 for a 3×3 layer), and for each output the row that it takes.
// Bits behind the last channel are 0 in both operands and cancel. Exact while the sum fits int32.
//
// Layout: 64 bits of activations are broadcast; each 64-bit lane of a weight vector is an output
// channel: [channel tile][step][column][lane]. Counts are summed in bytes, at most 8 a step, so for
// 31 steps.
//
// Source: Muła, Kurz, Lemire, "Faster population counts using AVX2 instructions" (2018), vertical
// layout; correction of borders as in Larq Compute Engine.

#include <algorithm>
#include <array>
#include <bit>

#include "graph/support/error.h"
#include "kernels/conv/bit_counts.h"
#include "kernels/conv/border_classes.h"
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

constexpr int kStepsInBytes = 31;  // 31 · 8 <= 255
constexpr int64_t kLongestUnit = 4;

/// What pack and emit agree on.
struct Plan {
  Geometry geometry;
  int lanes = 8;
  int64_t words = 0;  ///< 64-bit words per tap
  int planes = 1;     ///< 2: each vector of weights is followed by one of z
  int64_t steps = 0, units = 0, chunk = 0;
  int unit = 1;
  BorderClasses borders;
  ChannelTiles tiles;
  int64_t pitch = 0;  ///< entries of a row of the table of initial sums
  int64_t weights = 0, initial = 0, rows = 0, step_table = 0, pixels = 0, tail = 0;

  [[nodiscard]] int64_t vector_bytes() const { return int64_t{8} * lanes; }
  [[nodiscard]] int64_t column_bytes() const { return planes * vector_bytes(); }
  [[nodiscard]] int64_t step_offset(int64_t step) const {
    const int64_t tap = step / words;
    const Window& w = geometry.window;
    return geometry.tap_offset(tap / w.kernel_w, tap % w.kernel_w) + step % words * 8;
  }
};

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  plan.geometry = geometry_of(w, Storage::bits());
  plan.lanes = channel_lanes(target);
  plan.words = (w.c + 63) / 64;
  plan.planes = std::ranges::count(weight_levels(q), 0) > 0 ? 2 : 1;
  plan.steps = w.kernel_h * w.kernel_w * plan.words;
  // Steps that follow each other in memory share an entry of the step table. At least two units
  // where there are two steps: the tail is then no part of the innermost loop.
  const int64_t run = plan.words * (w.dilation_w == 1 ? w.kernel_w : 1);
  plan.unit = static_cast<int>(std::min({kLongestUnit, run, std::max<int64_t>(1, plan.steps / 2)}));
  while (run % plan.unit != 0) --plan.unit;
  plan.units = plan.steps / plan.unit;
  const int64_t longest = kStepsInBytes / plan.unit, chunks = (plan.units + longest - 1) / longest;
  plan.chunk = (plan.units + chunks - 1) / chunks;
  plan.borders = border_classes(w);
  plan.tiles = channel_tiles(w, plan.lanes, v.columns, plan.steps * plan.column_bytes());
  plan.pitch = (w.n + plan.lanes - 1) / plan.lanes * plan.lanes;
  Places places;
  const int64_t classes = plan.borders.count();
  plan.weights = places.next(plan.tiles.bytes());
  plan.initial = places.next(classes * plan.pitch * 4);
  plan.rows = places.next(classes == 1 ? 0 : plan.geometry.positions() * 4);
  plan.step_table = places.next(plan.units * 4);
  plan.pixels = places.next(plan.geometry.linear ? 0 : plan.geometry.positions() * 4);
  plan.tail = places.next(0);
  return plan;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (Verdict v = fits_int32(q); !v) return v;
  if (!q.input.numeric.is_binary())
    return Verdict::no("input is ", q.input, ", this kernel needs binary");
  for (const int64_t code : q.weight_codes->i64())
    if (code < -1 || code > 1)
      return Verdict::no("weights are ", q.weights, " with code ", code,
                         ", this kernel needs -1, 0 and 1");
  if (q.window.groups != 1) return Verdict::no(q.window.groups, " groups, this kernel needs one");
  return Verdict::yes();
}

Storage input_storage(const Query&) { return Storage::bits(); }

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const int lanes = channel_lanes(target);
  const int64_t vectors = (q.window.n + lanes - 1) / lanes;
  const int64_t outputs = q.window.is_dense() ? 16 : q.window.out_h * q.window.out_w;
  // A column of 64-bit lanes takes two registers; counting takes four more.
  constexpr std::array<std::array<int, 2>, 5> kShapes{{{4, 1}, {2, 2}, {3, 1}, {2, 1}, {1, 1}}};
  std::vector<Variant> list;
  for (const auto& [rows, columns] : kShapes)
    if (rows <= outputs && columns <= vectors) list.push_back({rows, columns, 0});
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const Window& w = q.window;
  const auto codes = q.weight_codes->i64();
  // Weights are read in their order: [tap][channel][output].
  std::vector<uint64_t> packed, words(static_cast<size_t>(plan.pitch));
  auto words_of = [&](int64_t step, auto bit_of) {
    std::ranges::fill(words, 0);
    const int64_t tap = step / plan.words, begin = step % plan.words * 64;
    for (int64_t c = begin; c < std::min(w.c, begin + 64); ++c) {
      const int64_t* row = codes.data() + (tap * w.c + c) * w.n;
      for (int64_t n = 0; n < w.n; ++n)
        words[static_cast<size_t>(n)] |= uint64_t{bit_of(row[n])} << (c - begin);
    }
  };
  // [step][plane][output], then as the channel tiles read it.
  std::vector<uint64_t> all;
  for (int64_t step = 0; step < plan.steps; ++step) {
    words_of(step, [](int64_t code) { return code > 0; });
    all.insert(all.end(), words.begin(), words.end());
    if (plan.planes != 2) continue;
    words_of(step, [](int64_t code) { return code != 0; });
    all.insert(all.end(), words.begin(), words.end());
  }
  packed.reserve(all.size());
  plan.tiles.for_each([&](int64_t, int64_t first, int columns) {
    for (int64_t step = 0; step < plan.steps; ++step)
      for (int c = 0; c < columns; ++c)
        for (int plane = 0; plane < plan.planes; ++plane)
          for (int64_t n = 0; n < plan.lanes; ++n)
            packed.push_back(all[static_cast<size_t>((step * plan.planes + plane) * plan.pitch +
                                                     first + int64_t{c} * plan.lanes + n)]);
  });
  std::vector<uint8_t> out;
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");

  std::vector<int32_t> initial, rows, steps;
  // Of each tap, by output: how often a code is not 0, and how often it is positive, twice.
  const int64_t taps = w.kernel_h * w.kernel_w;
  std::vector<int32_t> inside_sum(static_cast<size_t>(taps * w.n)),
      outside_sum(static_cast<size_t>(taps * w.n));
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t c = 0; c < w.c; ++c) {
      const int64_t* row = codes.data() + (tap * w.c + c) * w.n;
      for (int64_t n = 0; n < w.n; ++n) {
        inside_sum[static_cast<size_t>(tap * w.n + n)] += row[n] != 0 ? 1 : 0;
        outside_sum[static_cast<size_t>(tap * w.n + n)] += row[n] > 0 ? 2 : 0;
      }
    }
  for (int64_t k = 0; k < plan.borders.count(); ++k)
    for (int64_t n = 0; n < plan.pitch; ++n) {
      int32_t sum = 0;
      for (int64_t tap = 0; n < w.n && tap < taps; ++tap) {
        const bool inside = plan.borders.inside(k, tap / w.kernel_w, tap % w.kernel_w);
        sum += (inside ? inside_sum : outside_sum)[static_cast<size_t>(tap * w.n + n)];
      }
      initial.push_back(sum);
    }
  qloom_assert(append(out, initial) == plan.initial, q.name, ": initial sums misplaced");
  if (plan.borders.count() > 1) rows = plan.borders.offsets(plan.pitch * 4);
  qloom_assert(append(out, rows) == plan.rows, q.name, ": border table misplaced");
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

int64_t scratch_bytes(const Query& q, const Variant&, const jit::Target&) {
  return geometry_of(q.window, Storage::bits()).scratch_bytes;
}

/// Differing bits of one tile, rows × columns vectors of i32.
std::vector<Value> emit_counts(Emitter& e, const Plan& plan, Value constants,
                               const std::vector<Value>& pixels, int columns, Value weights) {
  const int wide = plan.lanes * 8;
  const size_t n = pixels.size() * static_cast<size_t>(columns);
  const Value steps = e.offset(constants, plan.step_table);

  auto chunk = [&](Value first, int64_t units) {
    std::vector<Variable> bytes;
    for (size_t i = 0; i < n; ++i) bytes.push_back(e.variable(e.zeros(Element::i8, wide)));
    auto body = [&](Value unit) {
      const Value entry = e.load(e.offset(steps, e.multiply(unit, 4)), Element::i32);
      const Value input = e.widen_signed(entry, Element::i64);
      const int64_t step_bytes = columns * plan.column_bytes();
      const Value w = e.offset(weights, e.multiply(unit, plan.unit * step_bytes));
      for (int s = 0; s < plan.unit; ++s)
        for (int c = 0; c < columns; ++c) {
          const int64_t at_column = s * step_bytes + c * plan.column_bytes();
          const Value column = e.load(e.offset(w, at_column), Element::i8, wide);
          Value nonzero;
          if (plan.planes == 2)
            nonzero = e.load(e.offset(w, at_column + plan.vector_bytes()), Element::i8, wide);
          for (size_t r = 0; r < pixels.size(); ++r) {
            const Value at = e.offset(e.offset(pixels[r], input), int64_t{8} * s);
            const Value a = e.bitcast(e.load_splat(at, Element::i64, plan.lanes), Element::i8);
            const Variable sum = bytes[r * static_cast<size_t>(columns) + static_cast<size_t>(c)];
            Value differ = e.binary(Binary::bit_xor, a, column);
            if (nonzero.valid()) differ = e.binary(Binary::bit_and, differ, nonzero);
            e.set(sum, e.add(e.get(sum), e.popcount_bytes(differ)));
          }
        }
    };
    emit_units(e, first, units, body);
    std::vector<Value> counts;
    for (const Variable b : bytes) counts.push_back(e.narrow(e.sum_bytes(e.get(b)), Element::i32));
    return counts;
  };
  return emit_in_chunks(e, plan.units, plan.chunk, n, plan.lanes, chunk);
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Tail& tail = *q.tail;
  const Window& w = q.window;
  const TailLayout layout = lay_out_tail(tail, w.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, plan.geometry.copied);
  const Value tables = e.offset(b.constants, plan.tail);
  const Split cut = split(q, v, plan);
  emit_clear_bits(e, q, plan.geometry, cut, b.outputs);

  auto body = [&](const EmitTiles& emit_tiles, const ChannelTile& channels) {
    emit_tiles([&](const Tile& tile) {
      const std::vector<Value> counts =
          emit_counts(e, plan, b.constants, tile.pixels, channels.columns, channels.weights);
      Value initial;
      emit_tile_tails(e, q, layout, tables, b, tile, channels, [&](size_t r, int c) {
        if (c == 0) {
          initial = e.offset(e.offset(b.constants, plan.initial), e.multiply(channels.channel, 4));
          if (plan.borders.count() > 1) {
            const Value output = e.add(tile.local, static_cast<int64_t>(r));
            const Value row = e.load(
                e.offset(e.offset(b.constants, e.multiply(output, 4)), plan.rows), Element::i32);
            initial = e.offset(initial, e.widen_signed(row, Element::i64));
          }
        }
        const Value begin =
            e.load(e.offset(initial, int64_t{4} * c * plan.lanes), Element::i32, plan.lanes);
        const auto columns = static_cast<size_t>(channels.columns);
        const Value count = counts[r * columns + static_cast<size_t>(c)];
        return e.subtract(begin, e.add(count, count));
      });
    });
  };
  emit_walk_channels(e, plan.geometry, v.rows, b, e.offset(b.constants, plan.pixels),
                     e.offset(b.constants, plan.weights), plan.tiles, cut, body);
}

}  // namespace

extern constinit const KernelDef conv_xnor{
    .name = "conv_xnor",
    .doc = "Convolution and dense, binary × binary or ternary weights: xor, then population count.",
    .source = "Muła, Kurz, Lemire, Faster population counts using AVX2 instructions (2018)",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .weight_bits = 1};

}  // namespace qloom::kernels
