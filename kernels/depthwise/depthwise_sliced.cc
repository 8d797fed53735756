// kernels/depthwise/depthwise_sliced.cc: depthwise convolution of packed bits, weights -1, 0, 1,
// with sums as bit planes.
//
//   sum_t a_t·w_t,  a in {-1, 1}:  2·M + U - taps
//
// M: taps of a weight that is not zero, within the image, where a and w agree; U: taps that do not
// count, because the weight is 0 or they lie outside. A bit of a word is a channel.
//
// 1. A tap's words: counted & (a ^ ~w), counted = (w is not 0) & inside.
// 2. Full and half adders sum the words of all taps to planes: plane k holds bit k of each
//    channel's 2·M + U (or of M alone, where every tap counts).
// 3. Where an output is bits and, asked for every value of the sum, one threshold a channel decides
//    them: planes are compared with the planes of the thresholds, a majority of three a plane, and
//    the result is the output's words. Else sums are made of the planes for the tail.
//
// Outputs that are neighbours in a row read words that are neighbours too (stride 1): with few
// channels a vector takes several of them.
//
// Source: low-bit kernel survey, K9 (bit-sliced); adders as in Harley and Seal's population count.

#include <algorithm>
#include <bit>
#include <functional>
#include <optional>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "kernels/bit_planes.h"
#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/node_tail.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Value;

constexpr int64_t kMostTaps = 25;
constexpr int kWordBytes = 8, kWordBits = 64;

int64_t taps_of(const Window& w) { return w.kernel_h * w.kernel_w; }

int64_t weight(const Query& q, int64_t tap, int64_t n) {
  return q.weight_codes->i64()[static_cast<size_t>(tap * q.window.n + n)];
}

/// One threshold a channel: bit = (sum >= threshold) ^ flipped, sum as the planes hold it.
struct Thresholds {
  std::vector<int64_t> threshold;
  std::vector<bool> flipped;
};

/// Words of a pixel (or of several neighbours) that go in `vectors` vectors of `words`.
struct Chunk {
  int64_t first = 0;
  int words = 1;
  int64_t vectors = 1;
};

struct Plan {
  Geometry geometry;
  Split split;
  bool counts_all = false;  ///< every tap of every output counts
  bool has_zero_weights = false, has_border = false;
  int planes = 0;
  std::vector<Chunk> chunks;
  int64_t pixels_together = 1;
  std::optional<Thresholds> thresholds;
  int64_t image = 0, sums = 0, scratch = 0;                            ///< in scratch
  int64_t inside = 0, weights = 0, counted = 0, limits = 0, tail = 0;  ///< in the constants
  int64_t words = 0;  ///< of a vector's channels, all chunks

  /// What a sum's planes hold for the accumulator `sum`.
  [[nodiscard]] int64_t held(int64_t sum) const {
    const int64_t doubled = sum + taps_of(geometry.window);
    return counts_all ? doubled / 2 : doubled;
  }
};

