// kernels/conv/tables/conv_table_wide.cc: convolution, weights -1, 0, 1 (or two of them), by
// lookups in tables of a whole vector that are made from the input.
//
//   sum_k a_k·w_k,   a = x - zero,  x = 0..top
//
// 1. A pixel's input channels are cut into *parts* of three channels (five, where weights take but
//    two values). A part's table has an entry for each way to weight its channels, 27 (or 32) of
//    32 bytes, of term(w, x) = x for 1, 0 for 0, top - x for -1, so that entries are not negative
//    and Σ w·x = Σ entries - top·(number of w = -1). A vector holds the tables of two parts.
// 2. A 16-bit lane of an index vector is an output channel; its two bytes choose an entry of each
//    part. One lookup serves 32 channels × six (ten) weights.
// 3. Looked up entries are added in bytes as long as the largest allow it, then the two bytes of a
//    lane are added to its 16-bit sum by multiply-add pairs with ones.
// 4. Tables of a sample's pixels lie in scratch, with a border of those of code 0; a tap is a
//    distance. An entry is added up from its channels' terms, each a lookup in a vector of 30
//    channels' x, top - x and 0.
//
// Source: own; the principle of low-bit kernel survey, 3 (tables of sums), at the width of VBMI.

#include <algorithm>
#include <array>

#include "graph/support/error.h"
#include "kernels/conv/channel_tiles.h"
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

constexpr int kVector = 64;
constexpr int kEntries = 32;        ///< of a part's table
constexpr int kBlockChannels = 30;  ///< a whole number of vectors of tables in either case
constexpr int kHalf = 32;           ///< where a block's second terms begin
constexpr int kZeroLane = 63;       ///< of a block: holds 0
constexpr int64_t kMostUnit = 16;   ///< tables of an iteration, all written out
constexpr int64_t kMostChannels = 64;
constexpr int kWords = 32;  ///< channels of a vector of sums

/// What weights are made of, a function of the query.
struct Digits {
  std::vector<int64_t> levels;
  int channels = 3;  ///< of a part
  int64_t largest = 0;
  [[nodiscard]] int base() const { return static_cast<int>(levels.size()); }
  [[nodiscard]] int64_t of(int64_t weight) const {
    return std::ranges::find(levels, weight) - levels.begin();
  }
  /// Digit of a channel that does not exist, whose x is 0: no term at all.
  [[nodiscard]] int64_t none() const { return of(levels.back() == 1 ? 1 : 0); }
  [[nodiscard]] int tables_of_block() const { return kBlockChannels / (2 * channels); }
};

Digits digits_of(const Query& q, int64_t top) {
  Digits digits;
  const auto levels = weight_levels(q);
  const auto has = [&](int64_t w) { return std::ranges::find(levels, w) != levels.end(); };
  if (has(-1)) digits.levels.push_back(-1);
  if (has(0)) digits.levels.push_back(0);
  if (has(1) || digits.levels.size() < 2) digits.levels.push_back(1);
  if (digits.levels.size() < 2) digits.levels.insert(digits.levels.begin(), 0);
  digits.channels = digits.base() == 2 ? 5 : 3;
  digits.largest = digits.channels * top;
  return digits;
}

/// What pack and emit agree on.
struct Plan {
  Geometry geometry;  ///< of the image of tables; its borders are made here
  Digits digits;
  int64_t top = 0;
  int64_t tables = 0;  ///< vectors of a pixel
  int64_t unit = 1, units = 0, units_of_run = 1;
  bool rows = false;  ///< a run is a kernel row, else a tap
  int64_t flush = 1;  ///< lookups that are added in bytes
  ChannelTiles tiles;
  Split split;
  int64_t indices = 0, initial = 0, steps = 0, terms = 0, pixels = 0, tail = 0;

  [[nodiscard]] int64_t step_offset(int64_t step) const {
    const Window& w = geometry.window;
    const int64_t run = step / units_of_run, within = step % units_of_run * unit * kVector;
    return within + (rows ? geometry.tap_offset(run, 0)
                          : geometry.tap_offset(run / w.kernel_w, run % w.kernel_w));
  }
  /// First table of a step among all taps'.
  [[nodiscard]] int64_t all_tables() const { return units * unit; }
};

