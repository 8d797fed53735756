// kernels/conv/conv_float.cc: convolution and dense whose sum is a float32: float32 values times
// weights, whatever either of them is (float32, or codes on steps that no sum shares).
//
//   y[n] = f32(Σ_k f64(a_k)·f64(w_k[n]))     in ascending order of (row, column, input channel)
//
// Products of float32 are exact in float64, so that a fused multiply-add and two operations give
// the same; the sum is rounded once to float32. Taps outside of the image add 0·w = ±0, which
// changes no sum that began at +0, because weights are finite.
//
// Layout. Each lane is an output channel; weights lie as float64 [channel tile][k][column][lane]. K
// is cut into units of one to eight neighbouring values; a small table says where each begins.
//
// Source: own. The order is that of the interpreter.

#include <algorithm>
#include <array>
#include <span>

#include "graph/support/error.h"
#include "kernels/conv/channel_tiles.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Element;
using jit::Emitter;
using jit::Value;
using jit::Variable;

constexpr int64_t kLongestUnit = 8;

Verdict match(const Query& q) {
  if (Verdict v = has_float_weights(q); !v) return v;
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

Storage input_storage(const Query&) { return Storage::f32(); }

/// Everything that pack and emit must agree on.
struct Plan {
  Geometry geometry;
  int lanes = 8;
  int64_t run = 0, runs = 0;  ///< neighbouring values, and how many such runs: rows or taps
  bool whole_rows = false;
  int64_t unit = 1, units = 0;
  ChannelTiles tiles;
  int64_t weights = 0, steps = 0, pixels = 0, tail = 0;

  [[nodiscard]] int64_t terms() const { return run * runs; }
};

Plan plan_of(const Query& q, const Variant& v, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  plan.geometry = geometry_of(w, Storage::f32());
  plan.lanes = channel_lanes(target);
  plan.whole_rows = w.groups == 1 && w.dilation_w == 1;
  plan.run = plan.whole_rows ? w.kernel_w * w.c : w.c / w.groups;
  plan.runs = plan.whole_rows ? w.kernel_h : w.kernel_h * w.kernel_w;
  // At least two units, so that the tail, which may spill, is no part of the innermost loop.
  plan.unit = std::clamp<int64_t>(plan.terms() / 2, 1, kLongestUnit);
  while (plan.run % plan.unit != 0) --plan.unit;
  plan.units = plan.terms() / plan.unit;
  plan.tiles = channel_tiles(w, plan.lanes, v.columns, plan.terms() * plan.lanes * 8);
  Places places;
  plan.weights = places.next(plan.tiles.bytes());
  plan.steps = places.next(plan.units * 4);
  plan.pixels = places.next(plan.geometry.linear ? 0 : plan.geometry.positions() * 4);
  plan.tail = places.next(0);
  return plan;
}

std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const int lanes = channel_lanes(target);
  const int64_t vectors = (q.window.n / q.window.groups + lanes - 1) / lanes;
  const int64_t outputs = q.window.is_dense() ? 16 : q.window.out_h * q.window.out_w;
  // A sum takes two registers.
  using Shape = std::array<int, 2>;
  constexpr std::array<Shape, 7> kSixteen{{{3, 2}, {6, 1}, {4, 1}, {2, 2}, {2, 1}, {1, 2}, {1, 1}}};
  constexpr std::array<Shape, 10> kThirtyTwo{
      {{6, 2}, {3, 4}, {12, 1}, {8, 1}, {4, 2}, {4, 1}, {2, 2}, {1, 4}, {1, 2}, {1, 1}}};
  const std::span<const Shape> shapes = target.vector_bytes >= 64
                                            ? std::span<const Shape>(kThirtyTwo)
                                            : std::span<const Shape>(kSixteen);
  std::vector<Variant> list;
  for (const auto& [rows, columns] : shapes)
    if (rows <= outputs && columns <= vectors) list.push_back({rows, columns, 0});
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v, target);
  const Window& w = q.window;
  const auto values = q.weight_values->f32();
  std::vector<double> packed;
  packed.reserve(static_cast<size_t>(plan.tiles.bytes() / 8));
  const int64_t group_n = plan.tiles.group_n;
  plan.tiles.for_each([&](int64_t group, int64_t first, int columns) {
    for (int64_t k = 0; k < plan.terms(); ++k)
      for (int64_t n = first; n < first + int64_t{columns} * plan.lanes; ++n)
        packed.push_back(n < group_n ? values[static_cast<size_t>(k * w.n + group * group_n + n)]
                                     : 0);
  });
  std::vector<uint8_t> out;
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");
  std::vector<int32_t> steps;
  for (int64_t u = 0; u < plan.units; ++u) {
    const int64_t k = u * plan.unit, run = k / plan.run;
    const int64_t start = plan.whole_rows
                              ? plan.geometry.tap_offset(run, 0)
                              : plan.geometry.tap_offset(run / w.kernel_w, run % w.kernel_w);
    steps.push_back(static_cast<int32_t>(start + k % plan.run * 4));
  }
  qloom_assert(append(out, steps) == plan.steps, q.name, ": step table misplaced");
  qloom_assert(append(out, pixel_table(plan.geometry)) == plan.pixels, q.name,
               ": pixel table misplaced");
  append_tail(out, *q.tail, w.n, plan.lanes);
  return out;
}

