// kernels/conv/winograd/conv_winograd.cc: 3×3 convolution with stride 1 by Winograd's minimal
// filtering in integers: 16 products for four outputs instead of 36.
//
// For outputs 2×2, F(2×2, 3×3) of Lavin and Gray, Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, where
//   Bᵀ d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)
//   2 G g = (2 g0, g0 + g1 + g2, g0 - g1 + g2, 2 g2)
//   Aᵀ m = (m0 + m1 + m2, m1 - m2 - m3)
// With 2 G instead of G nothing is divided before the end: the sums are 4 Y, exactly.
//
// 1. Per strip of two output rows: four rows of pixels become 12 rows of bytes, *planes* A, S and D
//    (d0 - d2, d0 + d1, d1 - d0 at every pixel) of each of the four vertical combinations. All of
//    them exist at every pixel, so a tile of 2×2 outputs may begin anywhere and no shuffle is
//    needed. What may be negative is stored plus twice the largest byte.
// 2. Per vector of output channels and group of tiles, for each vertical combination (*phase*):
//    sums over the input channels of the four horizontal combinations, by dot products; Aᵀ along
//    the row. Sums begin at what the stored offset and the input's zero add up to, negated.
// 3. Aᵀ down the column, a shift by two, the tail.
//
// Source: Lavin, Gray, Fast Algorithms for Convolutional Neural Networks (2015), 4.1; in integers:
// own.

#include <algorithm>
#include <array>
#include <cstdlib>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "kernels/conv/channel_tiles.h"
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

constexpr int kPoints = 4;   ///< of a transform along one axis
constexpr int kOutputs = 2;  ///< of a tile along one axis
constexpr int kTaps = 3;
constexpr int kLongestUnit = 4;              ///< steps that are written out
constexpr int64_t kBandBytes = 24 << 10;     ///< of planes that all channels read in turn
constexpr int64_t kLargestWeight = 127;      ///< of transformed weights
constexpr int64_t kLargestActivation = 255;  ///< of transformed activations, as stored
enum Plane : uint8_t { kApart, kSum, kDifference };
constexpr int kPlanes = 3;
/// Where horizontal point j lies, from a tile's first pixel.
constexpr std::array<Plane, kPoints> kPlaneOf{kApart, kSum, kDifference, kApart};
constexpr std::array<int, kPoints> kPixelOf{0, 1, 1, 1};

/// 2 G g.
std::array<int64_t, kPoints> transform(const std::array<int64_t, kTaps>& g) {
  return {2 * g[0], g[0] + g[1] + g[2], g[0] - g[1] + g[2], 2 * g[2]};
}

/// Transformed weights of one pair of channels, by vertical and horizontal point.
using Points = std::array<std::array<int64_t, kPoints>, kPoints>;
Points transformed(const Query& q, int64_t c, int64_t n) {
  Points points;
  transform_weights(q, c, n, transform, [&](size_t i, const auto& row) { points[i] = row; });
  return points;
}

/// Added to point (i, j) of the activations so that none is negative; `top`: largest byte.
int64_t offset_of(size_t i, size_t j, int64_t top) { return i == 1 && j == 1 ? 0 : 2 * top; }

/// What pack and emit agree on.
struct Plan {
  Geometry geometry;
  Strips strips;
  Split split;
  int64_t top = 0;
  int64_t steps = 0, unit = 1;  ///< dwords of channels; of an iteration
  ChannelTiles tiles;
  int tile_outputs = 2;  ///< of a row
  int64_t row_bytes = 0, plane_bytes = 0, strip_bytes = 0;
  int64_t planes = 0, sums = 0, scratch = 0;  ///< in scratch
  int64_t weights = 0, initial = 0, initial_pitch = 0, tail = 0;

