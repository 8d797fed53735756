// kernels/conv/conv_table_binary.cc: convolution, binary × binary, by table lookups: two outputs at
// once.
//
// 1. Four channels of one pixel are a *state*: a nibble 0..15, or 16 for a pixel of the padding.
// 2. For a state s and four weights w (a nibble), matches(s, w) = 4 - popcount(s xor w); for
// padding 2,
//    whatever w is. So Σ (2·matches - 4) over all groups of four is the dot product, with padding
//    as 0.
// 3. Two neighbouring outputs share their weights. For the pair of states (s0, s1) of their inputs
// there is
//    a table of 16 bytes, indexed by w:  matches(s0, w) + 16·matches(s1, w).  All 17 × 17 tables
//    are constants (4.6 KB); a lookup instruction reads one for 32 output channels.
// 4. Three lookups are added in bytes: both nibbles stay <= 12. Then, per step of three groups,
//      full += sum (modulo 256);  high += sum >> 4
//    and at the end matches of the second output are `high`, those of the first full - 16·high
//    (modulo 256), both exact while at most 63 groups (252 matches) are summed; then they are
//    widened.
// 5. Steps are filled up with weight index 128, which looks up 0.
//
// Input. Bits are spread to states, in a copy with its border, once a sample; then `pairs`, a
// stream of byte offsets into the tables, 16·(17·s[x] + s[x + stride]), for every pixel x and
// group. For stride 1 and dilation 1 a kernel row is one run of the stream.
//
// Source: low-bit kernel survey, K1 (dual-row constant tables).

#include <algorithm>
#include <array>
#include <bit>

#include "graph/support/error.h"
#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Value;
using jit::Variable;

constexpr int kStates = 17, kPadding = 16;
constexpr int kTableBytes = 16;
constexpr int kGroupsPerStep = 3;
constexpr int64_t kStepsInBytes = 21;  // 21 · 3 · 4 = 252 <= 255
constexpr int kTailLanes = 8;
constexpr uint8_t kNoWeight = 128;

/// Two outputs of one row.
struct Pair {
  int32_t input = 0;     ///< byte offset in the stream
  int32_t position = 0;  ///< of the first output
};

struct Plan {
  Window window;
  int64_t groups = 0;             ///< of four channels, per pixel
  int64_t rows = 0, columns = 0;  ///< pixels of the copy with its border
  int lanes = 32;                 ///< channels per vector
  int tile_columns = 1;
  int64_t run = 0;  ///< groups that follow each other in the stream
  int64_t steps_per_run = 0, steps = 0, chunk = 0;
  int64_t full_tiles = 0;
  int rest_columns = 0;
  std::vector<Pair> pairs;
  int64_t tables = 0, weights = 0, step_table = 0, pair_table = 0, tail = 0;
  int64_t states = 0, stream = 0, scratch_bytes = 0;  ///< parts of scratch

