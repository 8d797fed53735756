#include "kernels/conv/tables/binary_tables.h"

#include <algorithm>
#include <array>
#include <bit>

#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Value;
using jit::Variable;
using Plan = BinaryTablesPlan;

constexpr int kTableBytes = Plan::kTableBytes, kGroupsPerStep = Plan::kGroupsPerStep;

int64_t align_up(int64_t bytes) { return (bytes + 63) / 64 * 64; }

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
    store_lanes(e, e.offset(to, done), states, valid);
  }
}

/// States of one sample inside the border, then the stream of pairs; of the rows `read` of the
/// copy.
void emit_stream(Emitter& e, const Plan& plan, Value scratch, Value sample, const RowRange& read) {
  const Window& w = plan.window;
  const int64_t rows = std::min(w.h, plan.rows - w.pad_top);
  const int64_t columns = std::min(w.w, plan.columns - w.pad_left);
  const int64_t pixel = run_bytes(Storage::bits(), w.c);
  const Value states = e.offset(scratch, plan.state_bytes);
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
  const Value first_factor =
      e.splat(e.integer(int64_t{plan.states} * kTableBytes, Element::i16), lanes);
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

/// Sums of matches as words of even and odd channels.
struct WordPair {
  Value even, odd;
};
/// Of two outputs.
using Matches = std::array<WordPair, 2>;

/// Emits the sums of a tile: of each pair of outputs and vector of channels.
class TileMatches {
 public:
  TileMatches(Emitter& e, const Plan& plan, Value constants)
      : e_(e),
        plan_(plan),
        tables_(e.offset(constants, plan.tables)),
        steps_(e.offset(constants, plan.step_table)),
        four_(splat(4)),
        eight_(splat(8)) {}

  std::vector<Matches> emit(const std::vector<Value>& inputs, int columns, Value weights) {
    inputs_ = inputs;
    columns_ = columns;
    weights_ = weights;
    n_ = inputs.size() * static_cast<size_t>(columns);
    std::vector<Matches> all(n_);
    if (plan_.chunk >= plan_.steps) {
      const std::vector<Bytes> bytes = chunk(e_.integer(0), plan_.steps);
      for (size_t i = 0; i < n_; ++i)
        for (size_t k = 0; k < 2; ++k)
          all[i][k] = {e_.binary(Binary::bit_and, words(bytes[i][k]), splat(255)),
                       upper(bytes[i][k])};
      return all;
    }
    // full: bytes as words, so even + 256·odd modulo 65536.
    std::array<std::vector<Variable>, 2> full, odd;
    for (size_t k = 0; k < 2; ++k) full[k] = zeros(Element::i16), odd[k] = zeros(Element::i16);
    auto flush = [&](Value begin, int64_t count) {
      const std::vector<Bytes> bytes = chunk(begin, count);
      for (size_t i = 0; i < n_; ++i)
        for (size_t k = 0; k < 2; ++k) {
          accumulate(full[k][i], words(bytes[i][k]));
          accumulate(odd[k][i], upper(bytes[i][k]));
        }
    };
    const int64_t whole = plan_.steps / plan_.chunk * plan_.chunk;
    e_.loop("chunks", e_.integer(0), e_.integer(whole), plan_.chunk, 0,
            [&](Value begin) { flush(begin, plan_.chunk); });
    if (whole < plan_.steps) flush(e_.integer(whole), plan_.steps - whole);
    for (size_t i = 0; i < n_; ++i)
      for (size_t k = 0; k < 2; ++k) {
        const Value o = e_.get(odd[k][i]);
        all[i][k] = {e_.subtract(e_.get(full[k][i]), e_.binary(Binary::shift_left, o, eight_)), o};
      }
    return all;
  }

 private:
  using Bytes = std::array<Value, 2>;

  Value splat(int64_t v) { return e_.splat(e_.integer(v, Element::i16), plan_.lanes / 2); }
  Value words(Value v) { return e_.bitcast(v, Element::i16); }
  Value bytes(Value v) { return e_.bitcast(v, Element::i8); }
  Value upper(Value v) { return e_.binary(Binary::shift_right_logical, words(v), eight_); }
  Value shifted(Binary direction, Value v) { return e_.binary(direction, words(v), four_); }
  std::vector<Variable> zeros(Element element) {
    std::vector<Variable> list;
    for (size_t i = 0; i < n_; ++i)
      list.push_back(e_.variable(e_.zeros(element, plan_.lanes / jit::bytes_of(element))));
    return list;
  }
  void accumulate(Variable v, Value x) { e_.set(v, e_.add(e_.get(v), x)); }

  /// Sums of the lookups of one step.
  std::vector<Value> step(Value at) {
    const Value entry = e_.load(e_.offset(steps_, e_.multiply(at, 4)), Element::i32);
    const Value offset = e_.widen_signed(entry, Element::i64);
    const Value weights = e_.offset(weights_, e_.multiply(at, plan_.step_bytes(columns_)));
    std::vector<Value> sums(n_);
    for (int64_t k = 0; k < Plan::kGroupsPerStep; ++k) {
      std::vector<Value> places;
      for (const Value input : inputs_)
        places.push_back(e_.offset(
            tables_,
            e_.widen_unsigned(e_.load(e_.offset(e_.offset(input, offset), 2 * k), Element::i16),
                              Element::i64)));
      for (int64_t plane = 0; plane < plan_.planes; ++plane) {
        std::vector<Value> tables;
        for (const Value place : places) {
          const Value t = e_.load_table(e_.offset(place, plane * plan_.table_block()));
          tables.push_back(t.lanes > plan_.lanes ? e_.slice(t, 0, plan_.lanes) : t);
        }
        for (int64_t c = 0; c < columns_; ++c) {
          const Value index =
              e_.load(e_.offset(weights, ((k * plan_.planes + plane) * columns_ + c) * plan_.lanes),
                      Element::i8, plan_.lanes);
          for (size_t r = 0; r < tables.size(); ++r) {
            Value& sum = sums[r * static_cast<size_t>(columns_) + static_cast<size_t>(c)];
            const Value found = e_.table_lookup(tables[r], index);
            sum = sum.valid() ? e_.add(sum, found) : found;
          }
        }
      }
    }
    return sums;
  }

  std::vector<Bytes> chunk(Value begin, int64_t count) {
    const std::vector<Variable> full = zeros(Element::i8), high = zeros(Element::i8);
    auto body = [&](Value at) {
      const std::vector<Value> sums = step(at);
      for (size_t i = 0; i < n_; ++i) {
        accumulate(full[i], sums[i]);
        accumulate(high[i], bytes(shifted(Binary::shift_right_logical, sums[i])));
      }
    };
    if (count == 1)
      body(begin);
    else
      e_.loop("k", begin, e_.add(begin, count), 1, static_cast<double>(count), body);
    const Value upper_nibbles = e_.splat(e_.integer(0xF0, Element::i8), plan_.lanes);
    std::vector<Bytes> all;
    for (size_t i = 0; i < n_; ++i) {
      const Value h = e_.get(high[i]);
      const Value h16 =
          e_.binary(Binary::bit_and, bytes(shifted(Binary::shift_left, h)), upper_nibbles);
      const Value first = e_.subtract(e_.get(full[i]), h16);
      const Value neighbour =
          e_.binary(Binary::bit_and, shifted(Binary::shift_right_logical, first), splat(0xF0));
      all.push_back({first, e_.subtract(h, bytes(neighbour))});
    }
    return all;
  }

  Emitter& e_;
  const Plan& plan_;
  Value tables_, steps_, four_, eight_;
  // --- of the tile ---
  std::vector<Value> inputs_;
  int columns_ = 1;
  Value weights_;
  size_t n_ = 0;
};

/// The tail of one vector of channels of an output.
class MatchTail {
 public:
  MatchTail(Emitter& e, const Query& q, const Plan& plan, const KernelBuffers& b)
      : e_(e),
        q_(q),
        plan_(plan),
        b_(b),
        layout_(lay_out_tail(*q.tail, q.window.n, Plan::kTailLanes)),
        tables_(e.offset(b.constants, plan.tail)) {}

  /// `local`: the output in its sample, `before`: outputs of the samples before; `valid`: channels
  /// from `channel` on.
  void emit(const WordPair& matches, Value local, Value before, Value channel, int64_t valid) {
    TailPlace place = place_at(e_, *q_.tail, tables_, b_.operands, b_.outputs,
                               e_.add(local, before), q_.window.n);
    Value constants = e_.offset(b_.constants, plan_.constants);
    if (plan_.classes) {
      const Value entry =
          e_.offset(e_.offset(b_.constants, e_.multiply(local, 4)), plan_.class_table);
      constants = e_.offset(constants, e_.widen_signed(e_.load(entry, Element::i32), Element::i64));
    }
    if (plan_.words) {
      const WordTail& words = *plan_.words;
      // Blocks are as wide as vectors, so a channel has as many bytes as rows.
      const Value rows =
          e_.offset(constants, e_.multiply(channel, words.block_bytes(plan_.lanes) / plan_.lanes));
      place.channel = channel;
      place.valid_lanes = static_cast<int>(std::min<int64_t>(plan_.lanes, valid));
      words.store(e_, words.emit(e_, matches.even, matches.odd, rows, plan_.lanes), place);
      return;
    }
    TailBatch batch(e_, *q_.tail, layout_);
    const Value low = e_.interleave_low(matches.even, matches.odd);
    const Value high = e_.interleave_high(matches.even, matches.odd);
    for (int first = 0; first < plan_.lanes && first < valid; first += Plan::kTailLanes) {
      // Interleaved within 16 bytes: eight channels of each low, the next eight high.
      const Value part = e_.slice(first % 16 == 0 ? low : high, first / 16 * 8, Plan::kTailLanes);
      const Value sum = e_.widen_unsigned(part, Element::i32);
      place.channel = e_.add(channel, int64_t{first});
      place.valid_lanes = static_cast<int>(std::min<int64_t>(Plan::kTailLanes, valid - first));
      place.follows = first > 0;
      batch.add(e_.add(e_.add(sum, sum), constant(constants, place.channel)), place);
    }
    batch.emit();
  }

 private:
  Value constant(Value constants, Value channel) {
    if (plan_.planes == 2)
      return e_.load(e_.offset(constants, e_.multiply(channel, 4)), Element::i32, Plan::kTailLanes);
    const Window& w = plan_.window;
    return e_.splat(e_.integer(-w.kernel_h * w.kernel_w * w.c, Element::i32), Plan::kTailLanes);
  }

  Emitter& e_;
  const Query& q_;
  const Plan& plan_;
  const KernelBuffers& b_;
  TailLayout layout_;
  Value tables_;
};

}  // namespace

