// kernels/conv/tables/table_emit.cc: sums of lookups (table_layout.h) and the walk over outputs.

#include <algorithm>

#include "kernels/conv/tables/table_layout.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Value;
using jit::Variable;

/// Rows of outputs that each hold a tile of blocks.
Split split_of_plan(const Query& q, const TablePlan& plan) {
  const Window& w = plan.window;
  if (w.out_h == 1) return {};
  const int64_t rows = (plan.rows + plan.distance - 1) / plan.distance;
  return split_of(q, plan.geometry, static_cast<int>(rows * w.out_w), 1);
}

/// Sums of a block's outputs in words: of the even bytes of index vectors and of the odd ones.
struct WordPair {
  Value even, odd;
};

/// Sums of one tile.
class TileSums {
 public:
  TileSums(Emitter& e, const TablePlan& plan, Value constants, Value scratch)
      : e_(e),
        plan_(plan),
        offsets_(e.offset(constants, plan.offsets_at)),
        sums_(e.offset(scratch, plan.sums_at)),
        lanes_(plan.vector_bytes()),
        eight_(e.splat(e.integer(8, Element::i16), lanes_ / 2)),
        low_byte_(e.splat(e.integer(255, Element::i16), lanes_ / 2)) {
    if (plan.halves == 2) {
      four_ = e.splat(e.integer(4, Element::i16), lanes_ / 2);
      upper_nibbles_ = e.splat(e.integer(0xF0, Element::i8), lanes_);
      upper_nibble_ = e.splat(e.integer(0xF0, Element::i16), lanes_ / 2);
    }
  }

  [[nodiscard]] int64_t place(int64_t r, int columns, int64_t c, int64_t half, int64_t part) const {
    return (((r * columns + c) * 2 + part) * plan_.halves + half) * lanes_;
  }
  /// Bytes of the sums of a block.
  [[nodiscard]] int64_t block_bytes(int columns) const { return place(1, columns, 0, 0, 0); }

  /// For each block and vector, and each half.
  using Sums = std::vector<std::vector<WordPair>>;
  Sums emit(const std::vector<Value>& inputs, int columns, Value weights) {
    inputs_ = inputs;
    columns_ = columns;
    weights_ = weights;
    n_ = inputs.size() * static_cast<size_t>(columns);
    switch (plan_.sums) {
      case TableSums::words:
        return emit_words();
      case TableSums::bytes:
        return emit_chunks([this](Value begin) { return bytes_of(begin); });
      case TableSums::dual:
        break;
    }
    return emit_chunks([this](Value begin) { return dual_bytes_of(begin); });
  }

  /// Leaves sums in scratch: for each block and vector, words of channels 0..7 of each pixel of the
  /// first and the second half, then of 8..15.
  void store(const Sums& sums) {
    for (size_t i = 0; i < sums.size(); ++i)
      for (size_t half = 0; half < sums[i].size(); ++half) {
        const int64_t at = place(0, 1, static_cast<int64_t>(i), static_cast<int64_t>(half), 0);
        e_.store(e_.offset(sums_, at), sums[i][half].even);
        e_.store(e_.offset(sums_, at + int64_t{lanes_} * plan_.halves), sums[i][half].odd);
      }
  }

 private:
  Value as_words(Value v) { return e_.bitcast(v, Element::i16); }
  Value as_bytes(Value v) { return e_.bitcast(v, Element::i8); }
  Value upper(Value bytes) {
    return e_.binary(Binary::shift_right_logical, as_words(bytes), eight_);
  }
  std::vector<Variable> zeros(Element element) {
    std::vector<Variable> list;
    for (size_t i = 0; i < n_; ++i)
      list.push_back(e_.variable(e_.zeros(element, lanes_ / jit::bytes_of(element))));
    return list;
  }
  void accumulate(Variable v, Value x) { e_.set(v, e_.add(e_.get(v), x)); }