Plan plan_of(const Query& q, const Variant& v) {
  const Window& w = q.window;
  Plan plan;
  plan.top = largest_byte(q, q.input_storage);
  plan.digits = digits_of(q, plan.top);
  plan.tables = (w.c + 2 * plan.digits.channels - 1) / (2 * plan.digits.channels);
  Geometry& g = plan.geometry;
  g = geometry_of(w, q.input_storage);
  g.rows =
      std::max((w.out_h - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1, w.pad_top + w.h);
  g.columns =
      std::max((w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1, w.pad_left + w.w);
  g.pixel_bytes = plan.tables * kVector;
  g.scratch_bytes = g.rows * g.columns * g.pixel_bytes;
  // The walk finds tables in place: they are all of one sample.
  g.copied = g.linear = false;
  g.sample_bytes = 0;

  plan.rows = w.dilation_w == 1;
  const int64_t run = plan.tables * (plan.rows ? w.kernel_w : 1);
  for (int64_t unit = 1; unit <= std::min(run, kMostUnit); ++unit)
    if (run % unit == 0) plan.unit = unit;
  plan.units_of_run = run / plan.unit;
  plan.units = plan.units_of_run * w.kernel_h * (plan.rows ? 1 : w.kernel_w);
  plan.flush = 255 / plan.digits.largest;
  plan.tiles = channel_tiles(w, kWords, v.columns, plan.all_tables() * kVector);
  plan.split = split_of(q, g, v.rows, plan.tiles.to_cut());
  Places places;
  plan.indices = places.next(plan.tiles.bytes());
  plan.initial = places.next((w.n + kWords) * 4);
  plan.steps = places.next(plan.units * 4);
  plan.terms = places.next(int64_t{plan.digits.tables_of_block()} * plan.digits.channels * kVector);
  plan.pixels = places.next(g.positions() * 4);
  plan.tail = places.next(0);
  return plan;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (Verdict v = fits_int32(q); !v) return v;
  if (q.target == nullptr || q.target->lowering != jit::Lowering::avx512)
    return Verdict::no("the target looks up 16 bytes at once, this kernel needs 64");
  const CodeRange range = weight_range(q);
  if (range.lo < -1 || range.hi > 1)
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi,
                       "], this kernel takes -1, 0 and 1");
  const Storage storage = plain_storage(q.input);
  if (storage.kind != Storage::Kind::bytes)
    return Verdict::no("input is ", q.input, ", this kernel takes bytes");
  if (q.window.is_dense() || q.window.groups != 1)
    return Verdict::no("rows of one output or several groups, this kernel takes images");
  if (q.window.c > kMostChannels)
    return Verdict::no(q.window.c, " input channels, above ", kMostChannels,
                       " all variants use the stack in their inner loop");
  const int64_t top = largest_byte(q, storage);
  const Digits digits = digits_of(q, top);
  if (digits.largest > 255)
    return Verdict::no("an entry reaches ", digits.largest, ", this kernel needs at most 255");
  const Window& w = q.window;
  const int64_t parts = 2 * ((w.c + 2 * digits.channels - 1) / (2 * digits.channels));
  const int64_t sum = w.kernel_h * w.kernel_w * parts * digits.largest;
  if (sum > 65535) return Verdict::no("sums reach ", sum, ", this kernel adds 16 bits");
  return Verdict::yes();
}

Storage input_storage(const Query& q) { return plain_storage(q.input); }

std::vector<Variant> variants(const Query& q, const jit::Target&) {
  const int64_t vectors = (q.window.n + kWords - 1) / kWords;
  const int64_t outputs = q.window.out_h * q.window.out_w;
  const Geometry geometry = plan_of(q, {}).geometry;
  // Two registers a sum; indices, a table and ones.
  constexpr std::array<std::array<int, 2>, 9> kShapes{
      {{4, 2}, {6, 2}, {8, 1}, {12, 1}, {2, 2}, {1, 2}, {4, 1}, {2, 1}, {1, 1}}};
  std::vector<Variant> list;
  for (const auto& [rows, columns] : kShapes) {
    if (rows > outputs || columns > vectors) continue;
    if (rows > 8 && pitch_of(geometry, rows) == 0) continue;
    list.push_back({rows, columns, 0});
  }
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v);
  const Window& w = q.window;
  const Digits& digits = plan.digits;
  const auto codes = q.weight_codes->i64();
  std::vector<uint8_t> indices;
  plan.tiles.for_each([&](int64_t, int64_t first, int columns) {
    for (int64_t table = 0; table < plan.all_tables(); ++table)
      for (int64_t n = first; n < first + int64_t{columns} * kWords; ++n)
        for (int part = 0; part < 2; ++part) {
          // Tables follow each other as taps do, whatever a run is.
          const int64_t tap = table / plan.tables;
          const int64_t c = (table % plan.tables * 2 + part) * digits.channels;
          int64_t index = 0;
          for (int k = digits.channels - 1; k >= 0; --k) {
            const bool exists = c + k < w.c && n < w.n;
            const auto at = static_cast<size_t>((tap * w.c + c + k) * w.n + n);
            index = index * digits.base() + (exists ? digits.of(codes[at]) : digits.none());
          }
          indices.push_back(static_cast<uint8_t>(index + part * kEntries));
        }
  });
  std::vector<int32_t> initial(static_cast<size_t>(w.n + kWords), 0);
  for (size_t i = 0; i < codes.size(); ++i)
    initial[i % static_cast<size_t>(w.n)] -= static_cast<int32_t>(
        plan.top * std::max<int64_t>(0, -codes[i]) + q.input_storage.zero * codes[i]);
  std::vector<int32_t> steps;
  for (int64_t u = 0; u < plan.units; ++u)
    steps.push_back(static_cast<int32_t>(plan.step_offset(u)));
  std::vector<uint8_t> terms;
  for (int table = 0; table < digits.tables_of_block(); ++table)
    for (int k = 0, power = 1; k < digits.channels; ++k, power *= digits.base())
      for (int lane = 0; lane < kVector; ++lane) {
        const int channel = (table * 2 + lane / kEntries) * digits.channels + k;
        const int64_t level =
            digits.levels[static_cast<size_t>(lane % kEntries / power % digits.base())];
        terms.push_back(static_cast<uint8_t>(level == 0   ? kZeroLane
                                             : level == 1 ? channel
                                                          : kHalf + channel));
      }
  std::vector<uint8_t> out;
  qloom_assert(append(out, indices) == plan.indices, q.name, ": indices misplaced");
  qloom_assert(append(out, initial) == plan.initial, q.name, ": initial sums misplaced");
  qloom_assert(append(out, steps) == plan.steps, q.name, ": step table misplaced");
  qloom_assert(append(out, terms) == plan.terms, q.name, ": terms misplaced");
  qloom_assert(append(out, pixel_table(plan.geometry)) == plan.pixels, q.name,
               ": pixel table misplaced");
  append_tail(out, *q.tail, w.n, channel_lanes(target));
  return out;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target&) {
  return plan_of(q, v).geometry.scratch_bytes;
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target&) {
  return plan_of(q, v).split.items;
}