BinaryTablesPlan binary_tables_plan(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  plan.window = w;
  const std::vector<int64_t> levels = weight_levels(q);
  if (std::ranges::find(levels, 0) != levels.end()) {
    plan.planes = 2;
    plan.states = 16;
    plan.padding = 0;
    if (w.has_padding()) plan.classes = border_classes(w);
  }
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
  const int64_t chunks = (plan.steps + Plan::kStepsInBytes - 1) / Plan::kStepsInBytes;
  plan.chunk = (plan.steps + chunks - 1) / chunks;
  plan.vectors = (w.n + plan.lanes - 1) / plan.lanes;
  plan.full_tiles = w.n / plan.lanes / v.columns;
  plan.rest_columns = static_cast<int>(plan.vectors - plan.full_tiles * v.columns);
  for (int64_t y = 0; y < w.out_h; ++y)
    for (int64_t i = 0; i < w.out_w; i += 2) {
      const int64_t x = std::min(i, w.out_w - 2);  // an odd last output is computed twice
      plan.pairs.push_back(
          {static_cast<int32_t>((y * w.stride_h * plan.columns + x * w.stride_w) * plan.groups * 2),
           static_cast<int32_t>(y * w.out_w + x)});
    }
  plan.words = WordTail::of(*q.tail, w.kernel_h * w.kernel_w * w.c);
  plan.class_bytes = align_up(plan.words ? plan.vectors * plan.words->block_bytes(plan.lanes)
                                         : plan.vectors * plan.lanes * 4);
  constexpr int64_t kMostConstants = 1 << 18;
  if (plan.words && plan.class_count() * plan.class_bytes > kMostConstants) {
    plan.words.reset();
    plan.class_bytes = align_up(plan.vectors * plan.lanes * 4);
  }
  Places places;
  plan.tables = places.next(plan.planes * plan.table_block());
  plan.weights = places.next(plan.full_tiles * plan.tile_bytes(v.columns) +
                             plan.tile_bytes(plan.rest_columns));
  plan.step_table = places.next(plan.steps * 4);
  plan.pair_table = places.next(static_cast<int64_t>(plan.pairs.size()) * 8);
  plan.class_table = places.next(plan.classes ? w.out_h * w.out_w * 4 : 0);
  plan.constants =
      places.next(plan.words || plan.planes == 2 ? plan.class_count() * plan.class_bytes : 0);
  plan.tail = places.next(0);
  // The last pixels of the stream look `stride` pixels ahead: room behind the states.
  Places scratch;
  plan.state_bytes =
      scratch.next((plan.rows * plan.columns + w.stride_w) * plan.groups + kSlackBytes);
  plan.stream = scratch.next(plan.rows * plan.row_groups() * 2 + kSlackBytes);
  plan.scratch_bytes = scratch.next(0);
  return plan;
}