  /// Sums of the lookups of one step, added to `start` where that is valid.
  std::vector<Value> step(Value at, std::vector<Value> sums) {
    const int64_t n = plan_.lookups_per_step;
    const Value offsets = e_.offset(offsets_, e_.multiply(at, n * 4));
    const Value weights = e_.offset(weights_, e_.multiply(at, n * columns_ * kTableChannels));
    Value offset;
    for (int64_t k = 0; k < n; ++k) {
      if (k == 0 || !plan_.follow)
        offset = e_.widen_signed(e_.load(e_.offset(offsets, 4 * k), Element::i32), Element::i64);
      const int64_t behind = plan_.follow ? k * lanes_ : 0;
      std::vector<Value> tables;
      for (const Value input : inputs_)
        tables.push_back(e_.load(e_.offset(e_.offset(input, offset), behind), Element::i8, lanes_));
      for (int c = 0; c < columns_; ++c) {
        const Value index = e_.load_table(e_.offset(weights, (k * columns_ + c) * kTableChannels));
        for (size_t r = 0; r < inputs_.size(); ++r) {
          const size_t i = r * static_cast<size_t>(columns_) + static_cast<size_t>(c);
          const Value found = e_.table_lookup(tables[r], index);
          sums[i] = sums[i].valid() ? e_.add(sums[i], found) : found;
        }
      }
    }
    return sums;
  }

  void over_steps(Value begin, int64_t count, const std::function<void(Value)>& body) {
    if (count == 1)
      body(begin);
    else
      e_.loop("k", begin, e_.add(begin, count), 1, static_cast<double>(count), body);
  }

  /// One vector of bytes for each half of each block and vector.
  using Bytes = std::vector<std::vector<Value>>;
  Bytes bytes_of(Value begin) {
    const std::vector<Variable> sums = zeros(Element::i8);
    over_steps(begin, plan_.chunk, [&](Value at) {
      std::vector<Value> values;
      for (const Variable v : sums) values.push_back(e_.get(v));
      values = step(at, std::move(values));
      for (size_t i = 0; i < n_; ++i) e_.set(sums[i], values[i]);
    });
    Bytes bytes;
    for (const Variable v : sums) bytes.push_back({e_.get(v)});
    return bytes;
  }

  Bytes dual_bytes_of(Value begin) {
    const std::vector<Variable> full = zeros(Element::i8), high = zeros(Element::i8);
    over_steps(begin, plan_.chunk, [&](Value at) {
      const std::vector<Value> sums = step(at, std::vector<Value>(n_));
      for (size_t i = 0; i < n_; ++i) {
        accumulate(full[i], sums[i]);
        accumulate(high[i],
                   as_bytes(e_.binary(Binary::shift_right_logical, as_words(sums[i]), four_)));
      }
    });
    Bytes bytes;
    for (size_t i = 0; i < n_; ++i) {
      const Value second = e_.get(high[i]);
      const Value h16 = e_.binary(Binary::bit_and,
                                  as_bytes(e_.binary(Binary::shift_left, as_words(second), four_)),
                                  upper_nibbles_);
      const Value first = e_.subtract(e_.get(full[i]), h16);
      const Value neighbour =
          e_.binary(Binary::bit_and, e_.binary(Binary::shift_right_logical, as_words(first), four_),
                    upper_nibble_);
      bytes.push_back({first, e_.subtract(second, as_bytes(neighbour))});
    }
    return bytes;
  }

  Sums emit_chunks(const std::function<Bytes(Value)>& chunk) {
    Sums sums(n_);
    if (plan_.chunks == 1) {
      const Bytes bytes = chunk(e_.integer(0));
      for (size_t i = 0; i < n_; ++i)
        for (const Value v : bytes[i])
          sums[i].push_back({e_.binary(Binary::bit_and, as_words(v), low_byte_), upper(v)});
      return sums;
    }
    // full: bytes as words, so even + 256·odd modulo 65536.
    std::vector<std::vector<Variable>> full, odd;
    for (int h = 0; h < plan_.halves; ++h) {
      full.push_back(zeros(Element::i16));
      odd.push_back(zeros(Element::i16));
    }
    e_.loop("chunks", e_.integer(0), e_.integer(plan_.steps), plan_.chunk, 0, [&](Value begin) {
      const Bytes bytes = chunk(begin);
      for (size_t i = 0; i < n_; ++i)
        for (size_t h = 0; h < bytes[i].size(); ++h) {
          accumulate(full[h][i], as_words(bytes[i][h]));
          accumulate(odd[h][i], upper(bytes[i][h]));
        }
    });
    for (size_t i = 0; i < n_; ++i)
      for (size_t h = 0; h < full.size(); ++h)
        sums[i].push_back(pair_of(e_.get(full[h][i]), e_.get(odd[h][i])));
    return sums;
  }

