// kernels/conv/winograd/conv_winograd_4x4.cc: 3×3 convolution with stride 1 or 2 by Winograd's
// minimal filtering in integers, on tiles of 4×4 outputs: 36 products instead of 144 (with stride
// 2: 81), of 16-bit words.
//
// Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A with the matrices of minimal_filter.h along both axes. Sums are
// modulo 2^32. Outputs come multiplied by 9·2^k: the 9 goes by multiplication with its inverse
// modulo 2^32, the 2^k by a shift, so that outputs have but 32 - k bits, 6 or 2 fewer than the
// sums.
//
// Why words: codes of a byte in Bᵀ d B, and weights of up to ten bits in G g Gᵀ, leave a byte but
// not 16 bits. match computes how far both reach.
//
// 1. Per strip of four output rows, 6 (9) rows of pixels become 36 (81) planes of words, one for
//    each point of Bᵀ d B, [point][tile][input channel]: first down the columns, then along the
//    rows.
// 2. Per tile of output channels and group of tiles, for each point: sums over the input channels,
//    one matrix product; the sums of all points of a group wait in scratch.
// 3. Per tile Aᵀ down the columns, then for each row of outputs along it, the tail.

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "kernels/conv/channel_tiles.h"
#include "kernels/conv/winograd/minimal_filter.h"
#include "kernels/conv/winograd/strips.h"
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

constexpr int kOutputs = MinimalFilter::kOutputs;  ///< of a tile along one axis
constexpr int kTaps = MinimalFilter::kTaps;
constexpr int kLongestUnit = 4;         ///< steps that are written out
constexpr int64_t kNinth = 0x38e38e39;  ///< 9 · kNinth = 1 modulo 2^32
static_assert(static_cast<uint32_t>(9 * kNinth) == 1);

/// Transformed weights of one pair of channels, by vertical and horizontal point.
std::vector<int16_t> transformed(const Query& q, const MinimalFilter& f, int64_t c, int64_t n) {
  std::vector<int16_t> points;
  transform_weights(q, c, n, f.weights, [&](size_t, const std::vector<int64_t>& row) {
    for (const int64_t point : row) points.push_back(static_cast<int16_t>(point));
  });
  return points;
}

/// What pack and emit agree on.
struct Plan {
  Geometry geometry;
  const MinimalFilter* filter = nullptr;
  int64_t points = 0;  ///< of both axes
  Strips strips;
  Split split;
  int rows = 1;                 ///< tiles of a group
  int words = 8;                ///< input channels of a vector
  int64_t blocks = 0;           ///< vectors of input channels
  int64_t steps = 0, unit = 1;  ///< dwords of input channels; of an iteration
  ChannelTiles tiles;
  int64_t row_bytes = 0;
  int64_t row_tiles = 0;  ///< tiles of a strip
  int64_t tile_bytes = 0, plane_bytes = 0;
  /// In scratch: columns of a strip, then planes of a band, the first output of each of its tiles,
  /// sums of a group, columns of a tile's outputs.
  int64_t columns = 0, planes = 0, places = 0, sums = 0, halves = 0, row = 0, scratch = 0;
  int64_t weights = 0, factors = 0, tail = 0;

  [[nodiscard]] int64_t vector_bytes() const { return int64_t{4} * tiles.lanes; }
  [[nodiscard]] int64_t column_bytes() const { return int64_t{2} * words; }
  [[nodiscard]] int64_t image_columns() const {  ///< that the outputs of a row read
    return filter->stride * (geometry.window.out_w - 1) + kTaps;
  }
  [[nodiscard]] int64_t band_tiles() const { return strips.band * row_tiles; }
  /// Weights of one point of a tile of channels.
  [[nodiscard]] int64_t point_bytes(int columns) const { return steps * columns * vector_bytes(); }
};

/// Steps of an iteration: those that add the fewest, the most of them.
int64_t unit_of(int64_t steps, int64_t longest) {
  int64_t best = 1, fewest = steps + (steps + 7) / 8;  // a loop of single steps costs
  for (int64_t unit = 2; unit <= longest; ++unit) {
    const int64_t padded = (steps + unit - 1) / unit * unit;
    if (padded <= fewest) best = unit, fewest = padded;
  }
  return best;
}