/// For the first output, from every sum that the planes can hold.
std::optional<Thresholds> thresholds_of(const Query& q, const Plan& plan) {
  const Tail& tail = *q.tail;
  if (tail.outputs.size() != 1 || tail.outputs[0].storage != Storage::bits() ||
      !tail.operands.empty())
    return std::nullopt;
  const int64_t taps = taps_of(q.window), step = plan.counts_all ? 2 : 1;
  Thresholds found;
  for (int64_t n = 0; n < q.window.n; ++n) {
    const auto bit = [&](int64_t sum) {
      const auto values = run_tail(tail, static_cast<int32_t>(sum), n, {});
      return values[static_cast<size_t>(tail.outputs[0].step)].i > 0;
    };
    const bool first = bit(-taps);
    int64_t threshold = plan.held(-taps);
    bool changed = false;
    for (int64_t sum = -taps + step; sum <= taps; sum += step) {
      if (bit(sum) == (first != changed)) continue;
      if (changed) return std::nullopt;
      changed = true;
      threshold = plan.held(sum);
    }
    // Never changes: at or above the least sum always.
    found.threshold.push_back(threshold);
    found.flipped.push_back(changed ? first : !first);
  }
  return found;
}

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target, bool with_thresholds) {
  const Window& w = q.window;
  Plan plan;
  Geometry& g = plan.geometry;
  g = geometry_of(w, Storage::bits());
  plan.split = split_of(q, g, static_cast<int>(w.out_w), 1);
  const CodeRange range = weight_range(q);
  const auto levels = weight_levels(q);
  plan.has_zero_weights = std::ranges::find(levels, 0) != levels.end();
  qloom_assert(range.lo >= -1 && range.hi <= 1, q.name, ": weights beyond a trit");
  plan.has_border = g.copied;
  plan.counts_all = !plan.has_zero_weights && !plan.has_border;
  const int64_t most = plan.counts_all ? taps_of(w) : 2 * taps_of(w);
  plan.planes = std::bit_width(static_cast<uint64_t>(most));
  const int64_t pixel_words = g.pixel_bytes / kWordBytes;
  const int64_t vector_words = target.vector_bytes / kWordBytes / v.columns;
  if (pixel_words < vector_words && std::has_single_bit(static_cast<uint64_t>(pixel_words)) &&
      w.stride_w == 1) {
    const auto fit = static_cast<uint64_t>(std::min(vector_words / pixel_words, w.out_w));
    plan.pixels_together = static_cast<int64_t>(std::bit_floor(fit));
    plan.chunks.push_back({0, static_cast<int>(pixel_words * plan.pixels_together)});
  } else {
    int64_t done = 0;
    for (int64_t words = vector_words; words > 0; words /= 2) {
      const int64_t vectors = (pixel_words - done) / words;
      if (vectors > 0) plan.chunks.push_back({done, static_cast<int>(words), vectors});
      done += vectors * words;
    }
  }
  for (const Chunk& chunk : plan.chunks) plan.words += chunk.words * chunk.vectors;
  if (with_thresholds && !has_parts(*q.tail)) plan.thresholds = thresholds_of(q, plan);
  Places scratch;
  scratch.next(g.scratch_bytes + kSlackBytes);
  plan.sums = scratch.next(plan.planes * plan.words * kWordBytes + kSlackBytes);
  plan.scratch = scratch.next(0);
  Places places;
  plan.inside = places.next(plan.has_border ? g.rows * g.columns * g.pixel_bytes + kSlackBytes : 0);
  plan.weights = places.next(taps_of(w) * plan.words * kWordBytes);
  plan.counted = places.next(plan.has_zero_weights ? taps_of(w) * plan.words * kWordBytes : 0);
  plan.limits = places.next(plan.thresholds ? (plan.planes + 1) * plan.words * kWordBytes : 0);
  plan.tail = places.next(0);
  return plan;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  const Window& w = q.window;
  if (q.root != &ops::conv || w.groups != w.c || w.n != w.c || w.c == 1)
    return Verdict::no("no depthwise convolution with one output a channel");
  if (!q.input.numeric.is_binary())
    return Verdict::no("input is ", q.input, ", this kernel needs binary");
  const CodeRange range = weight_range(q);
  if (range.lo < -1 || range.hi > 1)
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi,
                       "], this kernel takes -1, 0 and 1");
  if (taps_of(w) > kMostTaps)
    return Verdict::no(taps_of(w), " taps, this kernel writes out at most ", kMostTaps);
  return Verdict::yes();
}

Storage input_storage(const Query&) { return Storage::bits(); }

/// Words of a single vector a pixel would be kept in registers for all outputs, which are too few:
/// of two, half as long, they are not.
std::vector<Variant> variants(const Query&, const jit::Target& target) {
  std::vector<Variant> list{{1, 1, 0}};
  if (target.vector_bytes > kWordBytes) list.push_back({1, 2, 0});
  return list;
}

/// Words of a vector's channels in all chunks: bit(channel), false for what is no channel.
void append_words(std::vector<uint64_t>& out, const Query& q, const Plan& plan,
                  const std::function<bool(int64_t)>& bit, bool beyond) {
  const int64_t pixel_words = plan.geometry.pixel_bytes / kWordBytes;
  for (const Chunk& chunk : plan.chunks)
    for (int64_t word = chunk.first; word < chunk.first + chunk.words * chunk.vectors; ++word) {
      uint64_t bits = 0;
      for (int64_t i = 0; i < kWordBits; ++i) {
        const int64_t n = word % pixel_words * kWordBits + i;
        if (n < q.window.n ? bit(n) : beyond) bits |= uint64_t{1} << i;
      }
      out.push_back(bits);
    }
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target, true);
  const Geometry& g = plan.geometry;
  const Window& w = q.window;
  std::vector<uint8_t> inside;
  if (plan.has_border) {
    inside.assign(static_cast<size_t>(g.rows * g.columns * g.pixel_bytes + kSlackBytes), 0);
    for (int64_t y = w.pad_top; y < std::min(g.rows, w.pad_top + w.h); ++y)
      for (int64_t x = w.pad_left; x < std::min(g.columns, w.pad_left + w.w); ++x)
        std::fill_n(inside.begin() + (y * g.columns + x) * g.pixel_bytes, g.pixel_bytes,
                    uint8_t{0xFF});
  }
  std::vector<uint64_t> weights, counted, limits;
  for (int64_t t = 0; t < taps_of(w); ++t) {
    append_words(weights, q, plan, [&](int64_t n) { return weight(q, t, n) <= 0; }, false);
    if (plan.has_zero_weights)
      append_words(counted, q, plan, [&](int64_t n) { return weight(q, t, n) != 0; }, false);
  }
  if (plan.thresholds) {
    const Thresholds& all = *plan.thresholds;
    const auto of = [&](int64_t n) { return all.threshold[static_cast<size_t>(n)]; };
    // What is no channel is at or above 0, flipped: 0 bits.
    for (int k = 0; k < plan.planes; ++k)
      append_words(limits, q, plan, [&](int64_t n) { return (of(n) >> k & 1) == 0; }, true);
    append_words(
        limits, q, plan, [&](int64_t n) { return all.flipped[static_cast<size_t>(n)]; }, true);
  }
  std::vector<uint8_t> out;
  qloom_assert(append(out, inside) == plan.inside, q.name, ": image of the inside misplaced");
  qloom_assert(append(out, weights) == plan.weights, q.name, ": weights misplaced");
  qloom_assert(append(out, counted) == plan.counted, q.name, ": masks misplaced");
  qloom_assert(append(out, limits) == plan.limits, q.name, ": thresholds misplaced");
  append_tail(out, *q.tail, w.n, channel_lanes(target));
  return out;
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target, false).split.items;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target, false).scratch;
}