  [[nodiscard]] int64_t tile_bytes(int n) const { return steps * kGroupsPerStep * n * lanes; }
  [[nodiscard]] int64_t row_groups() const { return columns * groups; }
  /// Byte offset in the stream of the first group of a tap.
  [[nodiscard]] int64_t tap_offset(int64_t y, int64_t x) const {
    return (y * window.dilation_h * columns + x * window.dilation_w) * groups * 2;
  }
};

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  plan.window = w;
  plan.groups = w.c / 4;
  plan.rows =
      std::max((w.out_h - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1, w.pad_top + 1);
  plan.columns =
      std::max((w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1, w.pad_left + 1);
  plan.lanes = w.n <= 16 ? 16 : target.vector_bytes;
  plan.tile_columns = v.columns;
  plan.run = plan.groups * (w.dilation_w == 1 ? w.kernel_w : 1);
  plan.steps_per_run = (plan.run + kGroupsPerStep - 1) / kGroupsPerStep;
  plan.steps = plan.steps_per_run * w.kernel_h * (w.dilation_w == 1 ? 1 : w.kernel_w);
  const int64_t chunks = (plan.steps + kStepsInBytes - 1) / kStepsInBytes;
  plan.chunk = (plan.steps + chunks - 1) / chunks;
  const int64_t vectors = (w.n + plan.lanes - 1) / plan.lanes;
  plan.full_tiles = w.n / plan.lanes / v.columns;
  plan.rest_columns = static_cast<int>(vectors - plan.full_tiles * v.columns);
  for (int64_t y = 0; y < w.out_h; ++y)
    for (int64_t i = 0; i < w.out_w; i += 2) {
      const int64_t x = std::min(i, w.out_w - 2);  // an odd last output is computed twice
      plan.pairs.push_back(
          {static_cast<int32_t>((y * w.stride_h * plan.columns + x * w.stride_w) * plan.groups * 2),
           static_cast<int32_t>(y * w.out_w + x)});
    }
  Places places;
  plan.tables = places.next(kStates * kStates * kTableBytes);
  plan.weights = places.next(plan.full_tiles * plan.tile_bytes(v.columns) +
                             plan.tile_bytes(plan.rest_columns));
  plan.step_table = places.next(plan.steps * 4);
  plan.pair_table = places.next(static_cast<int64_t>(plan.pairs.size()) * 8);
  plan.tail = places.next(0);
  // The last pixels of the stream look `stride` pixels ahead: room behind the states.
  Places scratch;
  plan.states = scratch.next((plan.rows * plan.columns + w.stride_w) * plan.groups + kSlackBytes);
  plan.stream = scratch.next(plan.rows * plan.row_groups() * 2 + kSlackBytes);
  plan.scratch_bytes = scratch.next(0);
  return plan;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (Verdict v = fits_int32(q); !v) return v;
  if (!q.input.numeric.is_binary())
    return Verdict::no("input is ", q.input, ", this kernel needs binary");
  for (const int64_t code : q.weight_codes->i64())
    if (code != 1 && code != -1)
      return Verdict::no("weights are ", q.weights, " with code ", code,
                         ", this kernel needs -1 and 1");
  const Window& w = q.window;
  if (w.groups != 1) return Verdict::no(w.groups, " groups, this kernel needs one");
  if (w.c % 4 != 0) return Verdict::no(w.c, " input channels, this kernel needs a multiple of 4");
  if (w.out_w < 2) return Verdict::no("rows of one output, this kernel computes pairs");
  if (w.n < 8) return Verdict::no(w.n, " output channels, this kernel needs at least 8");
  return Verdict::yes();
}

Storage input_storage(const Query&) { return Storage::bits(); }

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const Window& w = q.window;
  const int64_t lanes = w.n <= 16 ? 16 : target.vector_bytes;
  const int64_t vectors = (w.n + lanes - 1) / lanes, pairs = w.out_h * ((w.out_w + 1) / 2);
  // Two registers of sums for each pair and vector; rows: pairs.
  constexpr std::array<std::array<int, 2>, 6> kShapes{
      {{2, 2}, {1, 4}, {1, 2}, {3, 1}, {2, 1}, {1, 1}}};
  std::vector<Variant> list;
  for (const auto& [rows, columns] : kShapes)
    if (rows <= pairs && columns <= vectors) list.push_back({rows, columns, 0});
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const Window& w = q.window;
  std::vector<uint8_t> tables;
  auto matches = [](int state, int weights) {
    return state == kPadding ? 2 : 4 - std::popcount(static_cast<unsigned>(state ^ weights));
  };
  for (int s0 = 0; s0 < kStates; ++s0)
    for (int s1 = 0; s1 < kStates; ++s1)
      for (int i = 0; i < kTableBytes; ++i)
        tables.push_back(static_cast<uint8_t>(matches(s0, i) + 16 * matches(s1, i)));

  const auto codes = q.weight_codes->i64();
  std::vector<uint8_t> packed;
  auto tile = [&](int64_t first, int columns) {
    for (int64_t step = 0; step < plan.steps; ++step)
      for (int64_t k = 0; k < kGroupsPerStep; ++k) {
        const int64_t run = step / plan.steps_per_run;
        const int64_t group = step % plan.steps_per_run * kGroupsPerStep + k;
        for (int64_t n = first; n < first + int64_t{columns} * plan.lanes; ++n) {
          if (group >= plan.run || n >= w.n) {
            packed.push_back(kNoWeight);
            continue;
          }
          // Runs are contiguous in the kernel too: [R, S, C, K].
          const int64_t channel = (run * plan.run + group) * 4;
          uint8_t nibble = 0;
          for (int64_t c = 0; c < 4; ++c)
            nibble |= static_cast<uint8_t>((codes[static_cast<size_t>((channel + c) * w.n + n)] > 0)
                                           << c);
          packed.push_back(nibble);
        }
      }
  };
  for (int64_t t = 0; t < plan.full_tiles; ++t) tile(t * v.columns * plan.lanes, v.columns);
  tile(plan.full_tiles * v.columns * plan.lanes, plan.rest_columns);

  std::vector<int32_t> steps;
  for (int64_t step = 0; step < plan.steps; ++step) {
    const int64_t run = step / plan.steps_per_run;
    const int64_t start = w.dilation_w == 1 ? plan.tap_offset(run, 0)
                                            : plan.tap_offset(run / w.kernel_w, run % w.kernel_w);
    steps.push_back(static_cast<int32_t>(start + step % plan.steps_per_run * kGroupsPerStep * 2));
  }
  std::vector<uint8_t> out;
  qloom_assert(append(out, tables) == plan.tables, q.name, ": tables misplaced");
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");
  qloom_assert(append(out, steps) == plan.step_table, q.name, ": step table misplaced");
  qloom_assert(append(out, plan.pairs) == plan.pair_table, q.name, ": pair table misplaced");
  append_tail(out, *q.tail, w.n, kTailLanes);
  return out;
}

