// kernels/depthwise/depthwise_pairs.cc: depthwise convolution, channels in the lanes, taps in
// pairs.
//
//   output channel n = c·m + j:  sum_t a_t[c]·w_t[n],   m: multiplier
//
// Two taps are interleaved, [a_t[n], a_t+1[n]] for neighbouring n, and multiplied with weights that
// lie the same way; a multiply-add of pairs then gives each channel the sum of both taps. An odd
// last tap is paired with itself and weight 0. Where m > 1 the input is copied with every channel
// repeated m times.
//
// Forms:
//   1. bytes: u8 = code + zero, times s8; each pair sum lies in int16, proved from value set and
//   weights.
//      Where all taps together do, amax·Σw⁺ <= 32767 and amax·Σw⁻ >= -32768 per channel, they are
//      summed in 16 bits; else each pair sum is widened. Accumulators begin at -zero·Σw.
//   2. words: s16 times s16, summed in 32 bits.
//
// Few channels leave most of a vector empty. Where outputs that are neighbours in a row read pixels
// that are neighbours too (stride 1), a vector takes several of them: to weights, sums and tail
// they are more channels, whose tables repeat.
//
// Source: low-bit kernel survey, K9 (multiply-add on interleaved tap pairs).

#include <algorithm>
#include <array>
#include <type_traits>

#include "graph/support/error.h"
#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Element;
using jit::Emitter;
using jit::Pairs;
using jit::Value;
using jit::Variable;

/// Channels that go through the tail together, at least and at most: half a 16-byte lane of bytes,
/// or a whole one.
constexpr int kFewLanes = 8, kManyLanes = 16;
constexpr int kLargestMultiplier = 8;

int64_t taps_of(const Window& w) { return w.kernel_h * w.kernel_w; }

/// 0 behind the last tap and the last channel.
int64_t weight(const Query& q, int64_t tap, int64_t n) {
  if (tap >= taps_of(q.window) || n >= q.window.n) return 0;
  return q.weight_codes->i64()[static_cast<size_t>(tap * q.window.n + n)];
}

/// True when amax times the weights of taps [begin, end) sums to int16, whatever the order.
bool fits_int16(const Query& q, int64_t amax, int64_t begin, int64_t end) {
  for (int64_t n = 0; n < q.window.n; ++n) {
    int64_t up = 0, down = 0;
    for (int64_t t = begin; t < end; ++t) {
      const int64_t w = weight(q, t, n);
      (w > 0 ? up : down) += w;
    }
    if (amax * up > 32767 || amax * down < -32768) return false;
  }
  return true;
}

bool takes_bytes(const Query& q) {
  const Storage storage = plain_storage(q.input);
  if (storage.kind != Storage::Kind::bytes) return false;
  const CodeRange range = weight_range(q);
  if (range.lo < -128 || range.hi > 127) return false;
  for (int64_t t = 0; t < taps_of(q.window); t += 2)
    if (!fits_int16(q, largest_byte(q, storage), t, t + 2)) return false;
  return true;
}

Storage input_storage(const Query& q) {
  return takes_bytes(q) ? plain_storage(q.input) : Storage::words();
}

/// One block of channels: a vector of `bytes` bytes of input.
struct Block {
  int bytes = 0;
  int64_t channels = 0;   ///< valid ones
  int lanes = kFewLanes;  ///< channels that go through the tail together
};

struct Plan {
  Geometry geometry;
  bool words = false, narrow_sums = false, has_zero = false;
  int64_t pairs = 0;
  int64_t pixels_together = 1;  ///< outputs in a vector
  int element_bytes = 1;
  int lanes = kFewLanes;  ///< of any block, at most
  Block full, rest;
  int64_t full_blocks = 0;
  int64_t initial_pitch = 0;
  int64_t weights = 0, initial = 0, taps = 0, pixel_table = 0, tail = 0;

