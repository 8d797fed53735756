// kernels/conv/conv_lanes.cc: convolution and dense with outputs in the lanes and weights in the
// code, for weights of up to two bits and few channels.
//
//   sum_k a_k·w_k = step·sum_k a_k·u_k + base·sum_k a_k,   w = base + step·u
//
// base and step make as many u zero as can be: odd weights (binary: -1, 1) become u in {0, 1}, and
// the sum of a whole window, which all channels share, is made once. Else base = 0 and step = 1.
//
// Layout. The input goes to scratch as planes, a byte a pixel of one channel (LanesLayout): a tap
// is a load at a distance for a vector of neighbouring outputs, of one sample or several. A dense
// layer's outputs of one unit are its samples.
//
// 1. For each group of `rows` channels, and each tile of a vector of outputs: straight-line code
//    of one byte-wise addition or subtraction for each pair of input channels with a weight that
//    is not zero; a ± b is made once a tap where both are not.
// 2. Sums stay in bytes as long as the weights prove it: within a chunk of terms all sums lie in
//    [lo, hi] with hi - lo <= 255. It begins at -lo, so that bytes are unsigned, and ends with
//      all += words of it,  odd += words of it >> 8           (modulo 2^16)
//    so that the even bytes' sums are all - 2^8·odd. What chunks began at is a constant of the
//    channel in the end.
// 3. Another loop turns each channel's words into the tail's 32-bit lanes, four of which hold every
//    fourth position, and back into planes of bytes (or dwords), which become the outputs.
// All sums are modulo 2^16, so only the final accumulator must fit int16.
//
// Source: own; DESIGN 4, samples in the lanes.

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "graph/support/error.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/lanes_layout.h"
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

constexpr int64_t kMostTerms = 5000;  // additions of a layer: some 40 µs each to compile
constexpr int64_t kMostDigit = 2;
constexpr int64_t kByte = 255;

/// w = base + step·u.
struct Digits {
  int64_t base = 0, step = 1;
  [[nodiscard]] int64_t of(int64_t weight) const { return (weight - base) / step; }
};

int64_t terms_of(std::span<const int64_t> codes, const Digits& digits) {
  return std::ranges::count_if(codes, [&](int64_t c) { return digits.of(c) != 0; });
}

Digits digits_of(const Query& q) {
  const auto levels = weight_levels(q);
  if (levels.size() > 4 || std::ranges::any_of(levels, [](int64_t w) { return w % 2 == 0; }))
    return {};
  const auto codes = q.weight_codes->i64();
  const Digits below{-1, 2}, above{1, 2};
  return terms_of(codes, below) <= terms_of(codes, above) ? below : above;
}

/// Digits of two neighbouring input channels at a tap; the second is 0 where there is none.
using Pair = std::array<int64_t, 2>;

/// What pack and emit agree on.
struct Plan {
  LanesLayout layout;
  Digits digits;
  int64_t amax = 0;
  int64_t pairs = 0;  ///< a tap
  Split split;        ///< by rows, where the lanes hold one sample
  int64_t initial = 0, tail = 0;

  [[nodiscard]] int64_t steps() const { return pairs * static_cast<int64_t>(layout.taps.size()); }
};

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  Plan plan;
  plan.layout = lanes_layout(q, v.rows, target);
  plan.digits = digits_of(q);
  plan.amax = largest_byte(q, q.input_storage);
  plan.pairs = (q.window.c + 1) / 2;
  if (plan.layout.samples == 1 && q.window.out_h > 1)
    plan.split = split_of(q, geometry_of(q.window, q.input_storage), plan.layout.vector, 1);
  Places places;
  plan.initial = places.next(q.window.n * 2);
  plan.tail = places.next(0);
  return plan;
}

/// Digits of channel n at a step: pairs of channels, of each all taps. n < 0: of the window's sum.
Pair pair_at(const Query& q, const Plan& plan, int64_t step, int64_t n) {
  const auto taps = static_cast<int64_t>(plan.layout.taps.size());
  const int64_t tap = step % taps, c = step / taps * 2;
  const auto digit = [&](int64_t channel) -> int64_t {
    if (channel >= q.window.c) return 0;
    if (n < 0) return 1;
    const auto at = static_cast<size_t>((tap * q.window.c + channel) * q.window.n + n);
    return plan.digits.of(q.weight_codes->i64()[at]);
  };
  return {digit(c), digit(c + 1)};
}