  Sums emit_words() {
    const std::vector<Variable> full = zeros(Element::i16), odd = zeros(Element::i16);
    over_steps(e_.integer(0), plan_.steps, [&](Value at) {
      const std::vector<Value> sums = step(at, std::vector<Value>(n_));
      for (size_t i = 0; i < n_; ++i) {
        accumulate(full[i], as_words(sums[i]));
        accumulate(odd[i], upper(sums[i]));
      }
    });
    Sums sums(n_);
    for (size_t i = 0; i < n_; ++i) sums[i].push_back(pair_of(e_.get(full[i]), e_.get(odd[i])));
    return sums;
  }

  WordPair pair_of(Value full, Value odd) {
    return {e_.subtract(full, e_.binary(Binary::shift_left, odd, eight_)), odd};
  }

  Emitter& e_;
  const TablePlan& plan_;
  Value offsets_, sums_;
  int lanes_;
  Value eight_, low_byte_, four_, upper_nibbles_, upper_nibble_;
  // --- of the tile ---
  std::vector<Value> inputs_;
  int columns_ = 1;
  Value weights_;
  size_t n_ = 0;
};

/// The tail of a tile.
class TileTails {
 public:
  TileTails(Emitter& e, const Query& q, const TablePlan& plan, const KernelBuffers& b,
            const TileSums& sums)
      : e_(e),
        tail_(*q.tail),
        plan_(plan),
        b_(b),
        tile_sums_(sums),
        lanes_(channel_lanes(e.target())),
        layout_(lay_out_tail(*q.tail, q.window.n, lanes_)),
        tables_(e.offset(b.constants, plan.tail_at)) {}

  /// Outputs of one block whose sums are given: a tail on words. Arguments as of block.
  void words(std::span<const std::vector<WordPair>> sums, Value position, Value before,
             Value channel, int64_t end) {
    const WordTail& words = *plan_.words;
    const Value all = e_.offset(
        e_.offset(b_.constants,
                  e_.multiply(channel, words.block_bytes(kTableChannels) / kTableChannels)),
        plan_.constants_at);
    for (int64_t half = 0; half < plan_.halves; ++half) {
      std::vector<TailPlace> places;
      for (int64_t p = 0; p < plan_.pixels; ++p)
        places.push_back(
            place_at(e_, tail_, tables_, b_.operands, b_.outputs,
                     e_.add(e_.add(position, before), plan_.start(half * plan_.pixels + p)),
                     plan_.window.n));
      for (size_t c = 0; c < sums.size(); ++c) {
        const int64_t at = static_cast<int64_t>(c) * kTableChannels;
        if (at >= end) break;
        const WordPair& sum = sums[c][static_cast<size_t>(half)];
        const auto column = static_cast<int64_t>(c);
        const std::vector<Value> bytes =
            words.emit(e_, sum.even, sum.odd,
                       e_.offset(all, column * words.block_bytes(kTableChannels)), kTableChannels);
        for (size_t p = 0; p < places.size(); ++p) {
          places[p].channel = e_.add(channel, at);
          places[p].valid_lanes = static_cast<int>(std::min<int64_t>(kTableChannels, end - at));
          std::vector<Value> parts;
          for (const Value v : bytes)
            parts.push_back(e_.slice(v, static_cast<int>(p) * kTableChannels, kTableChannels));
          words.store(e_, parts, places[p]);
        }
      }
    }
  }

