// kernels/conv/conv_pairs.cc: convolution and dense by multiply-add pairs, any mix of codes up to
// 16 bits.
//
//   sum_k a_k·w_k,   a: input codes, w: weight codes, k over the kernel window and input channels
//
// Layout. K is cut into steps of one dword of activations, broadcast to all lanes; each 32-bit lane
// of a weight vector is one output channel and holds the step's weights: [channel
// tile][step][column][lane]. Where taps are neighbours in memory (dilation_w = 1, groups = 1) a
// whole kernel row is one run of K; otherwise each tap is one. PairRuns are padded to whole steps
// with zero weights, so what is read past a run does not matter.
//
// Forms, chosen by what value sets and weights prove:
//   1. bytes: u8 = code + zero, four a step, times s8. Pair sums must lie in int16:
//        amax·(w0⁺ + w1⁺) <= 32767,  amax·(w0⁻ + w1⁻) >= -32768      for each pair of the layout.
//      They are added in 16-bit lanes, which are flushed to 32 bits after each chunk of steps. A
//      chunk is as long as the actual weights allow: all partial sums of a lane lie within
//        [amax·Σw⁻, amax·Σw⁺] over the chunk, and that must lie in int16.
//      Σ(a + zero)·w = Σa·w + zero·Σw, so accumulators begin at -zero·Σw. This is exact at borders
//      too: they are filled with the byte of code 0, which is `zero`.
//   2. bytes, chunks shorter than kShortChunk steps: widened to 32 bits at once, sums stay in
//   registers.
//   3. words: s16 times s16, two a step, summed in 32 bits. For whatever form 1 cannot prove.
//   4. dots: bytes, where the target adds four products to a 32-bit lane exactly (Target::has_dot).
//   Nothing to prove and nothing to flush.
//   5. dots, weights beyond a byte, all but few of which are a byte times 2^s (SparseRest): Σa·b,
//   shifted, plus Σa·r. What r is not 0 for is looked up in blocks of 16 bytes of a run: four bytes
//   that each channel chooses itself, [channel tile][step][column][indices, then r][lane].
// All 32-bit sums are modulo 2^32, so only the final accumulator must fit int32.
//
// Source: spec of low-bit kernels, K5 and K6; the flush bound from the actual weights is ours.

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <vector>

#include "graph/support/error.h"
#include "kernels/conv/channel_tiles.h"
#include "kernels/conv/pair_layout.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Pairs;
using jit::Value;
using jit::Variable;

/// True when the input goes as bytes (forms 1 and 2).
bool takes_bytes(const Query& q) {
  const Storage storage = plain_storage(q.input);
  if (storage.kind != Storage::Kind::bytes) return false;
  const CodeRange range = weight_range(q);
  if (range.lo < -128 || range.hi > 127)
    return q.has_dot() && q.window.groups == 1 &&
           sparse_rest(q, runs_of(q.window, false)).has_value();
  return q.has_dot() || pairs_are_proven(q, runs_of(q.window, false), largest_byte(q, storage));
}

Storage input_storage(const Query& q) {
  return takes_bytes(q) ? plain_storage(q.input) : Storage::words();
}

/// Everything that pack and emit must agree on. A function of query, variant and target.
struct Plan {
  Geometry geometry;
  PairRuns runs;
  bool words = false;
  bool dots = false;  ///< one dot product a step and lane
  int lanes = 8, columns = 1;
  int64_t group_n = 0, group_c = 0;
  int unit = 1;  ///< steps that share an entry of the step table
  int64_t units = 0;
  int64_t chunk = 0;      ///< units between flushes; 0: widened at once (or words)
  SparseRest rest;        ///< any: form 5
  bool has_zero = false;  ///< accumulators begin at -zero·Σw
  // Tiles of one group.
  int64_t full_tiles = 0;
  int rest_columns = 0, rest_lanes = 0;  ///< valid lanes of the last column
  // Offsets in the constants.
  int64_t weights = 0, initial = 0, steps = 0, pixels = 0, rests = 0, blocks = 0, tail = 0;
  int64_t initial_pitch = 0;