/// Terms that are added in bytes, and what they begin at.
struct Chunk {
  int64_t end = 0;  ///< step behind the last
  int64_t bias = 0;
};
std::vector<Chunk> chunks_of(const Query& q, const Plan& plan, int64_t n) {
  std::vector<Chunk> chunks;
  int64_t lo = 0, hi = 0;
  for (int64_t step = 0; step < plan.steps(); ++step) {
    const auto [a, b] = pair_at(q, plan, step, n);
    const int64_t up = (std::max<int64_t>(a, 0) + std::max<int64_t>(b, 0)) * plan.amax;
    const int64_t down = (std::min<int64_t>(a, 0) + std::min<int64_t>(b, 0)) * plan.amax;
    if (hi + up - lo - down > kByte) {
      chunks.push_back({step, -lo});
      lo = hi = 0;
    }
    lo += down;
    hi += up;
  }
  chunks.push_back({plan.steps(), -lo});
  return chunks;
}
int64_t bias_of(const std::vector<Chunk>& chunks) {
  int64_t sum = 0;
  for (const Chunk& chunk : chunks) sum += chunk.bias;
  return sum;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  const Storage storage = plain_storage(q.input);
  if (storage.kind != Storage::Kind::bytes)
    return Verdict::no("input is ", q.input, ", this kernel takes bytes");
  if (q.window.groups != 1) return Verdict::no(q.window.groups, " groups, this kernel needs one");
  const Digits digits = digits_of(q);
  const CodeRange range = weight_range(q);
  const int64_t most = std::max(digits.of(range.hi), -digits.of(range.lo));
  if (most > kMostDigit)
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi,
                       "], this kernel takes two bits");
  if (2 * most * largest_byte(q, storage) > kByte)
    return Verdict::no("two products reach ", 2 * most * largest_byte(q, storage),
                       ", this kernel adds bytes");
  const int64_t terms = terms_of(q.weight_codes->i64(), digits);
  if (terms > kMostTerms)
    return Verdict::no(terms, " weights that are not zero, this kernel holds at most ", kMostTerms,
                       " in its code");
  for (size_t n = 0; n < q.accumulator_lo.size(); ++n)
    if (q.accumulator_lo[n] < INT16_MIN || q.accumulator_hi[n] > INT16_MAX)
      return Verdict::no("the accumulator [", q.accumulator_lo[n], ", ", q.accumulator_hi[n],
                         "] leaves 16 bits");
  return Verdict::yes();
}

Storage input_storage(const Query& q) { return plain_storage(q.input); }

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  // A channel takes three registers; pairs and their sums some more.
  const int registers = target.vector_bytes >= 64 ? 32 : 16;
  std::vector<Variant> list;
  for (const int rows : {8, 6, 4, 2})
    if (rows * 3 + 4 <= registers && rows <= std::max<int64_t>(2, q.window.n))
      list.push_back({rows, 1, 0});
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const auto codes = q.weight_codes->i64();
  std::vector<int16_t> initial;
  const int64_t window = plan.digits.base == 0 ? 0 : bias_of(chunks_of(q, plan, -1));
  for (int64_t n = 0; n < q.window.n; ++n) {
    int64_t sum = 0;
    for (auto i = static_cast<size_t>(n); i < codes.size(); i += static_cast<size_t>(q.window.n))
      sum += codes[i];
    initial.push_back(static_cast<int16_t>(-q.input_storage.zero * sum -
                                           plan.digits.step * bias_of(chunks_of(q, plan, n)) -
                                           plan.digits.base * window));
  }
  std::vector<uint8_t> out;
  qloom_assert(append(out, initial) == plan.initial, q.name, ": initial sums misplaced");
  append_tail(out, *q.tail, q.window.n, channel_lanes(target));
  return out;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).layout.bytes;
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).split.items;
}

/// Emits the sums of channels [first, first + count) at one tile; first = -1: of the window.
class TileSums {
 public:
  TileSums(Emitter& e, const Query& q, const Plan& plan, Value planes, int64_t first, int count)
      : e_(e), q_(q), plan_(plan), planes_(planes) {
    for (int i = 0; i < count; ++i) {
      Sum& sum = sums_.emplace_back();
      sum.n = first + i;
      sum.chunks = chunks_of(q, plan, sum.n);
    }
  }