  [[nodiscard]] int64_t vector_bytes() const { return int64_t{4} * tiles.lanes; }
  /// Weights of one phase of a vector of channels.
  [[nodiscard]] int64_t phase_bytes() const { return steps * kPoints * vector_bytes(); }
};

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  Geometry& g = plan.geometry;
  g = geometry_of(w, q.input_storage);
  g.linear = false;
  plan.top = largest_byte(q, q.input_storage);
  plan.steps = (w.c + 3) / 4;
  for (int64_t unit = 1; unit <= kLongestUnit; ++unit)
    if (plan.steps % unit == 0) plan.unit = unit;
  const int lanes = channel_lanes(target);
  plan.tile_outputs = kOutputs * v.rows;
  plan.row_bytes = g.columns * g.pixel_bytes;
  // A vector may begin in the last pixel, a dword reach beyond it.
  plan.plane_bytes =
      (w.out_w * w.c + 2 * target.vector_bytes - 1) / target.vector_bytes * target.vector_bytes;
  plan.strip_bytes = kPoints * kPlanes * plan.plane_bytes;
  plan.strips = strips_of(w, kOutputs, plan.strip_bytes, kBandBytes);
  plan.split = split_of(q, g, plan.strips);
  plan.tiles = channel_tiles(w, lanes, 1, kPoints * kPoints * plan.steps * int64_t{4} * lanes);
  Places scratch;
  scratch.next(g.scratch_bytes + 2 * kSlackBytes);
  plan.planes = scratch.next(plan.strips.band * plan.strip_bytes);
  plan.sums = scratch.next(int64_t{kPoints} * plan.tile_outputs * plan.vector_bytes());
  plan.scratch = scratch.next(0);
  Places places;
  plan.weights = places.next(plan.tiles.bytes());
  plan.initial_pitch = (w.n + lanes - 1) / lanes * lanes + lanes;
  plan.initial = places.next(kPoints * kPoints * plan.initial_pitch * 4);
  plan.tail = places.next(0);
  return plan;
}

/// Sums of two neighbouring products stay within int16, so that any lowering is exact.
bool pairs_fit(const Query& q, int64_t top) {
  for (int64_t n = 0; n < q.window.n; ++n) {
    Points before{};
    for (int64_t c = 0; c < q.window.c; ++c) {
      const Points points = transformed(q, c, n);
      for (size_t i = 0; i < kPoints; ++i)
        for (size_t j = 0; j < kPoints; ++j) {
          const int64_t pair = std::abs(points[i][j]) + (c % 2 == 1 ? std::abs(before[i][j]) : 0);
          if (pair * 4 * top > INT16_MAX) return false;
        }
      before = points;
    }
  }
  return true;
}

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  const Window& w = q.window;
  if (q.root != &ops::conv || w.kernel_h != kTaps || w.kernel_w != kTaps)
    return Verdict::no("a kernel of ", w.kernel_h, "×", w.kernel_w, ", this one takes 3×3");
  if (w.stride_h != 1 || w.stride_w != 1 || w.dilation_h != 1 || w.dilation_w != 1 || w.groups != 1)
    return Verdict::no("strides, dilation or groups other than 1");
  if (w.out_h < 2 || w.out_w < 2)
    return Verdict::no(w.out_h, "×", w.out_w, " outputs, this kernel computes tiles of 2×2");
  const Storage storage = plain_storage(q.input);
  if (storage.kind != Storage::Kind::bytes)
    return Verdict::no("input is ", q.input, ", this kernel takes bytes");
  const int64_t top = largest_byte(q, storage);
  if (4 * top > kLargestActivation)
    return Verdict::no("input bytes reach ", top, ", sums of four of them leave a byte");
  constexpr int64_t kMost = INT32_MAX / 4;  // four times a sum
  for (size_t i = 0; i < q.accumulator_lo.size(); ++i)
    if (q.accumulator_lo[i] < -kMost || q.accumulator_hi[i] > kMost)
      return Verdict::no("accumulator of channel ", i, " reaches [", q.accumulator_lo[i], ", ",
                         q.accumulator_hi[i], "], this kernel has int32 for four times as much");
  const CodeRange range = weight_range(q);
  const int64_t most = std::max(-range.lo, range.hi);
  if (2 * 2 * most > kLargestWeight)
    return Verdict::no("weight codes reach [", range.lo, ", ", range.hi,
                       "], four times that leaves a byte");
  const bool certain = kTaps * kTaps * most <= kLargestWeight;
  if (!certain)
    for (int64_t n = 0; n < w.n; ++n)
      for (int64_t c = 0; c < w.c; ++c)
        for (const auto& row : transformed(q, c, n))
          for (const int64_t point : row)
            if (std::abs(point) > kLargestWeight)
              return Verdict::no("a transformed weight is ", point, ", beyond a byte");
  const bool pairs_certain = 2 * kTaps * kTaps * most * 4 * top <= INT16_MAX;
  if (!q.has_dot() && !pairs_certain && !pairs_fit(q, top))
    return Verdict::no("pair sums of transformed codes leave 16 bits");
  return Verdict::yes();
}