/// Vector registers are 16, not 32.
bool has_sixteen(const jit::Target& target) {
  return target.lowering == jit::Lowering::avx2 || target.lowering == jit::Lowering::portable;
}

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  Geometry& g = plan.geometry;
  g = geometry_of(w, q.input_storage);
  g.linear = false;
  plan.filter = minimal_filter(w.stride_w);
  plan.points = int64_t{plan.filter->points} * plan.filter->points;
  plan.rows = v.rows;
  plan.words = target.vector_bytes / 2;
  while (plan.words > 8 && plan.words / 2 >= w.c) plan.words /= 2;
  plan.blocks = (w.c + plan.words - 1) / plan.words;
  plan.steps = (w.c + 1) / 2;
  const int64_t products = int64_t{v.rows} * v.columns;
  plan.unit = unit_of(plan.steps,
                      std::min<int64_t>(kLongestUnit, (has_sixteen(target) ? 32 : 96) / products));
  plan.steps = (plan.steps + plan.unit - 1) / plan.unit * plan.unit;
  plan.row_bytes = g.columns * g.pixel_bytes;
  plan.row_tiles = (w.out_w + kOutputs - 1) / kOutputs;
  // Words beyond the last vector belong to no channel.
  plan.tile_bytes = std::max(plan.blocks * plan.column_bytes(), 4 * plan.steps);
  plan.strips =
      strips_of(w, kOutputs, plan.points * plan.row_tiles * plan.tile_bytes, target.l2_bytes / 4);
  plan.split = split_of(q, g, plan.strips);
  const int64_t band_tiles = plan.band_tiles();
  // A group may reach beyond a band's last tile. An odd number of lines, so that the planes of a
  // tile do not share a set of the cache.
  const int64_t lines = ((band_tiles + v.rows - 1) * plan.tile_bytes + 63) / 64;
  plan.plane_bytes = (lines | 1) * 64;
  const int lanes = channel_lanes(target);
  plan.tiles = channel_tiles(w, lanes, v.columns, plan.points * plan.steps * int64_t{4} * lanes);
  Places scratch;
  scratch.next(g.scratch_bytes + 2 * kSlackBytes);
  plan.columns = scratch.next(plan.filter->points * plan.image_columns() * plan.column_bytes());
  plan.planes = scratch.next(plan.points * plan.plane_bytes);
  plan.places = scratch.next(band_tiles * 4);
  plan.sums = scratch.next(plan.points * v.rows * v.columns * plan.vector_bytes());
  plan.halves =
      scratch.next(int64_t{kOutputs} * plan.filter->points * v.columns * plan.vector_bytes());
  plan.row = scratch.next(int64_t{kOutputs} * v.columns * plan.vector_bytes());
  plan.scratch = scratch.next(0);
  Places places;
  plan.weights = places.next(plan.tiles.bytes());
  plan.factors = places.next(kOutputs * 4);
  plan.tail = places.next(0);
  return plan;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  const Window& w = q.window;
  if (q.root != &ops::conv || w.kernel_h != kTaps || w.kernel_w != kTaps)
    return Verdict::no("a kernel of ", w.kernel_h, "×", w.kernel_w, ", this one takes 3×3");
  const MinimalFilter* filter = minimal_filter(w.stride_w);
  if (filter == nullptr || w.stride_h != w.stride_w || w.dilation_h != 1 || w.dilation_w != 1 ||
      w.groups != 1)
    return Verdict::no("strides other than 1 and 2, dilation or groups");
  if (w.out_h < kOutputs || w.out_w < kOutputs)
    return Verdict::no(w.out_h, "×", w.out_w, " outputs, this kernel computes tiles of 4×4");
  if (plain_storage(q.input).kind != Storage::Kind::bytes)
    return Verdict::no("input is ", q.input, ", this kernel takes bytes");
  const int64_t bytes = int64_t{2} * filter->points * filter->points * w.c * w.n;
  if (bytes > filter->most_bytes)
    return Verdict::no("transformed weights of ", bytes, " bytes gain less than they cost to read");
  const int shift = 2 * filter->most_shift();
  const int64_t most = INT32_MAX >> shift;
  for (size_t i = 0; i < q.accumulator_lo.size(); ++i)
    if (q.accumulator_lo[i] < -most || q.accumulator_hi[i] > most)
      return Verdict::no("accumulator of channel ", i, " reaches [", q.accumulator_lo[i], ", ",
                         q.accumulator_hi[i], "], this kernel has int32 for ", 1 << shift,
                         " times as much");
  const int64_t growth = int64_t{filter->growth} * filter->growth;
  const CodeRange range = weight_range(q);
  if (growth * std::max(-range.lo, range.hi) > INT16_MAX)
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi, "], ", growth,
                       " times that leaves 16 bits");
  const CodeRange input{q.input.numeric.grid()->lo, q.input.numeric.grid()->hi};
  if (filter->reach * filter->reach * std::max(-input.lo, input.hi) > INT16_MAX)
    return Verdict::no("input is ", q.input, ", ", filter->reach * filter->reach,
                       " times that leaves 16 bits");
  return Verdict::yes();
}