  /// Words of all bytes, then of the odd ones, for each channel.
  std::vector<std::array<Value, 2>> emit() {
    for (int64_t step = 0; step < plan_.steps(); ++step) {
      made_.clear();
      for (Sum& sum : sums_) add(sum, step);
    }
    std::vector<std::array<Value, 2>> words;
    for (Sum& sum : sums_) {
      flush(sum);
      words.push_back({sum.all, sum.odd});
    }
    return words;
  }

 private:
  struct Sum {
    int64_t n = 0;
    std::vector<Chunk> chunks;
    size_t chunk = 0;
    Value bytes, all, odd;
  };

  [[nodiscard]] int lanes() const { return plan_.layout.vector; }
  Value splat(int64_t byte) { return e_.splat(e_.integer(byte, Element::i8), lanes()); }

  void add(Sum& sum, int64_t step) {
    if (step == sum.chunks[sum.chunk].end) flush(sum);
    Pair pair = pair_at(q_, plan_, step, sum.n);
    if (pair == Pair{0, 0}) return;
    const bool negative = pair[0] < 0 || (pair[0] == 0 && pair[1] < 0);
    if (negative) pair = {-pair[0], -pair[1]};
    const Value term = make(step, pair);
    const int64_t bias = sum.chunks[sum.chunk].bias;
    if (!sum.bytes.valid() && bias == 0) {
      sum.bytes = term;
      return;
    }
    const Value before = sum.bytes.valid() ? sum.bytes : splat(bias);
    sum.bytes = negative ? e_.subtract(before, term) : e_.add(before, term);
  }

  void flush(Sum& sum) {
    const Chunk& chunk = sum.chunks[sum.chunk++];
    const Value bytes = sum.bytes.valid() ? sum.bytes : splat(chunk.bias);
    sum.bytes = {};
    const Value words = e_.bitcast(bytes, Element::i16);
    const Value odd = e_.binary(Binary::shift_right_logical, words, e_.integer(8));
    sum.all = sum.all.valid() ? e_.add(sum.all, words) : words;
    sum.odd = sum.odd.valid() ? e_.add(sum.odd, odd) : odd;
  }

  /// pair[0]·a + pair[1]·b of a step, made once a tile; the first that is not 0 is positive.
  Value make(int64_t step, const Pair& pair) {
    const auto [found, is_new] = made_.try_emplace(pair);
    if (!is_new) return found->second;
    Value v;
    if (pair == Pair{1, 0} || pair == Pair{0, 1}) {
      const auto taps = static_cast<int64_t>(plan_.layout.taps.size());
      const LanesLayout::Tap& tap = plan_.layout.taps[static_cast<size_t>(step % taps)];
      const int64_t plane = plan_.layout.plane(tap.phase, step / taps * 2 + pair[1]);
      v = e_.load(e_.offset(planes_, plane + tap.distance), Element::i8, lanes());
    } else if (pair[0] % 2 == 0 && pair[1] % 2 == 0) {
      const Value half = make(step, {pair[0] / 2, pair[1] / 2});
      v = e_.add(half, half);
    } else if (pair[1] == 0 || pair[0] == 0) {
      fail_internal(std::source_location::current(), "conv_lanes: an odd digit beyond one");
    } else {
      const Value a = make(step, {pair[0], 0}), b = make(step, {0, std::abs(pair[1])});
      v = pair[1] < 0 ? e_.subtract(a, b) : e_.add(a, b);
    }
    made_[pair] = v;
    return v;
  }

  Emitter& e_;
  const Query& q_;
  const Plan& plan_;
  Value planes_;
  std::vector<Sum> sums_;
  std::map<Pair, Value> made_;
};

/// Everything about one call's emission that its steps share.
class CallEmitter {
 public:
  CallEmitter(const Query& q, const Variant& v, Emitter& e)
      : q_(q),
        v_(v),
        e_(e),
        plan_(plan_of(q, v, e.target())),
        layout_(plan_.layout),
        tail_(*q.tail),
        tail_layout_(lay_out_tail(tail_, q.window.n, channel_lanes(e.target()))),
        buffers_(kernel_buffers(e, tail_, true)) {
    int64_t at = layout_.operands;
    for (const TailOperand& operand : tail_.operands) {
      operand_planes_.push_back(e.offset(buffers_.scratch, at));
      at += (layout_.result_bytes(plane_element(operand.storage)) + 63) / 64 * 64;
    }
    at = layout_.outputs;
    for (const TailOutput& output : tail_.outputs) {
      output_planes_.push_back(e.offset(buffers_.scratch, at));
      at += (layout_.result_bytes(plane_element(output.storage)) + 63) / 64 * 64;
    }
  }