  [[nodiscard]] int64_t vector_bytes() const { return int64_t{4} * lanes; }
  [[nodiscard]] int64_t tile_bytes(int tile_columns) const {
    return runs.steps() * tile_columns * vector_bytes();
  }
  [[nodiscard]] int64_t group_bytes() const {
    return full_tiles * tile_bytes(columns) + tile_bytes(rest_columns);
  }
  [[nodiscard]] int64_t rest_bytes(int tile_columns) const {
    return rest.steps * tile_columns * 2 * vector_bytes();
  }
  [[nodiscard]] int64_t run_offset(int64_t run) const {
    const Window& w = geometry.window;
    return runs.whole_rows ? geometry.tap_offset(run, 0)
                           : geometry.tap_offset(run / w.kernel_w, run % w.kernel_w);
  }
  [[nodiscard]] int64_t step_offset(int64_t step) const {
    return run_offset(step / runs.steps_per_run()) + step % runs.steps_per_run() * 4;
  }
};

/// Where sums are never flushed, Variant::option carries the rest in the place of chunks.
int option_of(const Flush& flush, const SparseRest& rest) {
  return flush.option() + 8 * (rest.shift + 8 * static_cast<int>(rest.steps));
}
SparseRest rest_of_option(int option) { return {option / 8 % 8, option / 64}; }

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  plan.words = q.input_storage.kind == Storage::Kind::words;
  plan.dots = plan.words || target.has_dot();
  plan.geometry = geometry_of(w, q.input_storage);
  plan.runs = runs_of(w, plan.words);
  plan.lanes = channel_lanes(target);
  plan.columns = v.columns;
  plan.group_n = w.n / w.groups;
  plan.group_c = w.c / w.groups;
  const Flush flush = Flush::from_option(v.option);
  plan.unit = flush.unit;
  plan.chunk = plan.dots ? 0 : flush.chunk;
  plan.units = plan.runs.steps() / plan.unit;
  if (q.has_dot() && !plan.words) plan.rest = rest_of_option(v.option);
  plan.has_zero = !plan.words && q.input_storage.zero != 0;
  const int64_t full = plan.group_n / plan.lanes, partial = plan.group_n % plan.lanes;
  plan.full_tiles = full / plan.columns;
  plan.rest_columns = static_cast<int>(full % plan.columns) + (partial > 0 ? 1 : 0);
  plan.rest_lanes = static_cast<int>(partial > 0 ? partial : plan.lanes);

  Places places;
  plan.initial_pitch = (w.n + plan.lanes - 1) / plan.lanes * plan.lanes + plan.lanes;
  plan.weights = places.next(w.groups * plan.group_bytes());
  plan.initial = places.next(plan.has_zero ? plan.initial_pitch * 4 : 0);
  plan.steps = places.next(plan.units * 4);
  plan.pixels = places.next(plan.geometry.linear ? 0 : plan.geometry.positions() * 4);
  plan.rests = places.next(plan.full_tiles * plan.rest_bytes(plan.columns) +
                           plan.rest_bytes(plan.rest_columns));
  plan.blocks = places.next(plan.rest.steps * 4);
  plan.tail = places.next(0);
  return plan;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (Verdict v = fits_int32(q); !v) return v;
  const CodeRange range = weight_range(q);
  if (range.lo < -32768 || range.hi > 32767)
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi,
                       "], this kernel takes int16");
  if (!fits(q.input, Storage::words()))
    return Verdict::no("input is ", q.input, ", this kernel takes codes of at most 16 bits");
  const int64_t group_n = q.window.n / q.window.groups;
  if (q.window.groups > 1 && group_n % 8 != 0) {
    auto has_bits = [](const auto& list) {
      return std::ranges::any_of(
          list, [](const auto& x) { return x.storage.kind == Storage::Kind::bits; });
    };
    if (has_bits(q.tail->outputs) || has_bits(q.tail->operands))
      return Verdict::no("groups of ", group_n,
                         " channels do not begin at whole bytes of packed bits");
  }
  return Verdict::yes();
}

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const int lanes = channel_lanes(target);
  const int64_t vectors = (q.window.n / q.window.groups + lanes - 1) / lanes;
  const int64_t outputs = q.window.is_dense() ? 16 : q.window.out_h * q.window.out_w;
  // Sums, weights, one activation and one product live in the target's registers.
  // clang-format off: a list
  constexpr std::array<std::array<int, 2>, 10> kSixteen{
      {{5, 2}, {4, 2}, {3, 3}, {2, 4}, {8, 1}, {6, 1}, {4, 1}, {1, 4}, {1, 2}, {1, 1}}};
  constexpr std::array<std::array<int, 2>, 17> kThirtyTwo{
      {{8, 3}, {6, 4}, {7, 3}, {14, 2}, {12, 2}, {4, 4}, {8, 2}, {7, 2}, {10, 2}, {16, 1}, {14, 1},
       {8, 1}, {4, 2}, {1, 8}, {1, 4}, {1, 2}, {1, 1}}};
  // clang-format on
  using Shapes = std::span<const std::array<int, 2>>;
  const Shapes shapes = target.has_dot() ? Shapes(kThirtyTwo) : Shapes(kSixteen);
  const bool words = q.input_storage.kind == Storage::Kind::words;
  const PairRuns runs = runs_of(q.window, words);
  const CodeRange range = weight_range(q);
  SparseRest rest;
  if (!words && (range.lo < -128 || range.hi > 127)) rest = *sparse_rest(q, runs);
  const int option = option_of(choose_flush(q, runs), rest);
  const Geometry geometry = geometry_of(q.window, q.input_storage);
  std::vector<Variant> list;
  for (const auto& [rows, columns] : shapes) {
    if (rows > outputs || columns > vectors) continue;
    // Each pixel of its own needs a register for its address.
    if (rows > 10 && pitch_of(geometry, rows) == 0) continue;
    list.push_back({rows, columns, option});
  }
  // Of equal costs the first is taken. A dense layer's code runs a few hundred cycles a call and is
  // out of the caches by the next: half as long, it takes half the time (64 -> 10: 11 ns for 20).
  if (q.window.is_dense())
    std::ranges::stable_partition(list, [](const Variant& v) { return v.rows < 14; });
  return list;
}