Storage input_storage(const Query& q) { return plain_storage(q.input); }

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  // Measured: columns that share an activation gain more than groups without idle tiles.
  // clang-format off: a list
  constexpr std::array<std::array<int, 2>, 6> kSixteen{
      {{4, 2}, {5, 2}, {3, 3}, {7, 1}, {4, 1}, {1, 1}}};
  constexpr std::array<std::array<int, 2>, 10> kThirtyTwo{
      {{7, 2}, {4, 2}, {7, 3}, {4, 4}, {8, 3}, {8, 2}, {8, 1}, {7, 1}, {4, 1}, {1, 1}}};
  // clang-format on
  using Shapes = std::span<const std::array<int, 2>>;
  const Shapes shapes = has_sixteen(target) ? Shapes(kSixteen) : Shapes(kThirtyTwo);
  const Window& w = q.window;
  const int lanes = channel_lanes(target);
  const int64_t vectors = (w.n + lanes - 1) / lanes;
  const int64_t tiles = (w.out_h + kOutputs - 1) / kOutputs * ((w.out_w + kOutputs - 1) / kOutputs);
  std::vector<Variant> list;
  for (const auto& [rows, columns] : shapes) {
    if (rows > tiles || columns > vectors) continue;
    if (columns == 1 && rows > 4 && vectors > 1) continue;
    if (rows == 1 && !list.empty()) continue;
    list.push_back({rows, columns, 0});
  }
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const Window& w = q.window;
  std::vector<std::vector<int16_t>> points;  // [c][n]
  points.reserve(static_cast<size_t>(w.c * w.n));
  for (int64_t c = 0; c < w.c; ++c)
    for (int64_t n = 0; n < w.n; ++n) points.push_back(transformed(q, *plan.filter, c, n));
  std::vector<int16_t> packed;
  packed.reserve(static_cast<size_t>(plan.tiles.bytes() / 2));
  plan.tiles.for_each([&](int64_t, int64_t first, int columns) {
    for (int64_t point = 0; point < plan.points; ++point)
      for (int64_t step = 0; step < plan.steps; ++step)
        for (int64_t n = first; n < first + int64_t{columns} * plan.tiles.lanes; ++n)
          for (int64_t c = step * 2; c < step * 2 + 2; ++c)
            packed.push_back(
                n < w.n && c < w.c
                    ? points[static_cast<size_t>(c * w.n + n)][static_cast<size_t>(point)]
                    : int16_t{0});
  });
  std::vector<int32_t> factors;  // of each row of outputs
  for (const int shift : plan.filter->shift)
    factors.push_back(static_cast<int32_t>(kNinth << (plan.filter->most_shift() - shift)));
  std::vector<uint8_t> out;
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");
  qloom_assert(append(out, factors) == plan.factors, q.name, ": factors misplaced");
  append_tail(out, *q.tail, w.n, plan.tiles.lanes);
  return out;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).scratch;
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).split.items;
}