  void emit() {
    const Window& w = q_.window;
    emit_clear_planes(e_, q_, layout_, buffers_.scratch);
    const Geometry geometry = geometry_of(w, q_.input_storage);
    emit_clear_bits(e_, q_, geometry, plan_.split, buffers_.outputs);
    if (plan_.split.by == Split::By::rows) rows_ = emit_row_range(e_, geometry, plan_.split);
    const Value count = e_.count();
    if (layout_.samples == 1) {
      e_.loop("samples", e_.integer(0), count, 1, 0, [&](Value s) { samples(s, e_.integer(1)); });
      return;
    }
    e_.loop("samples", e_.integer(0), count, layout_.samples, 0, [&](Value s) {
      samples(s, e_.binary(Binary::min_signed, e_.subtract(count, s), e_.integer(layout_.samples)));
    });
  }

 private:
  void each_sample(Value first, Value used, const std::function<void(Value, Value)>& body) {
    if (layout_.samples == 1) return body(first, e_.integer(0));
    e_.loop("slots", e_.integer(0), used, 1, static_cast<double>(layout_.samples),
            [&](Value slot) { body(e_.add(first, slot), slot); });
  }

  /// body(first position) of each tile of `used` samples.
  void each_tile(Value used, const std::function<void(Value)>& body) {
    if (rows_) {
      // From whole vectors on, so that the last one ends where that of all rows does.
      const Value first = e_.multiply(rows_->begin, layout_.pitch);
      const Value begin = e_.binary(Binary::bit_and, first, e_.integer(-layout_.vector));
      const Value end =
          e_.add(e_.multiply(rows_->end, layout_.pitch), layout_.window.out_w - layout_.pitch);
      e_.loop("tiles", begin, end, layout_.vector, static_cast<double>(layout_.tiles()), body);
      return;
    }
    const Value end = e_.add(e_.multiply(used, layout_.grid()), -layout_.unused());
    e_.loop("tiles", e_.integer(0), end, layout_.vector, static_cast<double>(layout_.tiles()),
            body);
  }

  void samples(Value first, Value used) {
    const Window& w = q_.window;
    const int64_t positions = w.out_h * w.out_w;
    each_sample(first, used, [&](Value sample, Value slot) {
      const Value from = e_.offset(
          buffers_.input, e_.multiply(sample, w.h * w.w * run_bytes(q_.input_storage, w.c)));
      emit_planes_of_input(e_, q_, layout_, buffers_.scratch, from, slot, rows_);
      for (size_t i = 0; i < tail_.operands.size(); ++i) {
        const int64_t bytes = positions * pitch_of(tail_.operands[i], w.n);
        emit_planes_of_operand(e_, q_, layout_, i, operand_planes_[i],
                               e_.offset(buffers_.operands[i], e_.multiply(sample, bytes)), slot,
                               rows_);
      }
    });
    if (plan_.digits.base != 0) sums(used, -1, 1, layout_.columns);
    for (int64_t n = 0; n < w.n; n += v_.rows) {
      const auto group = static_cast<int>(std::min<int64_t>(v_.rows, w.n - n));
      sums(used, n, group, layout_.sums);
      tails(used, n, group);
    }
    each_sample(first, used, [&](Value sample, Value slot) {
      for (size_t i = 0; i < tail_.outputs.size(); ++i) {
        const TailOutput& output = tail_.outputs[i];
        const Value at = e_.multiply(sample, positions * pitch_of(output, w.n));
        emit_output_of_planes(e_, q_, layout_, i, output_planes_[i],
                              e_.offset(e_.offset(buffers_.outputs[i], output.offset), at), slot,
                              rows_);
      }
    });
  }

  /// Sums of a group of channels (or of the window) at all tiles, to scratch at `to`: tiles of one
  /// channel next to each other.
  void sums(Value used, int64_t first, int group, int64_t to) {
    each_tile(used, [&](Value position) {
      const std::vector<std::array<Value, 2>> words =
          TileSums(e_, q_, plan_, e_.offset(buffers_.scratch, position), first, group).emit();
      const Value at = e_.offset(e_.offset(buffers_.scratch, to), e_.multiply(position, 2));
      for (size_t i = 0; i < words.size(); ++i)
        for (size_t k = 0; k < 2; ++k)
          e_.store(e_.offset(at, static_cast<int64_t>(i) * layout_.tiles() * layout_.tile_sums() +
                                     static_cast<int64_t>(k) * layout_.vector),
                   words[i][k]);
    });
  }