/// Form 5: which bytes of each step's block a channel takes, and its weights for them; where the
/// blocks are.
void pack_rests(const Query& q, const Plan& plan, std::vector<uint8_t>& out) {
  std::vector<RestStep> steps;
  if (plan.rest.steps > 0) steps = *rest_steps(q, plan.runs, plan.rest.shift);
  const auto codes = q.weight_codes->i64();
  std::vector<uint8_t> packed;
  const auto channel = [&](const RestStep& step, int64_t n, uint8_t* indices, uint8_t* rests) {
    int64_t found = -step.first;
    const int64_t end = std::min(plan.runs.length, step.begin + SparseRest::kBlock);
    for (int64_t i = step.begin; i < end; ++i) {
      const auto at = static_cast<size_t>((step.run * plan.runs.length + i) * plan.group_n + n);
      const int64_t r = plan.rest.rest(codes[at]);
      if (r == 0) continue;
      if (found >= 0 && found < SparseRest::kOfStep) {
        indices[found] = static_cast<uint8_t>(i - step.begin);
        rests[found] = static_cast<uint8_t>(r);
      }
      ++found;
    }
  };
  const auto tile = [&](int64_t first, int columns) {
    for (const RestStep& step : steps)
      for (int c = 0; c < columns; ++c) {
        const size_t at = packed.size();
        packed.resize(at + static_cast<size_t>(2 * plan.vector_bytes()), 0);
        for (int lane = 0; lane < plan.lanes; ++lane) {
          const int64_t n = first + int64_t{c} * plan.lanes + lane;
          uint8_t* indices = packed.data() + at + int64_t{4} * lane;
          if (n < plan.group_n) channel(step, n, indices, indices + plan.vector_bytes());
        }
      }
  };
  for (int64_t t = 0; t < plan.full_tiles; ++t) tile(t * plan.columns * plan.lanes, plan.columns);
  tile(plan.full_tiles * plan.columns * plan.lanes, plan.rest_columns);
  std::vector<int32_t> blocks;
  for (const RestStep& step : steps)
    blocks.push_back(static_cast<int32_t>(plan.run_offset(step.run) + step.begin));
  qloom_assert(append(out, packed) == plan.rests, q.name, ": rests misplaced");
  qloom_assert(append(out, blocks) == plan.blocks, q.name, ": block table misplaced");
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const Window& w = q.window;
  const PairWeights weights(q, plan.runs);
  std::vector<uint8_t> out;

  std::vector<uint8_t> packed;
  packed.reserve(static_cast<size_t>(w.groups * plan.group_bytes()));
  auto tile = [&](int64_t group, int64_t first, int columns) {
    const int64_t size = plan.words ? 2 : 1, end = first + columns * plan.lanes;
    for (int64_t step = 0; step < plan.runs.steps(); ++step) {
      const size_t at = packed.size();
      packed.resize(at + static_cast<size_t>(columns * plan.vector_bytes()), 0);
      for (int k = 0; k < plan.runs.per_step; ++k) {
        const int64_t* row = weights.row(step, k);
        if (row == nullptr) continue;
        row += group * plan.group_n;
        uint8_t* to = packed.data() + at + k * size;
        for (int64_t n = first; n < std::min(end, plan.group_n); ++n, to += 4) {
          to[0] = static_cast<uint8_t>(plan.rest.any() ? plan.rest.base(row[n]) : row[n]);
          if (plan.words) to[1] = static_cast<uint8_t>(row[n] >> 8);
        }
      }
    }
  };
  for (int64_t group = 0; group < w.groups; ++group) {
    for (int64_t t = 0; t < plan.full_tiles; ++t)
      tile(group, t * plan.columns * plan.lanes, plan.columns);
    tile(group, plan.full_tiles * plan.columns * plan.lanes, plan.rest_columns);
  }
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");

  const std::vector<int32_t> initial =
      plan.has_zero ? initial_sums(q, plan.initial_pitch) : std::vector<int32_t>();
  qloom_assert(append(out, initial) == plan.initial, q.name, ": initial sums misplaced");

  std::vector<int32_t> steps;
  for (int64_t u = 0; u < plan.units; ++u)
    steps.push_back(static_cast<int32_t>(plan.step_offset(u * plan.unit)));
  qloom_assert(append(out, steps) == plan.steps, q.name, ": step table misplaced");
  qloom_assert(append(out, pixel_table(plan.geometry)) == plan.pixels, q.name,
               ": pixel table misplaced");
  pack_rests(q, plan, out);
  append_tail(out, *q.tail, w.n, plan.lanes);
  return out;
}