/// A tile of channels meets the planes of a group. Where there is but one group, nothing is read a
/// second time before all weights are.
int64_t swept_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const int64_t planes = plan.points * plan.rows * plan.tile_bytes;
  const bool once = plan.band_tiles() <= plan.rows;
  return planes + (once ? plan.tiles.bytes() : plan.tiles.tile_bytes(plan.tiles.columns));
}

/// Emits the planes of one strip, from the first of its rows of pixels; `to`: its first tile.
void emit_planes(Emitter& e, const Plan& plan, Value columns, Value to, Value from) {
  const Window& w = plan.geometry.window;
  const MinimalFilter& f = *plan.filter;
  const int64_t pixel = plan.geometry.pixel_bytes, column = plan.column_bytes();
  const int64_t row = plan.image_columns() * column;  // of columns
  const int zero = plan.geometry.storage.zero;
  const auto distance = [](size_t i, int64_t bytes) { return static_cast<int64_t>(i) * bytes; };
  e.loop("input channels", e.integer(0), e.integer(plan.blocks), 1, 0, [&](Value block) {
    const Value source = e.offset(from, e.multiply(block, plan.words));
    e.loop("columns", e.integer(0), e.integer(plan.image_columns()), 1, 0, [&](Value x) {
      const Value at = e.offset(source, e.multiply(x, pixel));
      std::vector<Value> d(static_cast<size_t>(f.points));
      for (size_t k = 0; k < d.size(); ++k) {
        const Value byte =
            e.load(e.offset(at, distance(k, plan.row_bytes)), Element::i8, plan.words);
        d[k] = e.widen_unsigned(byte, Element::i16);
        if (zero != 0) d[k] = e.subtract(d[k], e.splat(e.integer(zero, Element::i16), plan.words));
      }
      const std::vector<Value> points = f.inputs(e, d);
      const Value target = e.offset(columns, e.multiply(x, column));
      for (size_t i = 0; i < points.size(); ++i)
        e.store(e.offset(target, distance(i, row)), points[i]);
    });
    const Value first = e.offset(to, e.multiply(block, column));
    e.loop("tiles", e.integer(0), e.integer(plan.row_tiles), 1, 0, [&](Value t) {
      Value x = e.multiply(t, kOutputs);
      if (w.out_w % kOutputs != 0)
        x = e.binary(Binary::min_signed, x, e.integer(w.out_w - kOutputs));
      const Value at = e.offset(columns, e.multiply(x, f.stride * column));
      const Value target = e.offset(first, e.multiply(t, plan.tile_bytes));
      e.loop("points", e.integer(0), e.integer(f.points), 1, 0, [&](Value i) {
        const Value points_of = e.offset(at, e.multiply(i, row));
        std::vector<Value> d(static_cast<size_t>(f.points));
        for (size_t k = 0; k < d.size(); ++k)
          d[k] = e.load(e.offset(points_of, distance(k, column)), Element::i16, plan.words);
        const std::vector<Value> points = f.inputs(e, d);
        const Value planes = e.offset(target, e.multiply(i, f.points * plan.plane_bytes));
        for (size_t j = 0; j < points.size(); ++j)
          e.store(e.offset(planes, distance(j, plan.plane_bytes)), points[j]);
      });
    });
  });
}