  /// The channel that the i-th of a vector's (of several pixels') channels is.
  [[nodiscard]] int64_t channel(int64_t i) const {
    return i < geometry.window.n * pixels_together ? i % geometry.window.n : geometry.window.n;
  }
  /// Where tap t is; an odd last one is paired with itself.
  [[nodiscard]] int64_t tap_offset(int64_t t) const {
    const Window& w = geometry.window;
    const int64_t tap = std::min(t, taps_of(w) - 1);
    return geometry.tap_offset(tap / w.kernel_w, tap % w.kernel_w);
  }
  /// Weights of a block: two vectors (low and high interleave) per pair.
  [[nodiscard]] int64_t block_bytes(const Block& b) const { return pairs * 2 * b.bytes; }
};

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  plan.pixels_together = v.columns;
  const int64_t n = w.n * v.columns;  // as many channels the vectors have
  plan.geometry = geometry_of(w, q.input_storage, static_cast<int>(w.n / w.c));
  plan.words = q.input_storage.kind == Storage::Kind::words;
  plan.element_bytes = plan.words ? 2 : 1;
  plan.pairs = (taps_of(w) + 1) / 2;
  plan.narrow_sums = !plan.words && fits_int16(q, largest_byte(q, q.input_storage), 0, taps_of(w));
  plan.has_zero = !plan.words && q.input_storage.zero != 0;
  const int64_t bytes = n * plan.element_bytes;
  plan.full.bytes = bytes <= 16 ? 16 : bytes <= 32 ? 32 : target.vector_bytes;
  plan.full.channels = plan.full.bytes / plan.element_bytes;
  plan.full_blocks = n / plan.full.channels;
  plan.rest.channels = n % plan.full.channels;
  plan.rest.bytes = plan.rest.channels * plan.element_bytes <= 16 ? 16 : plan.full.bytes;
  if (!plan.words && target.vector_bytes >= 4 * kManyLanes)
    for (Block* b : {&plan.full, &plan.rest})
      if (b->channels > kFewLanes) b->lanes = kManyLanes;
  plan.lanes = std::max(plan.full.lanes, plan.rest.lanes);
  plan.initial_pitch = (n + plan.full.bytes) / plan.lanes * plan.lanes + plan.full.bytes;
  Places places;
  plan.weights = places.next(plan.full_blocks * plan.block_bytes(plan.full) +
                             (plan.rest.channels > 0 ? plan.block_bytes(plan.rest) : 0));
  plan.initial = places.next(plan.has_zero ? plan.initial_pitch * 4 : 0);
  plan.taps = places.next(plan.pairs * 8);
  plan.pixel_table = places.next(plan.geometry.linear ? 0 : plan.geometry.positions() * 4);
  plan.tail = places.next(0);
  return plan;
}

/// The tail with its tables repeated for `pixels` pixels.
Tail repeated(const Tail& tail, int64_t pixels) {
  Tail result = tail;
  for (TailTable& table : result.tables) {
    if (!table.per_channel) continue;
    auto repeat = [&](auto& values) {
      const size_t n = values.size() / static_cast<size_t>(table.rows);
      std::remove_reference_t<decltype(values)> all;
      for (size_t row = 0; row < static_cast<size_t>(table.rows); ++row)
        for (int64_t i = 0; i < pixels; ++i)
          all.insert(all.end(), values.begin() + static_cast<std::ptrdiff_t>(row * n),
                     values.begin() + static_cast<std::ptrdiff_t>((row + 1) * n));
      values = std::move(all);
    };
    table.is_f32 ? repeat(table.f32) : repeat(table.i32);
  }
  return result;
}