/// How samples are cut (KernelDef::work_items).
Split split(const Query& q, const Variant& v, const Plan& plan) {
  return split_of(q, plan.geometry, v.rows,
                  q.window.groups > 1 ? 1 : plan.full_tiles + (plan.rest_columns > 0 ? 1 : 0));
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return split(q, v, plan_of(q, v, target)).items;
}

int64_t scratch_bytes(const Query& q, const Variant&, const jit::Target&) {
  return geometry_of(q.window, q.input_storage).scratch_bytes;
}

/// Emits the sums of one tile: rows × columns vectors of i32.
class TileSums {
 public:
  TileSums(Emitter& e, const Plan& plan, Value constants, std::span<const Value> pixels,
           int64_t pitch, int columns, Value weights, Value rests)
      : e_(e),
        plan_(plan),
        steps_(e.offset(constants, plan.steps)),
        blocks_(e.offset(constants, plan.blocks)),
        pixels_(pixels),
        pitch_(pitch),
        columns_(columns),
        weights_(weights),
        rests_(rests) {}

  /// `initial`: where the sums begin, per column; empty: zero.
  std::vector<Value> emit(std::span<const Value> initial) {
    const int lanes = plan_.lanes;
    auto begin = [&](size_t i) {
      return initial.empty() ? e_.zeros(Element::i32, lanes)
                             : initial[i % static_cast<size_t>(columns_)];
    };
    const size_t n = pixels_.size() * static_cast<size_t>(columns_);
    std::vector<Value> sums;
    if (plan_.dots || plan_.chunk == 0) {
      std::vector<Variable> wide;
      const bool has_rest = plan_.rest.any();
      for (size_t i = 0; i < n; ++i)
        wide.push_back(e_.variable(has_rest ? e_.zeros(Element::i32, lanes) : begin(i)));
      const Value ones = plan_.dots ? Value{} : this->ones();
      for_units(e_.integer(0), plan_.units, [&](Value unit) {
        std::vector<Value> narrow(n);
        products(unit, [&](size_t i, int step, Value a, Value w) {
          if (plan_.dots) {
            const Value sum = e_.get(wide[i]);
            return e_.set(wide[i],
                          plan_.words ? e_.add_dot_s16(sum, a, w) : e_.add_dot_u8s8(sum, a, w));
          }
          const Value product = e_.multiply_add_pairs_u8s8(a, w, Pairs::proven);
          narrow[i] = step == 0 ? product : e_.add(narrow[i], product);
          if (step == plan_.unit - 1)
            e_.set(wide[i], e_.add_dot_s16(e_.get(wide[i]), narrow[i], ones));
        });
      });
      if (has_rest) {
        for (size_t i = 0; i < n; ++i) {
          const Value shift = e_.integer(plan_.rest.shift, Element::i32);
          const Value base = e_.binary(Binary::shift_left, e_.get(wide[i]), shift);
          e_.set(wide[i], initial.empty() ? base : e_.add(base, begin(i)));
        }
        if (plan_.rest.steps > 0)
          e_.loop("rests", e_.integer(0), e_.integer(plan_.rest.steps), 1, 0,
                  [&](Value step) { add_rests(step, wide); });
      }
      for (const Variable v : wide) sums.push_back(e_.get(v));
      return sums;
    }
    if (plan_.chunk >= plan_.units) {
      sums = chunk(e_.integer(0), plan_.units, n);
      if (!initial.empty())
        for (size_t i = 0; i < n; ++i) sums[i] = e_.add(sums[i], begin(i));
      return sums;
    }
    std::vector<Variable> wide;
    for (size_t i = 0; i < n; ++i) wide.push_back(e_.variable(begin(i)));
    auto flush = [&](Value first, int64_t units) {
      const std::vector<Value> part = chunk(first, units, n);
      for (size_t i = 0; i < n; ++i) e_.set(wide[i], e_.add(e_.get(wide[i]), part[i]));
    };
    const int64_t whole = plan_.units / plan_.chunk;
    e_.loop("chunks", e_.integer(0), e_.integer(whole * plan_.chunk), plan_.chunk, 0,
            [&](Value first) { flush(first, plan_.chunk); });
    if (plan_.units % plan_.chunk != 0)
      flush(e_.integer(whole * plan_.chunk), plan_.units % plan_.chunk);
    for (const Variable v : wide) sums.push_back(e_.get(v));
    return sums;
  }