  /// Tails of a group whose sums lie in scratch, to the planes of the outputs.
  void tails(Value used, int64_t first, int group) {
    e_.loop("channels", e_.integer(0), e_.integer(group), 1, 0, [&](Value i) {
      const Value channel = e_.add(i, first);
      const Value sums = e_.offset(e_.offset(buffers_.scratch, layout_.sums),
                                   e_.multiply(i, layout_.tiles() * layout_.tile_sums()));
      const Value initial = e_.load_splat(
          e_.offset(e_.offset(buffers_.constants, plan_.initial), e_.multiply(channel, 2)),
          Element::i16, words());
      each_tile(used, [&](Value position) { tile_tail(position, channel, sums, initial); });
    });
  }

  [[nodiscard]] int words() const { return layout_.vector / 2; }
  [[nodiscard]] int dwords() const { return layout_.vector / 4; }

  /// Even and odd positions' accumulators, words.
  std::array<Value, 2> accumulators(Value position, Value sums, Value initial) {
    const Value at = e_.offset(sums, e_.multiply(position, 2));
    const auto load = [&](Value from) {
      const Value all = e_.load(from, Element::i16, words());
      const Value odd = e_.load(e_.offset(from, layout_.vector), Element::i16, words());
      const Value high = e_.binary(Binary::shift_left, odd, e_.integer(8));
      return std::array{e_.subtract(all, high), odd};
    };
    std::array<Value, 2> sum = load(at);
    if (plan_.digits.base != 0) {
      const auto window =
          load(e_.offset(e_.offset(buffers_.scratch, layout_.columns), e_.multiply(position, 2)));
      for (size_t k = 0; k < 2; ++k) {
        sum[k] = e_.add(sum[k], sum[k]);  // step is 2
        sum[k] = plan_.digits.base < 0 ? e_.subtract(sum[k], window[k]) : e_.add(sum[k], window[k]);
      }
    }
    return {e_.add(sum[0], initial), e_.add(sum[1], initial)};
  }

  void tile_tail(Value position, Value channel, Value sums, Value initial) {
    const auto [even, odd] = accumulators(position, sums, initial);
    // Lane i of quarter j: position 4i + j.
    const auto low = [&](Value v) {
      const Value up = e_.binary(Binary::shift_left, e_.bitcast(v, Element::i32), e_.integer(16));
      return e_.binary(Binary::shift_right_arithmetic, up, e_.integer(16));
    };
    const auto high = [&](Value v) {
      return e_.binary(Binary::shift_right_arithmetic, e_.bitcast(v, Element::i32), e_.integer(16));
    };
    const std::array<Value, 4> quarters{low(even), low(odd), high(even), high(odd)};
    std::vector<std::array<Value, 4>> operands;
    for (size_t k = 0; k < tail_.operands.size(); ++k)
      operands.push_back(operand(k, position, channel));
    std::vector<std::array<Value, 4>> results(tail_.outputs.size());
    for (size_t j = 0; j < 4; ++j) {
      TailPlace place;
      place.tables = e_.offset(buffers_.constants, plan_.tail);
      place.channel = channel;
      place.one_channel = true;
      for (const auto& values : operands) place.operand_values.push_back(values[j]);
      const std::vector<Value> values =
          emit_tail_values(e_, tail_, tail_layout_, quarters[j], place);
      for (size_t k = 0; k < values.size(); ++k) results[k][j] = values[k];
    }
    for (size_t k = 0; k < results.size(); ++k) store(k, position, channel, results[k]);
  }

  /// Where the plane of a channel holds a position.
  Value plane_at(Value planes, Value channel, Value position, int element) {
    return e_.offset(e_.offset(planes, e_.multiply(channel, layout_.result_pitch() * element)),
                     e_.multiply(position, element));
  }

  /// Four vectors of dwords in order to quarters, and the other way round: a 4 × 4 transpose.
  std::array<Value, 4> regroup(const std::array<Value, 4>& v) {
    const Value a = e_.interleave_low(v[0], v[2]), b = e_.interleave_high(v[0], v[2]);
    const Value c = e_.interleave_low(v[1], v[3]), d = e_.interleave_high(v[1], v[3]);
    return {e_.interleave_low(a, c), e_.interleave_high(a, c), e_.interleave_low(b, d),
            e_.interleave_high(b, d)};
  }