Storage input_storage(const Query& q) { return plain_storage(q.input); }

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  // Four sums a tile: of 32 registers or 16. Two vectors of channels gained nothing.
  const int registers = target.lowering == jit::Lowering::avx512 ? 28 : 12;
  std::vector<Variant> list;
  for (const int rows : {4, 7, 5, 6, 3, 2, 1}) {
    if (2 * rows > q.window.out_w || kPoints * rows > registers) continue;
    // Longer groups than four tiles only where they fit the row.
    if (rows > 4 && q.window.out_w % (2 * rows) != 0) continue;
    list.push_back({rows, 1, 0});
  }
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const Window& w = q.window;
  std::vector<Points> points;  // [c][n]
  points.reserve(static_cast<size_t>(w.c * w.n));
  for (int64_t c = 0; c < w.c; ++c)
    for (int64_t n = 0; n < w.n; ++n) points.push_back(transformed(q, c, n));
  std::vector<uint8_t> packed;
  packed.reserve(static_cast<size_t>(plan.tiles.bytes()));
  plan.tiles.for_each([&](int64_t, int64_t first, int) {
    for (size_t i = 0; i < kPoints; ++i)
      for (int64_t step = 0; step < plan.steps; ++step)
        for (size_t j = 0; j < kPoints; ++j)
          for (int64_t n = first; n < first + plan.tiles.lanes; ++n)
            for (int64_t c = step * 4; c < step * 4 + 4; ++c)
              packed.push_back(
                  n < w.n && c < w.c
                      ? static_cast<uint8_t>(points[static_cast<size_t>(c * w.n + n)][i][j])
                      : 0);
  });
  // What offsets add to the sum of a point; the zero's part of 4 Y goes to (1, 1), which is in all
  // outputs.
  const std::vector<int32_t> zeros = initial_sums(q, plan.initial_pitch);
  std::vector<int32_t> initial;
  for (size_t i = 0; i < kPoints; ++i)
    for (size_t j = 0; j < kPoints; ++j)
      for (int64_t n = 0; n < plan.initial_pitch; ++n) {
        int64_t sum = i == 1 && j == 1 ? int64_t{4} * zeros[static_cast<size_t>(n)] : 0;
        for (int64_t c = 0; c < w.c && n < w.n; ++c)
          sum -= offset_of(i, j, plan.top) * points[static_cast<size_t>(c * w.n + n)][i][j];
        initial.push_back(static_cast<int32_t>(sum));
      }
  std::vector<uint8_t> out;
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");
  qloom_assert(append(out, initial) == plan.initial, q.name, ": initial sums misplaced");
  append_tail(out, *q.tail, w.n, plan.tiles.lanes);
  return out;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).scratch;
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return plan_of(q, v, target).split.items;
}

/// A strip's planes meet a tile of channels; the band's other planes wait in the second level.
int64_t swept_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  return plan.strip_bytes + plan.tiles.tile_bytes(1);
}