/// Pixels that one vector may take, 1 where they are not to be taken together.
int pixels_together(const Query& q, const jit::Target& target) {
  const Window& w = q.window;
  auto has_bits = [](const auto& list) {
    return std::ranges::any_of(list,
                               [](const auto& x) { return x.storage.kind == Storage::Kind::bits; });
  };
  if (w.n != w.c || w.stride_w != 1 || has_bits(q.tail->outputs) || has_bits(q.tail->operands) ||
      has_parts(*q.tail))
    return 1;
  const int64_t bytes = w.n * (q.input_storage.kind == Storage::Kind::words ? 2 : 1);
  if (bytes < 8 || target.vector_bytes % bytes != 0) return 1;
  return static_cast<int>(target.vector_bytes / bytes);
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (Verdict v = fits_int32(q); !v) return v;
  if (q.window.groups != q.window.c)
    return Verdict::no(q.window.groups, " groups of ", q.window.c,
                       " channels, this kernel needs depthwise");
  if (q.window.n > kLargestMultiplier * q.window.c)
    return Verdict::no("multiplier ", q.window.n / q.window.c, ", this kernel takes at most ",
                       kLargestMultiplier);
  const CodeRange range = weight_range(q);
  if (range.lo < -32768 || range.hi > 32767)
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi,
                       "], this kernel takes int16");
  if (!fits(q.input, Storage::words()))
    return Verdict::no("input is ", q.input, ", this kernel takes codes of at most 16 bits");
  return Verdict::yes();
}

/// Variant::option: a loop over pairs of taps, or all of them one after the other, their weights in
/// registers and their offsets in the instructions.
enum Order : int { kLoop, kUnrolled };
constexpr int64_t kMostUnrolled = 5;  ///< pairs: a window of 3×3

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const int64_t outputs = q.window.out_h * q.window.out_w;
  const int64_t pairs = (taps_of(q.window) + 1) / 2;
  std::vector<Variant> list;
  const Geometry geometry = geometry_of(q.window, q.input_storage);
  const int together = pixels_together(q, target);
  for (const int order : {kUnrolled, kLoop}) {
    if (order == kUnrolled && (target.vector_bytes < 64 || pairs > kMostUnrolled)) continue;
    for (const int rows : {4, 3, 2, 1}) {
      if (together > 1 && walks_rows(geometry, rows * together))
        list.push_back({rows, together, order});
      if (rows == 1 || rows <= outputs) list.push_back({rows, 1, order});
    }
  }
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const Window& w = q.window;
  std::vector<uint8_t> packed;
  auto put = [&](int64_t code) {
    packed.push_back(static_cast<uint8_t>(code));
    if (plan.words) packed.push_back(static_cast<uint8_t>(code >> 8));
  };
  auto block = [&](const Block& b, int64_t first) {
    const int64_t per_lane = 16 / plan.element_bytes;  // channels of 16 bytes
    for (int64_t pair = 0; pair < plan.pairs; ++pair)
      for (int64_t half = 0; half < 2; ++half)
        for (int64_t lane = 0; lane < b.bytes / 16; ++lane)
          for (int64_t i = 0; i < per_lane / 2; ++i) {
            const int64_t n = first + lane * per_lane + half * per_lane / 2 + i;
            put(weight(q, 2 * pair, plan.channel(n)));
            put(weight(q, 2 * pair + 1, plan.channel(n)));
          }
  };
  for (int64_t i = 0; i < plan.full_blocks; ++i) block(plan.full, i * plan.full.channels);
  if (plan.rest.channels > 0) block(plan.rest, plan.full_blocks * plan.full.channels);
  std::vector<uint8_t> out;
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");
  std::vector<int32_t> initial =
      plan.has_zero ? initial_sums(q, plan.initial_pitch) : std::vector<int32_t>();
  for (int64_t i = w.n; plan.has_zero && i < w.n * plan.pixels_together; ++i)
    initial[static_cast<size_t>(i)] = initial[static_cast<size_t>(i % w.n)];
  qloom_assert(append(out, initial) == plan.initial, q.name, ": initial sums misplaced");
  std::vector<int32_t> taps;
  for (int64_t t = 0; t < 2 * plan.pairs; ++t)
    taps.push_back(static_cast<int32_t>(plan.tap_offset(t)));
  qloom_assert(append(out, taps) == plan.taps, q.name, ": tap table misplaced");
  qloom_assert(append(out, pixel_table(plan.geometry)) == plan.pixel_table, q.name,
               ": pixel table misplaced");
  append_tail(out, repeated(*q.tail, plan.pixels_together), w.n * plan.pixels_together, plan.lanes);
  return out;
}