/// Makes the tables of pixels.
class TableBuilder {
 public:
  /// `read`: rows of the image of tables that are needed.
  TableBuilder(Emitter& e, const Query& q, const Plan& plan, Value terms, const RowRange& read)
      : e_(e), q_(q), plan_(plan), terms_(terms), read_(read) {}

  /// Everything is border first: tables of code 0.
  void border(Value scratch) {
    const Value zero = e_.splat(e_.integer(q_.input_storage.zero, Element::i8), kHalf);
    const std::vector<Value> tables = of_pixel([&](int64_t) { return zero; });
    const int64_t pixel = plan_.geometry.pixel_bytes, row = plan_.geometry.columns * pixel;
    e_.loop("border", e_.multiply(read_.begin, row), e_.multiply(read_.end, row), pixel,
            static_cast<double>(plan_.geometry.rows * plan_.geometry.columns),
            [&](Value at) { store(e_.offset(scratch, at), tables); });
  }

  void sample(Value scratch, Value from) {
    const Window& w = q_.window;
    const Geometry& g = plan_.geometry;
    const Value corner = e_.offset(scratch, (w.pad_top * g.columns + w.pad_left) * g.pixel_bytes);
    const Value begin =
        e_.binary(Binary::max_signed, e_.integer(0), e_.add(read_.begin, -w.pad_top));
    const Value end = e_.binary(Binary::min_signed, e_.integer(w.h), e_.add(read_.end, -w.pad_top));
    e_.loop("table rows", begin, end, 1, static_cast<double>(w.h), [&](Value y) {
      const Value to = e_.offset(corner, e_.multiply(y, g.columns * g.pixel_bytes));
      const Value row = e_.offset(from, e_.multiply(y, w.w * w.c));
      e_.loop("table columns", e_.integer(0), e_.integer(w.w), 1, 0, [&](Value x) {
        const Value pixel = e_.offset(row, e_.multiply(x, w.c));
        store(e_.offset(to, e_.multiply(x, g.pixel_bytes)), of_pixel([&](int64_t c) {
                return e_.load(e_.offset(pixel, c), Element::i8, kHalf);
              }));
      });
    });
  }