Split split(const Query& q, const Variant& v, const Plan& plan) {
  return split_of(q, plan.geometry, v.rows, plan.tiles.to_cut());
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return split(q, v, plan_of(q, v, target)).items;
}

int64_t scratch_bytes(const Query& q, const Variant&, const jit::Target&) {
  return geometry_of(q.window, Storage::f32()).scratch_bytes;
}

/// Sums of one tile: rows × columns vectors of f32.
std::vector<Value> emit_sums(Emitter& e, const Plan& plan, Value constants,
                             std::span<const Value> pixels, int columns, Value weights) {
  std::vector<Variable> sums;
  for (size_t i = 0; i < pixels.size() * static_cast<size_t>(columns); ++i)
    sums.push_back(e.variable(e.zeros(Element::f64, plan.lanes)));
  const int64_t step_bytes = int64_t{columns} * plan.lanes * 8;
  auto unit = [&](Value index) {
    const Value entry =
        e.load(e.offset(e.offset(constants, plan.steps), e.multiply(index, 4)), Element::i32);
    const Value input = e.widen_signed(entry, Element::i64);
    const Value row = e.offset(weights, e.multiply(index, plan.unit * step_bytes));
    for (int64_t s = 0; s < plan.unit; ++s) {
      std::vector<Value> w;
      for (int64_t c = 0; c < columns; ++c)
        w.push_back(
            e.load(e.offset(row, s * step_bytes + c * plan.lanes * 8), Element::f64, plan.lanes));
      for (size_t r = 0; r < pixels.size(); ++r) {
        const Value at = e.offset(e.offset(pixels[r], input), 4 * s);
        const Value a = e.splat(e.to_f64(e.load(at, Element::f32)), plan.lanes);
        for (size_t c = 0; c < w.size(); ++c) {
          const Variable sum = sums[r * w.size() + c];
          e.set(sum, e.add_exact_product(e.get(sum), a, w[c]));
        }
      }
    }
  };
  if (plan.units == 1)
    unit(e.integer(0));
  else
    e.loop("k", e.integer(0), e.integer(plan.units), 1, 0, unit);
  std::vector<Value> result;
  for (const Variable sum : sums) result.push_back(e.to_f32(e.get(sum)));
  return result;
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v, e.target());
  const Tail& tail = *q.tail;
  const Window& w = q.window;
  const TailLayout layout = lay_out_tail(tail, w.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, plan.geometry.copied);
  const Value tables = e.offset(b.constants, plan.tail);
  const Split cut = split(q, v, plan);
  emit_clear_bits(e, q, plan.geometry, cut, b.outputs);

  auto body = [&](const EmitTiles& emit_tiles, const ChannelTile& channels) {
    emit_tiles([&](const Tile& tile) {
      const std::vector<Value> sums =
          emit_sums(e, plan, b.constants, tile.pixels, channels.columns, channels.weights);
      emit_tile_tails(e, q, layout, tables, b, tile, channels, [&](size_t r, int c) {
        return sums[r * static_cast<size_t>(channels.columns) + static_cast<size_t>(c)];
      });
    });
  };
  emit_walk_channels(e, plan.geometry, v.rows, b, e.offset(b.constants, plan.pixels),
                     e.offset(b.constants, plan.weights), plan.tiles, cut, body);
}

}  // namespace

extern constinit const KernelDef conv_float{
    .name = "conv_float",
    .doc =
        "Conv and dense with float32 sums: products added in float64 in ascending order, rounded "
        "once; output channels in the lanes.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 1.15, .zen5 = 3}};

}  // namespace qloom::kernels