  /// Outputs of one block whose sums are in scratch; `position`: of the first in its sample,
  /// `before`: of the sample; `end`: channels from `channel` on.
  void block(Value sums, int columns, Value position, Value before, Value channel, int64_t end) {
    auto output = [&](Value p) {
      const Value start = e_.binary(Binary::min_signed, e_.multiply(p, plan_.distance),
                                    e_.integer(plan_.start(plan_.parts())));
      const Value local = e_.add(position, start);
      Value constants = e_.offset(b_.constants, plan_.constants_at);
      if (plan_.classes > 1) {
        const Value entry =
            e_.offset(e_.offset(b_.constants, e_.multiply(local, 4)), plan_.classes_at);
        constants =
            e_.offset(constants, e_.widen_signed(e_.load(entry, Element::i32), Element::i64));
      }
      TailPlace place = place_at(e_, tail_, tables_, b_.operands, b_.outputs, e_.add(local, before),
                                 plan_.window.n);
      const Value words = e_.offset(sums, e_.multiply(p, kTableBytes));
      TailBatch batch(e_, tail_, layout_);
      for (int c = 0; c < columns; ++c)
        for (int first = 0; first < kTableChannels; first += lanes_) {
          const int64_t at = int64_t{c} * kTableChannels + first;
          if (at >= end) break;
          place.channel = e_.add(channel, at);
          place.valid_lanes = static_cast<int>(std::min<int64_t>(lanes_, end - at));
          const Value sum = load(words, columns, c, first);
          const Value constant =
              e_.load(e_.offset(constants, e_.multiply(place.channel, 4)), Element::i32, lanes_);
          place.follows = at > 0;
          batch.add(e_.add(sum, constant), place);
        }
      batch.emit();
    };
    constexpr int64_t kUnrolled = 8;  // tails in a row: more need more registers than there are
    if (plan_.parts() * columns <= kUnrolled)
      for (int64_t p = 0; p < plan_.parts(); ++p) output(e_.integer(p));
    else
      e_.loop("outputs", e_.integer(0), e_.integer(plan_.parts()), 1, 0, output);
  }

 private:
  Value load(Value words_at, int columns, int c, int first) {
    constexpr int kPart = kTableChannels / 2;
    auto part = [&](int k) {
      return e_.load(e_.offset(words_at, tile_sums_.place(0, columns, c, 0, k)), Element::i16,
                     kPart);
    };
    Value words = part(first / kPart);
    if (lanes_ > kPart) words = e_.concat(words, part(1));
    const Value sum = e_.widen_unsigned(words, Element::i32);
    return plan_.terms.scale == 1 ? sum : e_.add(sum, sum);
  }

  Emitter& e_;
  const Tail& tail_;
  const TablePlan& plan_;
  const KernelBuffers& b_;
  const TileSums& tile_sums_;
  int lanes_;
  TailLayout layout_;
  Value tables_;
};

}  // namespace

int64_t table_items(const Query& q, const Variant& v, const jit::Target& target, bool dual) {
  return split_of_plan(q, table_plan(q, v, target, dual)).items;
}