 private:
  Value pattern(const std::function<int64_t(int)>& lane) {
    std::array<int64_t, kVector> lanes{};
    for (int i = 0; i < kVector; ++i) lanes[static_cast<size_t>(i)] = lane(i);
    return e_.vector_constant(Element::i8, lanes);
  }

  std::vector<Value> of_pixel(const std::function<Value(int64_t)>& bytes) {
    const Digits& digits = plan_.digits;
    std::vector<Value> tables;
    for (int64_t c = 0; c < q_.window.c; c += kBlockChannels) {
      const Value x = bytes(c);
      // x, then top - x = ~x + top + 1.
      Value v = e_.binary(Binary::bit_xor, e_.concat(x, x),
                          pattern([](int i) { return i < kHalf ? 0 : -1; }));
      v = e_.add(v, pattern([&](int i) { return i < kHalf ? 0 : plan_.top + 1; }));
      const int64_t channels = std::min<int64_t>(kBlockChannels, q_.window.c - c);
      v = e_.binary(Binary::bit_and, v,
                    pattern([&](int i) { return i % kHalf < channels ? -1 : 0; }));
      for (int t = 0;
           t < digits.tables_of_block() && static_cast<int64_t>(tables.size()) < plan_.tables;
           ++t) {
        Value sum;
        for (int k = 0; k < digits.channels; ++k) {
          const Value index =
              e_.load(e_.offset(terms_, (int64_t{t} * digits.channels + k) * kVector), Element::i8,
                      kVector);
          const Value term = e_.permute_bytes(v, index);
          sum = sum.valid() ? e_.add(sum, term) : term;
        }
        tables.push_back(sum);
      }
    }
    return tables;
  }

  void store(Value to, const std::vector<Value>& tables) {
    for (size_t i = 0; i < tables.size(); ++i)
      e_.store(e_.offset(to, static_cast<int64_t>(i) * kVector), tables[i]);
  }

  Emitter& e_;
  const Query& q_;
  const Plan& plan_;
  Value terms_;
  RowRange read_;
};