/// Emits the sums of all points of a group of tiles, [point][tile][column]. `planes`: at the
/// group's first tile.
void emit_sums(Emitter& e, const Plan& plan, const ChannelTile& channels, Value planes,
               Value sums) {
  const int lanes = plan.tiles.lanes, columns = channels.columns, rows = plan.rows;
  const int64_t vector = plan.vector_bytes();
  const auto at = [&](int row, int column) {
    return static_cast<size_t>(row) * static_cast<size_t>(columns) + static_cast<size_t>(column);
  };
  e.loop("points", e.integer(0), e.integer(plan.points), 1, 0, [&](Value point) {
    const Value from = e.offset(planes, e.multiply(point, plan.plane_bytes));
    const Value weights = e.offset(channels.weights, e.multiply(point, plan.point_bytes(columns)));
    std::vector<Variable> results;
    for (int i = 0; i < rows * columns; ++i)
      results.push_back(e.variable(e.zeros(Element::i32, lanes)));
    const auto unit = [&](Value step) {
      const Value near = e.offset(from, e.multiply(step, 4));
      const Value packed = e.offset(weights, e.multiply(step, columns * vector));
      for (int64_t s = 0; s < plan.unit; ++s) {
        std::vector<Value> w;
        for (int c = 0; c < columns; ++c)
          w.push_back(
              e.load(e.offset(packed, (s * columns + c) * vector), Element::i16, lanes * 2));
        for (int r = 0; r < rows; ++r) {
          const Value a = e.bitcast(
              e.load_splat(e.offset(near, r * plan.tile_bytes + 4 * s), Element::i32, lanes),
              Element::i16);
          for (int c = 0; c < columns; ++c) {
            const Variable sum = results[at(r, c)];
            e.set(sum, e.add_dot_s16(e.get(sum), a, w[static_cast<size_t>(c)]));
          }
        }
      }
    };
    if (plan.steps == plan.unit)
      unit(e.integer(0));
    else
      e.loop("k", e.integer(0), e.integer(plan.steps), plan.unit, 0, unit);
    const Value to = e.offset(sums, e.multiply(point, rows * columns * vector));
    for (size_t i = 0; i < results.size(); ++i)
      e.store(e.offset(to, static_cast<int64_t>(i) * vector), e.get(results[i]));
  });
}

/// What the outputs of a tile need.
struct Outputs {
  const Query& q;
  const Plan& plan;
  const TailLayout& layout;
  const KernelBuffers& buffers;
  Value tables, factors, halves, row;
};