/// Emits the planes of one strip, from the first of its four rows of pixels.
void emit_planes(Emitter& e, const Plan& plan, Value to, Value from) {
  const int lanes = e.bytes();
  const int64_t pixel = plan.geometry.pixel_bytes;
  const Value offset = e.splat(e.integer(2 * plan.top, Element::i8), lanes);
  e.loop("planes", e.integer(0), e.integer(plan.geometry.window.out_w * pixel), lanes, 0,
         [&](Value at) {
           // Vertical points at three neighbouring pixels.
           std::array<std::array<Value, kTaps>, kPoints> points;
           for (int64_t k = 0; k < kTaps; ++k) {
             std::array<Value, kPoints> d;
             for (size_t row = 0; row < kPoints; ++row)
               d[row] = e.load(e.offset(e.offset(from, at),
                                        static_cast<int64_t>(row) * plan.row_bytes + k * pixel),
                               Element::i8, lanes);
             const auto i = static_cast<size_t>(k);
             points[0][i] = e.subtract(d[0], d[2]);
             points[1][i] = e.add(d[1], d[2]);
             points[2][i] = e.subtract(d[2], d[1]);
             points[3][i] = e.subtract(d[1], d[3]);
           }
           for (size_t i = 0; i < kPoints; ++i) {
             const auto& p = points[i];
             const Value base = e.offset(to, static_cast<int64_t>(i) * kPlanes * plan.plane_bytes);
             const auto store = [&](Plane plane, Value v) {
               e.store(e.offset(e.offset(base, at), plane * plan.plane_bytes), v);
             };
             const Value first = e.add(p[0], offset), second = e.add(p[1], offset);
             store(kApart, e.subtract(first, p[2]));
             store(kSum, i == 1 ? e.add(p[0], p[1]) : e.add(first, p[1]));
             store(kDifference, e.subtract(second, p[0]));
           }
         });
}

/// Emits the four rows of sums of a group of tiles: Aᵀ along the row done, one vector for each
/// phase and output of the row. `planes`: at the group's first pixel.
void emit_phases(Emitter& e, const Plan& plan, int rows, const ChannelTile& channels, Value planes,
                 Value initial, Value sums) {
  const int lanes = plan.tiles.lanes;
  const int64_t vector = plan.vector_bytes(), pixel = plan.geometry.pixel_bytes;
  const auto at = [&](int tile, size_t j) { return static_cast<size_t>(tile) * kPoints + j; };
  e.loop("phases", e.integer(0), e.integer(kPoints), 1, 0, [&](Value phase) {
    const Value from = e.offset(planes, e.multiply(phase, kPlanes * plan.plane_bytes));
    const Value weights = e.offset(channels.weights, e.multiply(phase, plan.phase_bytes()));
    const Value begin = e.offset(initial, e.multiply(phase, kPoints * plan.initial_pitch * 4));
    std::vector<Variable> points(static_cast<size_t>(rows * kPoints));
    for (size_t j = 0; j < kPoints; ++j) {
      const Value first = e.load(e.offset(begin, static_cast<int64_t>(j) * plan.initial_pitch * 4),
                                 Element::i32, lanes);
      for (int t = 0; t < rows; ++t) points[at(t, j)] = e.variable(first);
    }
    const auto unit = [&](Value step) {
      const Value near = e.offset(from, e.multiply(step, 4));
      const Value packed = e.offset(weights, e.multiply(step, kPoints * vector));
      for (int64_t s = 0; s < plan.unit; ++s)
        for (size_t j = 0; j < kPoints; ++j) {
          const Value w = e.load(e.offset(packed, (s * kPoints + static_cast<int64_t>(j)) * vector),
                                 Element::i8, lanes * 4);
          for (int t = 0; t < rows; ++t) {
            const int64_t place =
                kPlaneOf[j] * plan.plane_bytes + (kOutputs * t + kPixelOf[j]) * pixel;
            const Value a = e.bitcast(
                e.load_splat(e.offset(near, place + 4 * s), Element::i32, lanes), Element::i8);
            const Variable sum = points[at(t, j)];
            e.set(sum, e.add_dot_u8s8(e.get(sum), a, w));
          }
        }
    };
    if (plan.steps == plan.unit)
      unit(e.integer(0));
    else
      e.loop("k", e.integer(0), e.integer(plan.steps), plan.unit, 0, unit);
    const Value to = e.offset(sums, e.multiply(phase, kOutputs * rows * vector));
    for (int t = 0; t < rows; ++t) {
      std::array<Value, kPoints> m;
      for (size_t j = 0; j < kPoints; ++j) m[j] = e.get(points[at(t, j)]);
      const Value left = e.add(m[0], e.add(m[1], m[2]));
      const Value right = e.subtract(e.subtract(m[1], m[2]), m[3]);
      e.store(e.offset(to, int64_t{kOutputs} * t * vector), left);
      e.store(e.offset(to, (int64_t{kOutputs} * t + 1) * vector), right);
    }
  });
}