 private:
  Value ones() { return e_.splat(e_.integer(1, Element::i16), plan_.lanes * 2); }

  /// Sums of `units` units in 16-bit lanes, widened.
  std::vector<Value> chunk(Value first, int64_t units, size_t n) {
    std::vector<Variable> narrow;
    for (size_t i = 0; i < n; ++i)
      narrow.push_back(e_.variable(e_.zeros(Element::i16, plan_.lanes * 2)));
    for_units(first, units, [&](Value unit) {
      products(unit, [&](size_t i, int, Value a, Value w) {
        const Value product = e_.multiply_add_pairs_u8s8(a, w, Pairs::proven);
        e_.set(narrow[i], e_.add(e_.get(narrow[i]), product));
      });
    });
    std::vector<Value> sums;
    const Value one = ones();
    for (const Variable v : narrow) sums.push_back(e_.multiply_add_pairs_s16(e_.get(v), one));
    return sums;
  }

  void for_units(Value first, int64_t units, const std::function<void(Value)>& body) {
    if (units == 1) return body(first);
    e_.loop("k", first, e_.add(first, units), 1, static_cast<double>(units), body);
  }

  /// Products of one step of rests.
  void add_rests(Value step, std::span<const Variable> sums) {
    const Value entry = e_.load(e_.offset(blocks_, e_.multiply(step, 4)), Element::i32);
    const Value input = e_.widen_signed(entry, Element::i64);
    const Value at = e_.offset(rests_, e_.multiply(step, columns_ * 2 * plan_.vector_bytes()));
    std::vector<Value> vectors;  // indices and rests of each column
    for (int i = 0; i < 2 * columns_; ++i)
      vectors.push_back(
          e_.load(e_.offset(at, i * plan_.vector_bytes()), Element::i8, plan_.lanes * 4));
    for (size_t r = 0; r < pixels_.size(); ++r) {
      const Value pixel =
          pitch_ > 0 ? e_.offset(pixels_[0], static_cast<int64_t>(r) * pitch_) : pixels_[r];
      const Value block = e_.load_table(e_.offset(pixel, input));
      for (size_t c = 0; c < static_cast<size_t>(columns_); ++c) {
        const Variable sum = sums[r * static_cast<size_t>(columns_) + c];
        const Value chosen = e_.table_lookup(block, vectors[2 * c]);
        e_.set(sum, e_.add_dot_u8s8(e_.get(sum), chosen, vectors[2 * c + 1]));
      }
    }
  }