/// Emits the tails of one tile, whose upper left output is number `first` of all samples'. `sums`:
/// its own of the first point.
void emit_outputs(Emitter& e, const Outputs& o, const ChannelTile& channels, Value sums,
                  Value first) {
  const Plan& plan = o.plan;
  const int lanes = plan.tiles.lanes, columns = channels.columns;
  const int64_t vector = plan.vector_bytes(), group = plan.rows * columns * vector;
  const MinimalFilter& f = *plan.filter;
  const auto count = static_cast<size_t>(f.points);
  const int64_t half_row = f.points * columns * vector;
  e.loop("points", e.integer(0), e.integer(f.points), 1, 0, [&](Value j) {
    const Value from = e.offset(sums, e.multiply(j, group));
    const Value to = e.offset(o.halves, e.multiply(j, columns * vector));
    for (int c = 0; c < columns; ++c) {
      std::vector<Value> m(count);
      for (size_t i = 0; i < count; ++i)
        m[i] = e.load(e.offset(from, static_cast<int64_t>(i) * f.points * group + c * vector),
                      Element::i32, lanes);
      const std::vector<Value> y = f.outputs(e, m);
      for (size_t i = 0; i < kOutputs; ++i)
        e.store(e.offset(to, static_cast<int64_t>(i) * half_row + c * vector), y[i]);
    }
  });
  e.loop("output rows", e.integer(0), e.integer(kOutputs), 1, 0, [&](Value row) {
    const Value from = e.offset(o.halves, e.multiply(row, half_row));
    const Value factor = e.load_splat(e.offset(o.factors, e.multiply(row, 4)), Element::i32, lanes);
    e.loop("columns", e.integer(0), e.integer(columns), 1, 0, [&](Value c) {
      const Value at = e.multiply(c, vector);
      std::vector<Value> m(count);
      for (size_t j = 0; j < count; ++j)
        m[j] = e.load(e.offset(e.offset(from, at), static_cast<int64_t>(j) * columns * vector),
                      Element::i32, lanes);
      const std::vector<Value> y = f.outputs(e, m);
      for (size_t x = 0; x < kOutputs; ++x) {
        const Value shift = e.integer(f.most_shift() + f.shift[x], Element::i32);
        e.store(e.offset(e.offset(o.row, at), static_cast<int64_t>(x) * columns * vector),
                e.binary(Binary::shift_right_arithmetic, e.multiply(y[x], factor), shift));
      }
    });
    const Value position = e.add(first, e.multiply(row, o.q.window.out_w));
    emit_batched_tails(
        e, o.q, o.layout, o.tables, o.buffers, position, kOutputs, channels, [&](int64_t x, int c) {
          return e.load(e.offset(o.row, (x * columns + c) * vector), Element::i32, lanes);
        });
  });
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Window& w = q.window;
  const Geometry& g = plan.geometry;
  const TailLayout layout = lay_out_tail(*q.tail, w.n, plan.tiles.lanes);
  const KernelBuffers b = kernel_buffers(e, *q.tail, true);
  const Value columns = e.offset(b.scratch, plan.columns);
  const Value planes = e.offset(b.scratch, plan.planes), places = e.offset(b.scratch, plan.places);
  const Value sums = e.offset(b.scratch, plan.sums);
  const Outputs outputs{.q = q,
                        .plan = plan,
                        .layout = layout,
                        .buffers = b,
                        .tables = e.offset(b.constants, plan.tail),
                        .factors = e.offset(b.constants, plan.factors),
                        .halves = e.offset(b.scratch, plan.halves),
                        .row = e.offset(b.scratch, plan.row)};
  const double tiles_of_band =
      std::ceil(plan.strips.expected) * static_cast<double>(plan.row_tiles);
  const double groups_of_band = std::ceil(tiles_of_band / plan.rows);

  const auto strip = [&](Value slot, Value y, Value base) {
    emit_planes(e, plan, columns, e.offset(planes, e.multiply(slot, plan.tile_bytes)),
                e.offset(base, e.multiply(y, plan.filter->stride * plan.row_bytes)));
    const Value place = e.offset(places, e.multiply(slot, 4)), row = e.multiply(y, w.out_w);
    e.loop("places", e.integer(0), e.integer(plan.row_tiles), 1, 0, [&](Value t) {
      Value x = e.multiply(t, kOutputs);
      if (w.out_w % kOutputs != 0)
        x = e.binary(Binary::min_signed, x, e.integer(w.out_w - kOutputs));
      e.store(e.offset(place, e.multiply(t, 4)), e.narrow(e.add(row, x), Element::i32));
    });
  };
  const auto group = [&](const ChannelTile& tile, Value first, Value end, Value before) {
    emit_sums(e, plan, tile, e.offset(planes, e.multiply(first, plan.tile_bytes)), sums);
    const Value stop = e.binary(Binary::min_signed, end, e.add(first, plan.rows));
    e.loop("tiles", first, stop, 1, tiles_of_band / groups_of_band, [&](Value t) {
      const Value place =
          e.widen_signed(e.load(e.offset(places, e.multiply(t, 4)), Element::i32), Element::i64);
      emit_outputs(
          e, outputs, tile,
          e.offset(sums, e.multiply(e.subtract(t, first), tile.columns * plan.vector_bytes())),
          e.add(before, place));
    });
  };
  emit_bands(e, q, g, plan.split, plan.strips, b, [&](const Band& band) {
    const Variable tiles = e.variable(e.integer(0));
    emit_strips(e, w, plan.strips, band, [&](Value, Value y) {
      strip(e.get(tiles), y, band.input);
      e.set(tiles, e.add(e.get(tiles), plan.row_tiles));
    });
    const Value all = e.get(tiles);
    const auto channels = [&](const ChannelTile& tile) {
      e.loop("groups", e.integer(0), all, plan.rows, groups_of_band,
             [&](Value first) { group(tile, first, all, band.before); });
    };
    emit_group_tiles(e, {}, plan.tiles, e.offset(b.constants, plan.weights), Value{}, channels);
  });
}

}  // namespace

extern constinit const KernelDef conv_winograd_4x4{
    .name = "conv_winograd_4x4",
    .doc =
        "3×3 convolution with stride 1 or 2 of bytes, weights of up to ten bits: Winograd's "
        "minimal "
        "filtering on tiles of 4×4 outputs in integers, 36 or 81 products of words instead of 144.",
    .source =
        "Lavin, Gray, Fast Algorithms for Convolutional Neural Networks, 2015; in integers: own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 1.2, .zen5 = 1.2},
    .swept_bytes = swept_bytes};

}  // namespace qloom::kernels