/// Emits the tails of one group of tiles, whose upper left output is number `first` of all
/// samples'.
void emit_outputs(Emitter& e, const Query& q, const Plan& plan, const TailLayout& layout,
                  Value tables, const KernelBuffers& b, const ChannelTile& channels, Value sums,
                  Value first) {
  const int width = plan.tile_outputs;
  const Value shift = e.integer(2, Element::i32);
  for (int row = 0; row < kOutputs; ++row)
    emit_batched_tails(
        e, q, layout, tables, b, row == 0 ? first : e.add(first, q.window.out_w), width, channels,
        [&](int64_t r, int) {
          const auto point = [&](int phase) {
            return e.load(e.offset(sums, (int64_t{phase} * width + r) * plan.vector_bytes()),
                          Element::i32, plan.tiles.lanes);
          };
          const Value sum = row == 0 ? e.add(point(0), e.add(point(1), point(2)))
                                     : e.subtract(e.subtract(point(1), point(2)), point(3));
          return e.binary(Binary::shift_right_arithmetic, sum, shift);
        });
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Window& w = q.window;
  const Geometry& g = plan.geometry;
  const TailLayout layout = lay_out_tail(*q.tail, w.n, plan.tiles.lanes);
  const KernelBuffers b = kernel_buffers(e, *q.tail, true);
  const Value tables = e.offset(b.constants, plan.tail);
  const Value planes = e.offset(b.scratch, plan.planes), sums = e.offset(b.scratch, plan.sums);
  emit_bands(e, q, g, plan.split, plan.strips, b, [&](const Band& band) {
    const auto strips = [&](const std::function<void(Value, Value)>& body) {
      emit_strips(e, w, plan.strips, band, [&](Value row, Value y) {
        const Value slot = e.multiply(e.subtract(row, band.begin), plan.strip_bytes / kOutputs);
        body(y, e.offset(planes, slot));
      });
    };
    strips([&](Value y, Value to) {
      emit_planes(e, plan, to, e.offset(band.input, e.multiply(y, plan.row_bytes)));
    });
    const auto channels = [&](const ChannelTile& tile) {
      const Value initial =
          e.offset(e.offset(b.constants, plan.initial), e.multiply(tile.channel, 4));
      strips([&](Value y, Value from) {
        const Value row = e.add(band.before, e.multiply(y, w.out_w));
        e.loop("outputs", e.integer(0), e.integer(w.out_w), plan.tile_outputs, 0, [&](Value x) {
          if (w.out_w % plan.tile_outputs != 0)
            x = e.binary(Binary::min_signed, x, e.integer(w.out_w - plan.tile_outputs));
          emit_phases(e, plan, v.rows, tile, e.offset(from, e.multiply(x, g.pixel_bytes)), initial,
                      sums);
          emit_outputs(e, q, plan, layout, tables, b, tile, sums, e.add(row, x));
        });
      });
    };
    emit_group_tiles(e, {}, plan.tiles, e.offset(b.constants, plan.weights), Value{}, channels);
  });
}

}  // namespace

extern constinit const KernelDef conv_winograd{
    .name = "conv_winograd",
    .doc =
        "3×3 convolution with stride 1 of few bits: Winograd's F(2×2, 3×3) in integers, 16 "
        "products for four outputs instead of 36.",
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
    .over_counted = {.zen4 = 1.25, .zen5 = 1.25},
    .swept_bytes = swept_bytes};

}  // namespace qloom::kernels