/// Rows of outputs that each hold a tile of pairs, as KernelDef::work_items; all of them by rows.
Split split(const Query& q, const Variant& v) {
  const Window& w = q.window;
  if (w.out_h == 1) return {};
  const int64_t in_row = (w.out_w + 1) / 2;
  // A tile of pairs counts as so many outputs that it takes as many rows.
  const int64_t rows = (v.rows + in_row - 1) / in_row * w.out_w;
  return split_of(q, geometry_of(w, Storage::bits()), static_cast<int>(rows), 1);
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target&) {
  return split(q, v).items;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).scratch_bytes;
}

/// Spreads the bits of one pixel to states.
void emit_states(Emitter& e, int64_t groups, Value to, Value from) {
  if (groups <= 8 &&
      std::has_single_bit(static_cast<uint64_t>(groups))) {  // one word, in scalar registers
    Value x = e.load(from, Element::i64);
    auto spread = [&](int shift, uint64_t mask) {
      const Value moved = e.binary(Binary::shift_left, x, e.integer(shift));
      x = e.binary(Binary::bit_and, e.binary(Binary::bit_or, x, moved),
                   e.integer(static_cast<int64_t>(mask)));
    };
    if (groups > 4) spread(16, 0x0000FFFF0000FFFF);
    if (groups > 2) spread(8, 0x00FF00FF00FF00FF);
    if (groups > 1) spread(4, 0x0F0F0F0F0F0F0F0F);
    const Element element = groups == 8   ? Element::i64
                            : groups == 4 ? Element::i32
                            : groups == 2 ? Element::i16
                                          : Element::i8;
    e.store(to, groups == 8 ? x : e.narrow(x, element));
    return;
  }
  const Value low_nibble = e.splat(e.integer(15, Element::i8), 16);
  for (int64_t done = 0; done < groups; done += 16) {
    const Value bits = e.load(e.offset(from, done / 2), Element::i8, 16);  // 8 bytes count
    const Value shifted =
        e.bitcast(e.binary(Binary::shift_right_logical, e.bitcast(bits, Element::i16),
                           e.splat(e.integer(4, Element::i16), 8)),
                  Element::i8);
    const Value states = e.interleave_low(e.binary(Binary::bit_and, bits, low_nibble),
                                          e.binary(Binary::bit_and, shifted, low_nibble));
    const auto valid = static_cast<int>(std::min<int64_t>(16, groups - done));
    if (valid == 16)
      e.store(e.offset(to, done), states);
    else
      e.store_first(e.offset(to, done), states, valid);
  }
}

