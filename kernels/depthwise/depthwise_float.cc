// kernels/depthwise/depthwise_float.cc: depthwise convolution whose sum is a float32, channels in
// the lanes.
//
//   y[n] = f32(Σ_t f64(a_t[n/m])·f64(w_t[n]))    in ascending order of taps, m: multiplier
//
// As conv_float.cc: products are exact in float64, the sum is rounded once. Where m > 1 the input
// is copied with every channel repeated m times.
//
// Source: own. The order is that of the interpreter.

#include <algorithm>

#include "graph/support/error.h"
#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Element;
using jit::Emitter;
using jit::Value;
using jit::Variable;

constexpr int kLargestMultiplier = 8;

int64_t taps_of(const Window& w) { return w.kernel_h * w.kernel_w; }

Verdict match(const Query& q) {
  if (Verdict v = has_float_weights(q); !v) return v;
  if (q.window.groups != q.window.c)
    return Verdict::no(q.window.groups, " groups of ", q.window.c,
                       " channels, this kernel needs depthwise");
  if (q.window.n > kLargestMultiplier * q.window.c)
    return Verdict::no("multiplier ", q.window.n / q.window.c, ", this kernel takes at most ",
                       kLargestMultiplier);
  return Verdict::yes();
}

Storage input_storage(const Query&) { return Storage::f32(); }

struct Plan {
  Geometry geometry;
  int lanes = 8;
  int64_t blocks = 0;  ///< vectors of channels, the last one perhaps not full
  int last_lanes = 8;  ///< valid ones
  int64_t weights = 0, taps = 0, pixels = 0, tail = 0;
  [[nodiscard]] int64_t block_bytes(const Window& w) const { return taps_of(w) * lanes * 8; }
};

Plan plan_of(const Query& q, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  plan.geometry = geometry_of(w, Storage::f32(), static_cast<int>(w.n / w.c));
  plan.lanes = channel_lanes(target);
  plan.blocks = (w.n + plan.lanes - 1) / plan.lanes;
  plan.last_lanes = static_cast<int>(w.n - (plan.blocks - 1) * plan.lanes);
  Places places;
  plan.weights = places.next(plan.blocks * plan.block_bytes(w));
  plan.taps = places.next(taps_of(w) * 4);
  plan.pixels = places.next(plan.geometry.linear ? 0 : plan.geometry.positions() * 4);
  plan.tail = places.next(0);
  return plan;
}

std::vector<Variant> variants(const Query& q, const jit::Target&) { return row_variants(q); }

std::vector<uint8_t> pack(const Query& q, const Variant&, const jit::Target& target) {
  const Plan plan = plan_of(q, target);
  const Window& w = q.window;
  const auto values = q.weight_values->f32();
  std::vector<double> packed;
  for (int64_t block = 0; block < plan.blocks; ++block)
    for (int64_t t = 0; t < taps_of(w); ++t)
      for (int64_t n = block * plan.lanes; n < (block + 1) * plan.lanes; ++n)
        packed.push_back(n < w.n ? values[static_cast<size_t>(t * w.n + n)] : 0);
  std::vector<uint8_t> out;
  qloom_assert(append(out, packed) == plan.weights, q.name, ": weights misplaced");
  std::vector<int32_t> taps;
  for (int64_t t = 0; t < taps_of(w); ++t)
    taps.push_back(static_cast<int32_t>(plan.geometry.tap_offset(t / w.kernel_w, t % w.kernel_w)));
  qloom_assert(append(out, taps) == plan.taps, q.name, ": tap table misplaced");
  qloom_assert(append(out, pixel_table(plan.geometry)) == plan.pixels, q.name,
               ": pixel table misplaced");
  append_tail(out, *q.tail, w.n, plan.lanes);
  return out;
}

Split split(const Query& q, const Variant& v, const Plan& plan) {
  return split_of(q, plan.geometry, v.rows, plan.blocks);
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return split(q, v, plan_of(q, target)).items;
}

int64_t scratch_bytes(const Query& q, const Variant&, const jit::Target& target) {
  return plan_of(q, target).geometry.scratch_bytes;
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, e.target());
  const Tail& tail = *q.tail;
  const Window& w = q.window;
  const TailLayout layout = lay_out_tail(tail, w.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, plan.geometry.copied);
  const Value tables = e.offset(b.constants, plan.tail);
  const Split cut = split(q, v, plan);
  emit_clear_bits(e, q, plan.geometry, cut, b.outputs);

  auto channel_block = [&](const EmitTiles& emit_tiles, Value block, int valid) {
    const Value channel = e.multiply(block, plan.lanes);
    const Value weights =
        e.offset(e.offset(b.constants, plan.weights), e.multiply(block, plan.block_bytes(w)));
    emit_tiles([&](const Tile& tile) {
      std::vector<Variable> sums;
      std::vector<Value> inputs;
      for (const Value pixel : tile.pixels) {
        inputs.push_back(e.offset(pixel, e.multiply(channel, 4)));
        sums.push_back(e.variable(e.zeros(Element::f64, plan.lanes)));
      }
      auto tap = [&](Value t) {
        const Value entry =
            e.load(e.offset(e.offset(b.constants, plan.taps), e.multiply(t, 4)), Element::i32);
        const Value shift = e.widen_signed(entry, Element::i64);
        const Value by =
            e.load(e.offset(weights, e.multiply(t, plan.lanes * 8)), Element::f64, plan.lanes);
        for (size_t r = 0; r < inputs.size(); ++r) {
          const Value a = e.to_f64(e.load(e.offset(inputs[r], shift), Element::f32, plan.lanes));
          e.set(sums[r], e.add_exact_product(e.get(sums[r]), a, by));
        }
      };
      if (taps_of(w) == 1)
        tap(e.integer(0));
      else
        e.loop("taps", e.integer(0), e.integer(taps_of(w)), 1, 0, tap);
      for (size_t r = 0; r < inputs.size(); ++r) {
        TailPlace place = place_at(e, tail, tables, b.operands, b.outputs,
                                   e.add(tile.first, static_cast<int64_t>(r)), w.n);
        place.channel = channel;
        place.valid_lanes = valid;
        emit_tail(e, tail, layout, e.to_f32(e.get(sums[r])), place);
      }
    });
  };
  emit_walk(
      e, plan.geometry, v.rows, b.input, b.scratch, e.offset(b.constants, plan.pixels),
      [&](const EmitTiles& emit_tiles) {
        const bool partial = plan.last_lanes < plan.lanes;
        emit_channel_tiles(
            e, cut, plan.blocks - (partial ? 1 : 0),
            [&](Value block) { channel_block(emit_tiles, block, plan.lanes); }, partial,
            [&] { channel_block(emit_tiles, e.integer(plan.blocks - 1), plan.last_lanes); });
      },
      cut);
}

}  // namespace

extern constinit const KernelDef depthwise_float{
    .name = "depthwise_float",
    .doc = "Depthwise convolution with float32 sums, added in float64 in ascending order.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true};

}  // namespace qloom::kernels