/// Sums of a tile: outputs × vectors of 32 channels, words.
std::vector<Value> tile_sums(Emitter& e, const Plan& plan, Value constants,
                             const std::vector<Value>& pixels, int64_t pitch, int columns,
                             Value indices) {
  const Value steps = e.offset(constants, plan.steps);
  const Value ones = e.splat(e.integer(1, Element::i8), kVector);
  const size_t sums = pixels.size() * static_cast<size_t>(columns);
  std::vector<Variable> words;
  for (size_t i = 0; i < sums; ++i) words.push_back(e.variable(e.zeros(Element::i16, kWords)));
  const auto body = [&](Value unit) {
    const Value entry = e.load(e.offset(steps, e.multiply(unit, 4)), Element::i32);
    const Value at = e.widen_signed(entry, Element::i64);
    const Value index_at = e.offset(indices, e.multiply(unit, plan.unit * columns * kVector));
    const Value near = pitch > 0 ? e.offset(pixels[0], at) : Value{};
    std::vector<Value> bytes(sums);
    for (int64_t t = 0; t < plan.unit; ++t) {
      std::vector<Value> index;
      for (int c = 0; c < columns; ++c)
        index.push_back(
            e.load(e.offset(index_at, (t * columns + c) * kVector), Element::i8, kVector));
      const bool last = t == plan.unit - 1 || (t + 1) % plan.flush == 0;
      for (size_t r = 0; r < pixels.size(); ++r) {
        const Value from = pitch > 0 ? e.offset(near, static_cast<int64_t>(r) * pitch + t * kVector)
                                     : e.offset(e.offset(pixels[r], at), t * kVector);
        const Value table = e.load(from, Element::i8, kVector);
        for (size_t c = 0; c < index.size(); ++c) {
          const size_t i = r * index.size() + c;
          const Value found = e.permute_bytes(table, index[c]);
          bytes[i] = bytes[i].valid() ? e.add(bytes[i], found) : found;
          if (!last) continue;
          // At most 2 · 255: exact.
          const Value pairs = e.multiply_add_pairs_u8s8(bytes[i], ones, Pairs::proven);
          e.set(words[i], e.add(e.get(words[i]), pairs));
          bytes[i] = {};
        }
      }
    }
  };
  if (plan.units == 1)
    body(e.integer(0));
  else
    e.loop("k", e.integer(0), e.integer(plan.units), 1, 0, body);
  std::vector<Value> out;
  for (const Variable v : words) out.push_back(e.get(v));
  return out;
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v);
  const Window& w = q.window;
  const Tail& tail = *q.tail;
  const int lanes = channel_lanes(e.target());
  const int64_t pitch = pitch_of(plan.geometry, v.rows);
  const TailLayout layout = lay_out_tail(tail, w.n, lanes);
  const KernelBuffers b = kernel_buffers(e, tail, true);
  const Value tables = e.offset(b.constants, plan.tail);
  emit_clear_bits(e, q, plan.geometry, plan.split, b.outputs);
  TableBuilder builder(
      e, q, plan, e.offset(b.constants, plan.terms),
      emit_rows_read(e, plan.geometry, emit_row_range(e, plan.geometry, plan.split)));
  if (w.has_padding()) builder.border(b.scratch);

  const auto tails = [&](const Tile& tile, const ChannelTile& channels,
                         const std::vector<Value>& words) {
    for (size_t r = 0; r < tile.pixels.size(); ++r) {
      TailPlace place = place_at(e, tail, tables, b.operands, b.outputs,
                                 e.add(tile.first, static_cast<int64_t>(r)), w.n);
      TailBatch batch(e, tail, layout);
      for (int c = 0; c < channels.columns; ++c)
        for (int first = 0; first < kWords; first += lanes) {
          const int left = (c == channels.columns - 1 ? channels.last_lanes : kWords) - first;
          if (left <= 0) continue;
          const Value sum =
              words[r * static_cast<size_t>(channels.columns) + static_cast<size_t>(c)];
          place.channel = e.add(channels.channel, int64_t{c} * kWords + first);
          place.valid_lanes = std::min(left, lanes);
          place.follows = c > 0 || first > 0;
          const Value initial =
              e.load(e.offset(e.offset(b.constants, plan.initial), e.multiply(place.channel, 4)),
                     Element::i32, lanes);
          batch.add(e.add(e.widen_unsigned(e.slice(sum, first, lanes), Element::i32), initial),
                    place);
        }
      batch.emit();
    }
  };
  const Variable input = e.variable(b.input);
  KernelBuffers walked = b;
  walked.input = b.scratch;
  const auto body = [&](const EmitTiles& emit_tiles, const ChannelTile& channels) {
    emit_tiles([&](const Tile& tile) {
      tails(
          tile, channels,
          tile_sums(e, plan, b.constants, tile.pixels, pitch, channels.columns, channels.weights));
    });
  };
  const int64_t width = int64_t{plan.tiles.columns} * kWords;
  const Value indices = e.offset(b.constants, plan.indices);
  emit_walk(
      e, plan.geometry, v.rows, walked.input, b.scratch, e.offset(b.constants, plan.pixels),
      [&](const EmitTiles& emit_tiles) {
        builder.sample(b.scratch, e.get(input));
        e.set(input, e.offset(e.get(input), w.h * w.w * w.c));
        emit_channel_tiles(
            e, plan.split, plan.tiles.full,
            [&](Value t) {
              body(emit_tiles,
                   {plan.tiles.columns, kWords, e.multiply(t, width),
                    e.offset(indices, e.multiply(t, plan.tiles.tile_bytes(plan.tiles.columns)))});
            },
            plan.tiles.rest_columns > 0,
            [&] {
              body(emit_tiles, {plan.tiles.rest_columns, plan.tiles.rest_lanes,
                                e.integer(plan.tiles.full * width),
                                e.offset(indices, plan.tiles.full *
                                                      plan.tiles.tile_bytes(plan.tiles.columns))});
            });
      },
      plan.split);
}

}  // namespace

extern constinit const KernelDef conv_table_wide{
    .name = "conv_table_wide",
    .doc =
        "Convolution, weights -1, 0, 1: lookups in tables of 32 exact sums, two to a vector, for "
        "32 channels at once.",
    .source = "own; low-bit kernel survey, 3, at the width of VBMI",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .weight_bits = 3};

}  // namespace qloom::kernels