/// States of one sample inside the border, then the stream of pairs; of the rows `read` of the
/// copy.
void emit_stream(Emitter& e, const Plan& plan, Value scratch, Value sample, const RowRange& read) {
  const Window& w = plan.window;
  const int64_t rows = std::min(w.h, plan.rows - w.pad_top);
  const int64_t columns = std::min(w.w, plan.columns - w.pad_left);
  const int64_t pixel = run_bytes(Storage::bits(), w.c);
  const Value states = e.offset(scratch, plan.states);
  const Value corner = e.offset(states, (w.pad_top * plan.columns + w.pad_left) * plan.groups);
  const Value first = e.binary(Binary::max_signed, e.integer(0), e.add(read.begin, -w.pad_top));
  const Value last = e.binary(Binary::min_signed, e.integer(rows), e.add(read.end, -w.pad_top));
  if (rows > 0 && columns > 0)
    e.loop("state rows", first, last, 1, 0, [&](Value y) {
      const Value to = e.offset(corner, e.multiply(y, plan.row_groups()));
      const Value from = e.offset(sample, e.multiply(y, w.w * pixel));
      e.loop("states", e.integer(0), e.integer(columns), 1, 0, [&](Value x) {
        emit_states(e, plan.groups, e.offset(to, e.multiply(x, plan.groups)),
                    e.offset(from, e.multiply(x, pixel)));
      });
    });
  const int lanes = e.bytes() / 2;
  const Value stream = e.offset(scratch, plan.stream);
  const Value first_factor = e.splat(e.integer(kStates * kTableBytes, Element::i16), lanes);
  const Value four = e.splat(e.integer(4, Element::i16), lanes);
  const Value begin = e.multiply(read.begin, plan.row_groups());
  // The last step of a run may look up groups behind it, with no weight: they must be offsets too.
  const Value end = e.add(e.multiply(read.end, plan.row_groups()), kGroupsPerStep - 1);
  e.loop("stream", begin, end, lanes, 0, [&](Value i) {
    const Value at = e.offset(states, i);
    const Value s0 = e.widen_unsigned(e.load(at, Element::i8, lanes), Element::i16);
    const Value s1 = e.widen_unsigned(
        e.load(e.offset(at, w.stride_w * plan.groups), Element::i8, lanes), Element::i16);
    const Value offset =
        e.add(e.multiply(s0, first_factor), e.binary(Binary::shift_left, s1, four));
    e.store(e.offset(stream, e.multiply(i, 2)), offset);
  });
}

/// Matches of a tile: for each pair and column the first and the second output's, i16 × lanes.
struct Matches {
  std::vector<Value> first, second;
};