Split binary_tables_split(const Query& q, const Variant& v) {
  const Window& w = q.window;
  if (w.out_h == 1) return {};
  const int64_t in_row = (w.out_w + 1) / 2;
  // A tile of pairs counts as so many outputs that it takes as many rows.
  const int64_t rows = (v.rows + in_row - 1) / in_row * w.out_w;
  return split_of(q, geometry_of(w, Storage::bits()), static_cast<int>(rows), 1);
}

void binary_tables_emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = binary_tables_plan(q, v, e.target());
  const Tail& tail = *q.tail;
  const Window& w = q.window;
  const KernelBuffers b = kernel_buffers(e, tail, true);
  const int64_t positions = w.out_h * w.out_w;
  const Split cut = binary_tables_split(q, v);
  const Geometry geometry = geometry_of(w, Storage::bits());
  const RowRange range = emit_row_range(e, geometry, cut);
  const RowRange read = emit_rows_read(e, geometry, range);
  const int64_t in_row = (w.out_w + 1) / 2;
  const bool one_row = w.out_h == 1;
  const Value first_pair = one_row ? e.integer(0) : e.multiply(range.begin, in_row);
  const Value end_pair = one_row ? e.integer(in_row) : e.multiply(range.end, in_row);
  emit_clear_bits(e, q, geometry, cut, b.outputs);

  TileMatches matches(e, plan, b.constants);
  MatchTail tails(e, q, plan, b);
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
            e.widen_signed(e.load(e.offset(entry, int64_t{4}), Element::i32), Element::i64));
      }
      const std::vector<Matches> m = matches.emit(inputs, columns, weights);
      const Value before = e.multiply(sample, positions);
      for (size_t r = 0; r < inputs.size(); ++r)
        for (size_t k = 0; k < 2; ++k) {
          const Value local = e.add(at_position[r], static_cast<int64_t>(k));
          for (int c = 0; c < columns; ++c) {
            const int64_t begin = int64_t{c} * plan.lanes;
            tails.emit(m[r * static_cast<size_t>(columns) + static_cast<size_t>(c)][k], local,
                       before, e.add(channel, begin), end - begin);
          }
        }
    });
  };

  const Value fill = e.splat(e.integer(plan.padding, Element::i8), e.bytes());
  // The last pixels of the stream look `stride` pixels ahead.
  const int64_t ahead = w.stride_w * plan.groups + kGroupsPerStep - 1;
  const Value first_state = e.add(e.multiply(read.begin, plan.row_groups()), plan.state_bytes);
  const Value end_state = e.add(e.multiply(read.end, plan.row_groups()), plan.state_bytes + ahead);
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

}  // namespace qloom::kernels