  std::array<Value, 4> operand(size_t k, Value position, Value channel) {
    const TailOperand& operand = tail_.operands[k];
    const int element = plane_element(operand.storage);
    const Value at = plane_at(operand_planes_[k], channel, position, element);
    std::array<Value, 4> quarters;
    if (element == 4) {
      const Element kind = operand.storage.kind == Storage::Kind::f32 ? Element::f32 : Element::i32;
      // Every fourth four positions belong to one vector.
      for (size_t j = 0; j < 4; ++j) {
        std::vector<Value> parts;
        for (int i = 0; i < dwords() / 4; ++i)
          parts.push_back(
              e_.load(e_.offset(at, int64_t{64} * i + 16 * static_cast<int64_t>(j)), kind, 4));
        quarters[j] = joined(parts);
      }
      return regroup(quarters);
    }
    const Value bytes = e_.bitcast(e_.load(at, Element::i8, layout_.vector), Element::i32);
    const Value mask = e_.splat(e_.integer(kByte, Element::i32), dwords());
    for (int j = 0; j < 4; ++j) {
      Value v = j == 0 ? bytes : e_.binary(Binary::shift_right_logical, bytes, e_.integer(8 * j));
      if (j < 3) v = e_.binary(Binary::bit_and, v, mask);
      const int zero = operand_zero(operand.storage);
      quarters[static_cast<size_t>(j)] =
          zero == 0 ? v : e_.subtract(v, e_.splat(e_.integer(zero, Element::i32), dwords()));
    }
    return quarters;
  }

  Value joined(std::vector<Value> parts) {
    while (parts.size() > 1) {
      std::vector<Value> wider;
      for (size_t i = 0; i < parts.size(); i += 2)
        wider.push_back(e_.concat(parts[i], parts[i + 1]));
      parts = std::move(wider);
    }
    return parts[0];
  }

  void store(size_t k, Value position, Value channel, const std::array<Value, 4>& quarters) {
    const Storage storage = tail_.outputs[k].storage;
    const int element = plane_element(storage);
    const Value at = plane_at(output_planes_[k], channel, position, element);
    if (element == 4) {
      const auto vectors = regroup(quarters);
      for (size_t j = 0; j < 4; ++j)
        for (int i = 0; i < dwords() / 4; ++i)
          e_.store(e_.offset(at, int64_t{64} * i + 16 * static_cast<int64_t>(j)),
                   dwords() == 4 ? vectors[j] : e_.slice(vectors[j], 4 * i, 4));
      return;
    }
    Value bytes;
    for (int j = 3; j >= 0; --j) {
      Value v = quarters[static_cast<size_t>(j)];
      if (storage.kind == Storage::Kind::bits) {
        const Value one = e_.splat(e_.integer(1, Element::i32), dwords());
        v = e_.binary(Binary::max_signed, e_.binary(Binary::min_signed, v, one),
                      e_.zeros(Element::i32, dwords()));
      } else if (storage.zero != 0) {
        v = e_.add(v, e_.splat(e_.integer(storage.zero, Element::i32), dwords()));
      }
      // The type promises 0..255.
      bytes = j == 3 ? v : e_.add(e_.binary(Binary::shift_left, bytes, e_.integer(8)), v);
    }
    e_.store(at, e_.bitcast(bytes, Element::i8));
  }

  const Query& q_;
  const Variant& v_;
  Emitter& e_;
  const Plan plan_;
  const LanesLayout& layout_;
  const Tail& tail_;
  const TailLayout tail_layout_;
  const KernelBuffers buffers_;
  std::vector<Value> operand_planes_, output_planes_;
  std::optional<RowRange> rows_;  ///< of this call's items; nothing: all
};

void emit(const Query& q, const Variant& v, Emitter& e) { CallEmitter(q, v, e).emit(); }

}  // namespace

extern constinit const KernelDef conv_lanes{
    .name = "conv_lanes",
    .doc =
        "Convolution and dense, weights of up to two bits and few channels: outputs in the "
        "lanes, weights in the code.",
    .source = "own; DESIGN 4",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.avx2 = 1.15},
    .weight_bits = 0};

}  // namespace qloom::kernels