Matches emit_matches(Emitter& e, const Plan& plan, Value constants,
                     const std::vector<Value>& inputs, int columns, Value weights) {
  const size_t n = inputs.size() * static_cast<size_t>(columns);
  const Value tables = e.offset(constants, plan.tables),
              steps = e.offset(constants, plan.step_table);
  const Value nibble = e.splat(e.integer(15, Element::i8), plan.lanes);
  const Value four = e.splat(e.integer(4, Element::i16), plan.lanes / 2);

  auto chunk = [&](Value begin, int64_t count) {
    std::vector<Variable> full, high;
    for (size_t i = 0; i < n; ++i) {
      full.push_back(e.variable(e.zeros(Element::i8, plan.lanes)));
      high.push_back(e.variable(e.zeros(Element::i8, plan.lanes)));
    }
    auto body = [&](Value step) {
      const Value entry = e.load(e.offset(steps, e.multiply(step, 4)), Element::i32);
      const Value offset = e.widen_signed(entry, Element::i64);
      const Value w =
          e.offset(weights, e.multiply(step, int64_t{kGroupsPerStep} * columns * plan.lanes));
      for (size_t r = 0; r < inputs.size(); ++r) {
        const Value at = e.offset(inputs[r], offset);
        std::vector<Value> table;
        for (int64_t k = 0; k < kGroupsPerStep; ++k) {
          const Value place =
              e.widen_unsigned(e.load(e.offset(at, 2 * k), Element::i16), Element::i64);
          Value t = e.load_table(e.offset(tables, place));
          if (t.lanes > plan.lanes) t = e.slice(t, 0, plan.lanes);
          table.push_back(t);
        }
        for (int c = 0; c < columns; ++c) {
          Value sum;
          for (int64_t k = 0; k < kGroupsPerStep; ++k) {
            const Value index =
                e.load(e.offset(w, (k * columns + c) * plan.lanes), Element::i8, plan.lanes);
            const Value found = e.table_lookup(table[static_cast<size_t>(k)], index);
            sum = k == 0 ? found : e.add(sum, found);
          }
          const size_t i = r * static_cast<size_t>(columns) + static_cast<size_t>(c);
          const Value shifted =
              e.bitcast(e.binary(Binary::shift_right_logical, e.bitcast(sum, Element::i16), four),
                        Element::i8);
          e.set(full[i], e.add(e.get(full[i]), sum));
          e.set(high[i], e.add(e.get(high[i]), e.binary(Binary::bit_and, shifted, nibble)));
        }
      }
    };
    if (count == 1)
      body(begin);
    else
      e.loop("k", begin, e.add(begin, count), 1, static_cast<double>(count), body);
    Matches m;
    for (size_t i = 0; i < n; ++i) {
      const Value h = e.get(high[i]);
      Value h16 = h;  // 16·high modulo 256
      for (int k = 0; k < 4; ++k) h16 = e.add(h16, h16);
      m.first.push_back(e.widen_unsigned(e.subtract(e.get(full[i]), h16), Element::i16));
      m.second.push_back(e.widen_unsigned(h, Element::i16));
    }
    return m;
  };
  if (plan.chunk >= plan.steps) return chunk(e.integer(0), plan.steps);

  std::vector<Variable> first, second;
  for (size_t i = 0; i < n; ++i) {
    first.push_back(e.variable(e.zeros(Element::i16, plan.lanes)));
    second.push_back(e.variable(e.zeros(Element::i16, plan.lanes)));
  }
  auto flush = [&](Value begin, int64_t count) {
    const Matches m = chunk(begin, count);
    for (size_t i = 0; i < n; ++i) {
      e.set(first[i], e.add(e.get(first[i]), m.first[i]));
      e.set(second[i], e.add(e.get(second[i]), m.second[i]));
    }
  };
  const int64_t whole = plan.steps / plan.chunk * plan.chunk;
  e.loop("chunks", e.integer(0), e.integer(whole), plan.chunk, 0,
         [&](Value begin) { flush(begin, plan.chunk); });
  if (whole < plan.steps) flush(e.integer(whole), plan.steps - whole);
  Matches m;
  for (size_t i = 0; i < n; ++i) {
    m.first.push_back(e.get(first[i]));
    m.second.push_back(e.get(second[i]));
  }
  return m;
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Tail& tail = *q.tail;
  const Window& w = q.window;
  const TailLayout layout = lay_out_tail(tail, w.n, kTailLanes);
  const KernelBuffers b = kernel_buffers(e, tail, true);
  const Value tail_tables = e.offset(b.constants, plan.tail);
  const int64_t positions = w.out_h * w.out_w;
  const Split cut = split(q, v);
  const Geometry geometry = geometry_of(w, Storage::bits());
  const RowRange range = emit_row_range(e, geometry, cut);
  const RowRange read = emit_rows_read(e, geometry, range);
  const int64_t in_row = (w.out_w + 1) / 2;
  const bool one_row = w.out_h == 1;
  const Value first_pair = one_row ? e.integer(0) : e.multiply(range.begin, in_row);
  const Value end_pair = one_row ? e.integer(in_row) : e.multiply(range.end, in_row);
  const int64_t groups = w.kernel_h * w.kernel_w * plan.groups;
  emit_clear_bits(e, q, geometry, cut, b.outputs);

  // Sums are 2·matches - 4·groups.
  auto tails = [&](Value matches, Value position, Value channel, int64_t valid) {
    TailPlace place = place_at(e, tail, tail_tables, b.operands, b.outputs, position, w.n);
    TailBatch batch(e, tail, layout);
    for (int first = 0; first < plan.lanes && first < valid; first += kTailLanes) {
      const Value part = e.widen_signed(e.slice(matches, first, kTailLanes), Element::i32);
      const Value sum =
          e.subtract(e.add(part, part), e.splat(e.integer(4 * groups, Element::i32), kTailLanes));
      place.channel = e.add(channel, int64_t{first});
      place.valid_lanes = static_cast<int>(std::min<int64_t>(kTailLanes, valid - first));
      place.follows = first > 0;
      batch.add(sum, place);
    }
    batch.emit();
  };
  // One channel tile over all pairs of a sample; `end`: channels from the tile's first one on.
  auto channel_tile = [&](Value sample, int columns, Value channel, int64_t end, Value weights) {
    const Value last = e.subtract(end_pair, e.integer(v.rows));
    e.loop("pairs", first_pair, end_pair, v.rows, 0, [&](Value at) {
      if (v.rows > 1) at = e.binary(Binary::min_signed, at, last);
      std::vector<Value> inputs, at_position;
      for (int r = 0; r < v.rows; ++r) {
        const Value entry =
            e.offset(e.offset(b.constants, e.multiply(at, 8)), plan.pair_table + int64_t{8} * r);
        inputs.push_back(e.offset(e.offset(b.scratch, plan.stream),
                                  e.widen_signed(e.load(entry, Element::i32), Element::i64)));
        at_position.push_back(
            e.add(e.widen_signed(e.load(e.offset(entry, int64_t{4}), Element::i32), Element::i64),
                  e.multiply(sample, positions)));
      }
      const Matches m = emit_matches(e, plan, b.constants, inputs, columns, weights);
      for (size_t r = 0; r < inputs.size(); ++r)
        for (int c = 0; c < columns; ++c) {
          const size_t i = r * static_cast<size_t>(columns) + static_cast<size_t>(c);
          const int64_t begin = int64_t{c} * plan.lanes;
          tails(m.first[i], at_position[r], e.add(channel, begin), end - begin);
          tails(m.second[i], e.add(at_position[r], 1), e.add(channel, begin), end - begin);
        }
    });
  };

  const Value fill = e.splat(e.integer(kPadding, Element::i8), e.bytes());
  // The last pixels of the stream look `stride` pixels ahead.
  const int64_t ahead = w.stride_w * plan.groups + kGroupsPerStep - 1;
  const Value first_state = e.add(e.multiply(read.begin, plan.row_groups()), plan.states);
  const Value end_state = e.add(e.multiply(read.end, plan.row_groups()), plan.states + ahead);
  e.loop("border", first_state, end_state, e.bytes(), 0,
         [&](Value at) { e.store(e.offset(b.scratch, at), fill); });
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](Value sample) {
    emit_stream(e, plan, b.scratch,
                e.offset(b.input, e.multiply(sample, w.h * w.w * run_bytes(Storage::bits(), w.c))),
                read);
    const Value weights = e.offset(b.constants, plan.weights);
    const int64_t width = int64_t{v.columns} * plan.lanes;
    if (plan.full_tiles > 0)
      e.loop("channels", e.integer(0), e.integer(plan.full_tiles), 1, 0, [&](Value t) {
        channel_tile(sample, v.columns, e.multiply(t, width), width,
                     e.offset(weights, e.multiply(t, plan.tile_bytes(v.columns))));
      });
    if (plan.rest_columns > 0)
      channel_tile(sample, plan.rest_columns, e.integer(plan.full_tiles * width),
                   w.n - plan.full_tiles * width,
                   e.offset(weights, plan.full_tiles * plan.tile_bytes(v.columns)));
  });
}

}  // namespace

extern constinit const KernelDef conv_table_binary{
    .name = "conv_table_binary",
    .doc =
        "Convolution, binary × binary: lookups in constant tables of matches, two outputs at once.",
    .source = "low-bit kernel survey, K1",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .over_counted = {.zen4 = 1.05, .zen5 = 1.15},
    .weight_bits = 2};

}  // namespace qloom::kernels