/// Everything about one call's emission that its steps share.
class CallEmitter {
 public:
  CallEmitter(const Query& q, const Variant& v, Emitter& e)
      : q_(q),
        e_(e),
        plan_(plan_of(q, v, e.target(), true)),
        lanes_(channel_lanes(e.target())),
        layout_(lay_out_tail(*q.tail, q.window.n, lanes_)),
        buffers_(kernel_buffers(e, *q.tail, true)) {}

  void emit() {
    const Window& w = q_.window;
    const Geometry& g = plan_.geometry;
    const RowRange range = emit_row_range(e_, g, plan_.split);
    if (!plan_.thresholds) emit_clear_bits(e_, q_, g, plan_.split, buffers_.outputs);
    emit_border(e_, g, buffers_.scratch, range);
    e_.loop("samples", e_.integer(0), e_.count(), 1, 16, [&](Value sample) {
      Value base = e_.offset(buffers_.input, e_.multiply(sample, g.sample_bytes));
      emit_copy_sample(e_, g, buffers_.scratch, base, range);
      if (g.copied) base = buffers_.scratch;
      const Value before = e_.multiply(sample, g.positions());
      const Value begin = e_.multiply(range.begin, g.row()), end = e_.multiply(range.end, g.row());
      const int64_t row = w.out_w;
      // Where there is but one row of outputs, the range counts outputs.
      if (w.out_h == 1) {
        columns(base, before, e_.integer(0), begin, end);
        return;
      }
      e_.loop("rows", range.begin, range.end, 1, static_cast<double>(w.out_h), [&](Value y) {
        columns(base, e_.add(before, e_.multiply(y, row)), y, e_.integer(0), e_.integer(row));
      });
    });
  }

 private:
  /// Outputs [begin, end) of row y; `first`: index of the row's first output over all samples.
  void columns(Value base, Value first, Value y, Value begin, Value end) {
    const Window& w = q_.window;
    const Geometry& g = plan_.geometry;
    const Value row = e_.multiply(y, w.stride_h * g.columns * g.pixel_bytes);
    const int64_t together = plan_.pixels_together;
    const auto outputs = [&](Value x) {
      const Value at = e_.add(row, e_.multiply(x, w.stride_w * g.pixel_bytes));
      for (const Chunk& chunk : plan_.chunks) words(base, at, chunk, e_.add(first, x));
      if (!plan_.thresholds) tails(e_.add(first, x));
    };
    const double expected = static_cast<double>(w.out_w) / static_cast<double>(together);
    e_.loop("outputs", begin, end, together, expected, [&](Value x) {
      // The last ones begin earlier; an item of one row has at least so many outputs.
      outputs(together == 1 ? x : e_.binary(Binary::min_signed, x, e_.add(end, -together)));
    });
  }

  /// One vector of words while code is emitted.
  struct Words {
    int words = 1;
    Value at;  ///< bytes from the pixel's first word
  };
  Value load(Value from, int64_t at, const Words& part) {
    return e_.load(e_.offset(e_.offset(from, part.at), at), Element::i64, part.words);
  }
  /// Of a table with a row of all words.
  Value load_row(int64_t table, int64_t row, const Words& part) {
    return load(buffers_.constants, table + row * plan_.words * kWordBytes, part);
  }