void table_emit(const Query& q, const Variant& v, Emitter& e, bool dual) {
  const TablePlan plan = table_plan(q, v, e.target(), dual);
  const Window& w = q.window;
  const KernelBuffers b = kernel_buffers(e, *q.tail, true);
  const Split cut = split_of_plan(q, plan);
  const Geometry& geometry = plan.geometry;
  emit_clear_bits(e, q, geometry, cut, b.outputs);
  RowRange range{e.integer(0), e.integer(1)};  // an image of one row is not cut
  if (w.out_h > 1) range = emit_row_range(e, geometry, cut);
  const Value rows =
      e.binary(Binary::min_signed, e.subtract(range.end, range.begin), e.integer(plan.band));
  const int64_t reach = (w.kernel_h - 1) * w.dilation_h / plan.row_step + 1;
  const int64_t stride = w.stride_h / plan.row_step;
  const Value rows_read = e.add(e.multiply(rows, stride), reach - stride);
  const Value blocks_end = e.multiply(rows, plan.distance);
  const Value last_blocks = e.subtract(blocks_end, e.integer(plan.rows));
  TileSums sums(e, plan, b.constants, b.scratch);
  TileTails tails(e, q, plan, b, sums);

  auto entry_at = [&](Value block) {
    return e.offset(e.offset(b.constants, e.multiply(block, sizeof(TableBlock))), plan.blocks_at);
  };
  auto scalar = [&](Value entry, int64_t at) {
    return e.widen_signed(e.load(e.offset(entry, at), Element::i32), Element::i64);
  };
  auto tile = [&](const std::vector<Value>& inputs, Value at, Value band_position, Value before,
                  int columns, Value channel, int64_t end, Value weights) {
    const TileSums::Sums all = sums.emit(inputs, columns, weights);
    if (plan.words) {
      for (int64_t r = 0; r < plan.rows; ++r)
        tails.words(
            std::span(all).subspan(static_cast<size_t>(r * columns), static_cast<size_t>(columns)),
            e.add(scalar(entry_at(e.add(at, r)), 4), band_position), before, channel, end);
      return;
    }
    sums.store(all);
    auto block = [&](Value r) {
      const Value from =
          e.offset(b.scratch, e.add(e.multiply(r, sums.block_bytes(columns)), plan.sums_at));
      const Value position = e.add(scalar(entry_at(e.add(at, r)), 4), band_position);
      tails.block(from, columns, position, before, channel, end);
    };
    // A loop would want the tail's tables in registers, of which narrow vectors need too many.
    constexpr int64_t kUnrolled = 8;
    if (e.bytes() < 64 && plan.rows * plan.parts() * columns <= kUnrolled)
      for (int64_t r = 0; r < plan.rows; ++r) block(e.integer(r));
    else
      e.loop("tails", e.integer(0), e.integer(plan.rows), 1, 0, block);
  };
  auto blocks = [&](Value band_position, Value before) {
    e.loop("blocks", e.integer(0), blocks_end, plan.rows, 0, [&](Value at) {
      if (plan.rows > 1) at = e.binary(Binary::min_signed, at, last_blocks);
      std::vector<Value> inputs;
      for (int r = 0; r < plan.rows; ++r)
        inputs.push_back(
            e.offset(e.offset(b.scratch, plan.tables_at), scalar(entry_at(e.add(at, r)), 0)));
      const Value weights = e.offset(b.constants, plan.weights_at);
      const int64_t width = int64_t{plan.columns} * kTableChannels;
      if (plan.full_tiles > 0) {
        // Channels behind the last of a full tile are those of its last vector.
        const bool whole = plan.rest_columns > 0 || w.n % width == 0;
        const int64_t loops = whole ? plan.full_tiles : plan.full_tiles - 1;
        if (loops > 0)
          e.loop("channels", e.integer(0), e.integer(loops), 1, 0, [&](Value t) {
            tile(inputs, at, band_position, before, plan.columns, e.multiply(t, width), width,
                 e.offset(weights, e.multiply(t, plan.tile_bytes(plan.columns))));
          });
        if (!whole)
          tile(inputs, at, band_position, before, plan.columns, e.integer(loops * width),
               w.n - loops * width, e.offset(weights, loops * plan.tile_bytes(plan.columns)));
      }
      if (plan.rest_columns > 0)
        tile(inputs, at, band_position, before, plan.rest_columns,
             e.integer(plan.full_tiles * width), w.n - plan.full_tiles * width,
             e.offset(weights, plan.full_tiles * plan.tile_bytes(plan.columns)));
    });
  };

  const Value copy = e.offset(b.scratch, plan.copy_at);
  auto band_at = [&](Value band, Value image, Value before) {
    const Value first = e.multiply(band, w.stride_h * geometry.columns * geometry.pixel_bytes);
    emit_tables(e, plan, e.offset(b.scratch, plan.tables_at), e.offset(image, first), rows_read);
    blocks(e.multiply(band, w.out_w), before);
  };
  // The condition holds; said once, no loop inside needs to ask.
  e.if_less(range.begin, range.end, [&] {
    emit_border(e, geometry, copy, range);
    e.loop("samples", e.integer(0), e.count(), 1, 16, [&](Value sample) {
      const Value from = e.offset(b.input, e.multiply(sample, geometry.sample_bytes));
      emit_copy_sample(e, geometry, copy, from, range);
      const Value image = geometry.copied ? copy : from;
      const Value before = e.multiply(sample, w.out_h * w.out_w);
      if (plan.band >= w.out_h) {
        band_at(range.begin, image, before);
        return;
      }
      e.loop("bands", range.begin, range.end, plan.band, 1, [&](Value band) {
        band_at(e.binary(Binary::min_signed, band, e.subtract(range.end, rows)), image, before);
      });
    });
  });
}

}  // namespace qloom::kernels