  /// Factors of one unit: each(row·columns + column, step of the unit, activations, weights).
  void products(Value unit, const std::function<void(size_t, int, Value, Value)>& each) {
    const Value entry = e_.load(e_.offset(steps_, e_.multiply(unit, 4)), Element::i32);
    const Value input = e_.widen_signed(entry, Element::i64);
    const int64_t step_bytes = columns_ * plan_.vector_bytes();
    const Value weights = e_.offset(weights_, e_.multiply(unit, plan_.unit * step_bytes));
    const Element element = plan_.words ? Element::i16 : Element::i8;
    const int wide_lanes = plan_.lanes * plan_.runs.per_step;
    // Neighbours at equal distances need one address, the distances go into the instructions.
    const Value near = pitch_ > 0 ? e_.offset(pixels_[0], input) : Value{};
    for (int s = 0; s < plan_.unit; ++s) {
      std::vector<Value> w;
      for (int c = 0; c < columns_; ++c)
        w.push_back(e_.load(e_.offset(weights, s * step_bytes + c * plan_.vector_bytes()), element,
                            wide_lanes));
      for (size_t r = 0; r < pixels_.size(); ++r) {
        const Value address =
            pitch_ > 0 ? e_.offset(near, static_cast<int64_t>(r) * pitch_ + int64_t{4} * s)
                       : e_.offset(e_.offset(pixels_[r], input), int64_t{4} * s);
        const Value a = e_.bitcast(e_.load_splat(address, Element::i32, plan_.lanes), element);
        for (int c = 0; c < columns_; ++c) {
          const auto k = static_cast<size_t>(c);
          each(r * static_cast<size_t>(columns_) + k, s, a, w[k]);
        }
      }
    }
  }