  void words(Value base, Value at, const Chunk& chunk, Value output) {
    const Value pixel = e_.offset(base, at);
    const Value inside = e_.offset(e_.offset(buffers_.constants, plan_.inside), at);
    const int64_t first = chunk.first * kWordBytes, step = int64_t{chunk.words} * kWordBytes;
    const auto part = [&](Value bytes) {
      const Words one{chunk.words, bytes};
      finish(one, sums(one, pixel, inside), output);
    };
    if (chunk.vectors == 1)
      part(e_.integer(first));
    else
      e_.loop("words", e_.integer(first), e_.integer(first + chunk.vectors * step), step, 0, part);
  }

  Value ones(const Words& part) {
    return part.words == 1 ? e_.integer(-1) : e_.splat(e_.integer(-1), part.words);
  }

  /// Planes of one vector's sums.
  std::vector<Value> sums(const Words& part, Value pixel, Value inside) {
    const Window& w = q_.window;
    PlaneAdder adder(e_);
    for (int64_t t = 0; t < taps_of(w); ++t) {
      const int64_t tap = plan_.geometry.tap_offset(t / w.kernel_w, t % w.kernel_w);
      const Value a = load(pixel, tap, part), flip = load_row(plan_.weights, t, part);
      if (plan_.counts_all) {
        adder.add(0, e_.binary(Binary::bit_xor, a, flip));
        continue;
      }
      Value counted;
      if (plan_.has_border) counted = load(inside, tap, part);
      if (plan_.has_zero_weights) {
        const Value mask = load_row(plan_.counted, t, part);
        counted = counted.valid() ? e_.binary(Binary::bit_and, counted, mask) : mask;
      }
      adder.add(1, e_.and_xor(counted, a, flip));
      adder.add(0, e_.binary(Binary::bit_xor, counted, ones(part)));
    }
    return adder.planes(static_cast<size_t>(plan_.planes));
  }

  /// Compares planes with the thresholds, or keeps them for the tail.
  void finish(const Words& part, const std::vector<Value>& planes, Value output) {
    if (!plan_.thresholds) {
      const Value to = e_.offset(e_.offset(buffers_.scratch, plan_.sums), part.at);
      for (size_t k = 0; k < planes.size(); ++k)
        e_.store(e_.offset(to, static_cast<int64_t>(k) * plan_.words * kWordBytes), planes[k]);
      return;
    }
    const Value above = emit_at_least(e_, planes, [&](size_t k) {
      return load_row(plan_.limits, static_cast<int64_t>(k), part);
    });
    const Value flipped = load_row(plan_.limits, plan_.planes, part);
    const Value to = e_.offset(buffers_.outputs[0],
                               e_.multiply(output, run_bytes(Storage::bits(), q_.window.n)));
    e_.store(e_.offset(to, part.at), e_.binary(Binary::bit_xor, above, flipped));
  }

  /// Tails of the outputs whose planes lie in scratch.
  void tails(Value output) {
    const int64_t n = q_.window.n, run = run_bytes(Storage::bits(), n);
    const TensorType bit{{}, Numeric::bit(), {}};
    for (int64_t p = 0; p < plan_.pixels_together; ++p) {
      TailPlace place = place_at(e_, *q_.tail, e_.offset(buffers_.constants, plan_.tail),
                                 buffers_.operands, buffers_.outputs, e_.add(output, p), n);
      emit_vectors(e_, n, lanes_, [&](Value channel, int valid) {
        Value sum = e_.splat(e_.integer(-taps_of(q_.window), Element::i32), lanes_);
        for (int k = 0; k < plan_.planes; ++k) {
          const Value plane =
              e_.offset(buffers_.scratch, plan_.sums + k * plan_.words * kWordBytes + p * run);
          const Value bits = emit_load(e_, bit, Storage::bits(), plane, channel, lanes_);
          const int shift = k + (plan_.counts_all ? 1 : 0);
          sum = e_.add(sum, shift == 0 ? bits
                                       : e_.binary(Binary::shift_left, bits,
                                                   e_.integer(shift, Element::i32)));
        }
        place.channel = channel;
        place.valid_lanes = valid;
        emit_tail(e_, *q_.tail, layout_, sum, place);
      });
    }
  }

  const Query& q_;
  Emitter& e_;
  const Plan plan_;
  const int lanes_;
  const TailLayout layout_;
  const KernelBuffers buffers_;
};

void emit(const Query& q, const Variant& v, Emitter& e) { CallEmitter(q, v, e).emit(); }

}  // namespace

extern constinit const KernelDef depthwise_sliced{
    .name = "depthwise_sliced",
    .doc =
        "Depthwise convolution of packed bits, weights -1, 0, 1: sums as bit planes, compared with "
        "thresholds as planes.",
    .source = "low-bit kernel survey, K9 (bit-sliced)",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 0.7, .zen5 = 0.7},
    .weight_bits = 2};

}  // namespace qloom::kernels