/// How samples are cut (KernelDef::work_items).
Split split(const Query& q, const Variant& v, const Plan& plan) {
  return split_of(q, plan.geometry, v.rows * v.columns,
                  plan.full_blocks + (plan.rest.channels > 0 ? 1 : 0));
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return split(q, v, plan_of(q, v, target)).items;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).geometry.scratch_bytes;
}

/// Sums of one block at each output of a tile, block.lanes channels a vector, in order of channels.
std::vector<std::vector<Value>> emit_sums(Emitter& e, const Plan& plan, Value constants,
                                          const std::vector<Value>& pixels, int64_t pitch,
                                          const Block& block, Value channel, Value weights,
                                          bool unrolled) {
  const Element element = plan.words ? Element::i16 : Element::i8;
  const int inputs = block.bytes / plan.element_bytes;
  const Element sum_element = plan.narrow_sums ? Element::i16 : Element::i32;
  // Per output: sums of the low and of the high interleave.
  std::vector<Variable> sums;
  for (size_t i = 0; i < 2 * pixels.size(); ++i)
    sums.push_back(e.variable(e.zeros(sum_element, inputs / 2)));
  // Taps t0 and t1 (their offsets) of a pair, with the weights at w.
  auto multiply = [&](Value t0, Value t1, Value w) {
    const Value low = e.load(w, element, inputs);
    const Value high = e.load(e.offset(w, int64_t{block.bytes}), element, inputs);
    for (size_t r = 0; r < pixels.size(); ++r) {
      auto input = [&](Value tap) {
        if (pitch == 0) return e.load(e.offset(pixels[r], tap), element, inputs);
        return e.load(e.offset(e.offset(pixels[0], tap), static_cast<int64_t>(r) * pitch), element,
                      inputs);
      };
      const Value a = input(t0), b = input(t1);
      for (size_t half = 0; half < 2; ++half) {
        const Value taps = half == 0 ? e.interleave_low(a, b) : e.interleave_high(a, b);
        const Value by = half == 0 ? low : high;
        Value sum = plan.words ? e.multiply_add_pairs_s16(taps, by)
                               : e.multiply_add_pairs_u8s8(taps, by, Pairs::proven);
        if (!plan.words && !plan.narrow_sums) sum = e.widen_signed(sum, Element::i32);
        const Variable to = sums[2 * r + half];
        e.set(to, e.add(e.get(to), sum));
      }
    }
  };
  auto looked_up = [&](Value pair) {
    const Value entry = e.offset(e.offset(constants, e.multiply(pair, 8)), plan.taps);
    auto tap = [&](int64_t at) {
      return e.widen_signed(e.load(e.offset(entry, at), Element::i32), Element::i64);
    };
    multiply(tap(0), tap(4), e.offset(weights, e.multiply(pair, int64_t{2} * block.bytes)));
  };
  if (unrolled) {
    for (int64_t pair = 0; pair < plan.pairs; ++pair)
      multiply(e.integer(plan.tap_offset(2 * pair)), e.integer(plan.tap_offset(2 * pair + 1)),
               e.offset(weights, pair * 2 * block.bytes));
  } else if (plan.pairs == 1) {
    looked_up(e.integer(0));
  } else {
    e.loop("taps", e.integer(0), e.integer(plan.pairs), 1, 0, looked_up);
  }

  std::vector<std::vector<Value>> result(pixels.size());
  const int lanes = block.lanes;
  const int groups = static_cast<int>((block.channels + lanes - 1) / lanes);
  for (int group = 0; group < groups; ++group) {
    Value initial;
    if (plan.has_zero)
      initial = e.load(e.offset(e.offset(constants, e.multiply(channel, 4)),
                                plan.initial + int64_t{4} * lanes * group),
                       Element::i32, lanes);
    for (size_t r = 0; r < pixels.size(); ++r) {
      const Value low = e.get(sums[2 * r]), high = e.get(sums[2 * r + 1]);
      Value sum;
      if (plan.words) {  // each 16-byte lane holds 4 channels of low and 4 of high
        sum = e.concat(e.slice(low, 4 * group, 4), e.slice(high, 4 * group, 4));
      } else {  // 8 channels of low, then 8 of high
        if (lanes == kManyLanes)
          sum = e.concat(e.slice(low, 8 * group, 8), e.slice(high, 8 * group, 8));
        else
          sum = e.slice(group % 2 == 0 ? low : high, group / 2 * 8, 8);
        if (plan.narrow_sums) sum = e.widen_signed(sum, Element::i32);
      }
      result[r].push_back(plan.has_zero ? e.add(sum, initial) : sum);
    }
  }
  return result;
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Tail tail = repeated(*q.tail, plan.pixels_together);
  const int64_t n = q.window.n, together = plan.pixels_together;
  const int64_t pitch = together * pitch_of(plan.geometry, v.rows * v.columns);
  const TailLayout layout = lay_out_tail(tail, n * together, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, plan.geometry.copied);
  const Value tables = e.offset(b.constants, plan.tail);
  const Split cut = split(q, v, plan);
  emit_clear_bits(e, q, plan.geometry, cut, b.outputs);

  auto channel_block = [&](const EmitTiles& emit_tiles, const Block& block, Value channel,
                           Value weights) {
    emit_tiles([&](const Tile& tile) {
      std::vector<Value> inputs;
      for (size_t i = 0; i < tile.pixels.size(); i += static_cast<size_t>(together))
        inputs.push_back(tile.pixels[i]);
      for (Value& p : inputs) p = e.offset(p, e.multiply(channel, plan.element_bytes));
      const auto sums = emit_sums(e, plan, b.constants, inputs, pitch, block, channel, weights,
                                  v.option == kUnrolled);
      TailBatch batch(e, tail, layout);
      for (size_t r = 0; r < inputs.size(); ++r) {
        TailPlace place = place_at(e, tail, tables, b.operands, b.outputs,
                                   e.add(tile.first, static_cast<int64_t>(r) * together), n);
        for (size_t group = 0; group < sums[r].size(); ++group) {
          const auto begin = static_cast<int64_t>(group) * block.lanes;
          place.channel = e.add(channel, begin);
          place.valid_lanes =
              static_cast<int>(std::min<int64_t>(block.lanes, block.channels - begin));
          place.follows = group > 0;
          batch.add(sums[r][group], place);
        }
      }
      batch.emit();
    });
  };
  emit_walk(
      e, plan.geometry, v.rows * v.columns, b.input, b.scratch,
      e.offset(b.constants, plan.pixel_table),
      [&](const EmitTiles& emit_tiles) {
        const Value weights = e.offset(b.constants, plan.weights);
        const int64_t bytes = plan.block_bytes(plan.full);
        emit_channel_tiles(
            e, cut, plan.full_blocks,
            [&](Value i) {
              channel_block(emit_tiles, plan.full, e.multiply(i, plan.full.channels),
                            e.offset(weights, e.multiply(i, bytes)));
            },
            plan.rest.channels > 0,
            [&] {
              channel_block(emit_tiles, plan.rest, e.integer(plan.full_blocks * plan.full.channels),
                            e.offset(weights, plan.full_blocks * bytes));
            });
      },
      cut);
}

}  // namespace

extern constinit const KernelDef depthwise_pairs{
    .name = "depthwise_pairs",
    .doc = "Depthwise convolution: channels in the lanes, pairs of taps by multiply-add.",
    .source = "low-bit kernel survey, K9",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 0.95, .zen5 = 1.2}};

}  // namespace qloom::kernels