  Emitter& e_;
  const Plan& plan_;
  Value steps_, blocks_;
  std::span<const Value> pixels_;
  int64_t pitch_;  ///< between pixels, 0 where they lie anyhow
  int columns_;
  Value weights_, rests_;
};

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Tail& tail = *q.tail;
  const Window& w = q.window;
  const int64_t pitch = pitch_of(plan.geometry, v.rows);
  const TailLayout layout = lay_out_tail(tail, w.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, plan.geometry.copied);
  const Value tables = e.offset(b.constants, plan.tail);
  const Split cut = split(q, v, plan);
  emit_clear_bits(e, q, plan.geometry, cut, b.outputs);

  // One channel tile over all outputs of the walk.
  auto channel_tile = [&](const EmitTiles& emit_tiles, int columns, int last_lanes, Value channel,
                          Value weights, Value rests, Value group) {
    emit_tiles([&](const Tile& tile) {
      std::vector<Value> inputs = tile.pixels;
      if (group.valid())
        for (Value& p : inputs)
          p = e.offset(p, e.multiply(group, plan.group_c * (plan.words ? 2 : 1)));
      std::vector<Value> initial;
      if (plan.has_zero)
        for (int c = 0; c < columns; ++c)
          initial.push_back(e.load(e.offset(e.offset(b.constants, e.multiply(channel, 4)),
                                            plan.initial + int64_t{4} * c * plan.lanes),
                                   Element::i32, plan.lanes));
      const std::vector<Value> sums =
          TileSums(e, plan, b.constants, inputs, pitch, columns, weights, rests).emit(initial);
      emit_batched_tails(e, q, layout, tables, b, tile.first, std::ssize(inputs),
                         {columns, last_lanes, channel, weights}, [&](int64_t r, int c) {
                           return sums[static_cast<size_t>(r * columns + c)];
                         });
    });
  };
  auto group_tiles = [&](const EmitTiles& emit_tiles, Value group) {
    Value weights = e.offset(b.constants, plan.weights), first = e.integer(0);
    if (group.valid()) {
      weights = e.offset(weights, e.multiply(group, plan.group_bytes()));
      first = e.multiply(group, plan.group_n);
    }
    const Value rests = e.offset(b.constants, plan.rests);
    const int64_t width = plan.columns * plan.lanes;
    emit_channel_tiles(
        e, cut, plan.full_tiles,
        [&](Value t) {
          channel_tile(emit_tiles, plan.columns, plan.lanes, e.add(first, e.multiply(t, width)),
                       e.offset(weights, e.multiply(t, plan.tile_bytes(plan.columns))),
                       e.offset(rests, e.multiply(t, plan.rest_bytes(plan.columns))), group);
        },
        plan.rest_columns > 0,
        [&] {
          channel_tile(emit_tiles, plan.rest_columns, plan.rest_lanes,
                       e.add(first, plan.full_tiles * width),
                       e.offset(weights, plan.full_tiles * plan.tile_bytes(plan.columns)),
                       e.offset(rests, plan.full_tiles * plan.rest_bytes(plan.columns)), group);
        });
  };
  emit_walk(
      e, plan.geometry, v.rows, b.input, b.scratch, e.offset(b.constants, plan.pixels),
      [&](const EmitTiles& emit_tiles) {
        if (w.groups == 1) return group_tiles(emit_tiles, Value{});
        e.loop("groups", e.integer(0), e.integer(w.groups), 1, 0,
               [&](Value group) { group_tiles(emit_tiles, group); });
      },
      cut);
}

}  // namespace

extern constinit const KernelDef conv_pairs{.name = "conv_pairs",
                                            .doc =
                                                "Convolution and dense by multiply-add pairs: "
                                                "bytes with 16-bit sums flushed as seldom as the "
                                                "actual weights allow, or 16-bit words.",
                                            .source = "low-bit kernel survey, K5 and K6",
                                            .match = match,
                                            .input_storage = input_storage,
                                            .variants = variants,
                                            .pack = pack,
                                            .scratch_bytes = scratch_bytes,
                                            .emit = emit,
                                            .work_items = work_items,
                                            .stores_parts = true};

}  // namespace qloom::kernels
