// kernels/pool/pool_bits.cc: maxima over windows of packed bits.
//
// The maximum of codes with two values is the OR of their bits, whether they stand for -1 and 1 or
// for 0 and 1: a word makes 64 channels at once. Cells outside of the image are 0 bits, the least
// code, and do not count. Where an output is the maximum itself, its words are written as they are;
// else they go to scratch and the tail reads them.
//
// Source: low-bit kernel survey, 3.1 (pooling on packed bits).

#include <algorithm>

#include "graph/ops_table.h"
#include "graph/support/error.h"
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

constexpr int64_t kMostTaps = 64;  ///< all written out
constexpr int kWordBytes = 8;

Verdict match(const Query& q) {
  if (q.root != &ops::pool && q.root != &ops::reduce)
    return Verdict::no("root is ",
                       q.root == nullptr ? std::string_view("elementwise") : q.root->name,
                       ", this kernel pools");
  if (q.pooling != Pooling::maximum) return Verdict::no("no maximum");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  if (q.f32_accumulator || !fits(q.input, Storage::bits()))
    return Verdict::no("input is ", q.input, ", this kernel takes packed bits");
  const int64_t taps = q.window.kernel_h * q.window.kernel_w;
  if (taps > kMostTaps)
    return Verdict::no(taps, " elements of a window, this kernel writes out at most ", kMostTaps);
  return has_near_samples(q);
}

Storage input_storage(const Query&) { return Storage::bits(); }

std::vector<Variant> variants(const Query& q, const jit::Target&) {
  std::vector<Variant> list;
  for (const int rows : {4, 1})
    if (rows == 1 || rows <= q.window.out_h * q.window.out_w) list.push_back({rows, 1, 0});
  return list;
}

struct Plan {
  Geometry geometry;
  Split split;
  bool direct = false;    ///< every output is the maximum, as bits
  int64_t run_bytes = 0;  ///< words of a pixel
  int64_t maxima = 0;     ///< in scratch: words of one output
  int64_t scratch = 0;
  int64_t pixels = 0, tail = 0;
};

Plan plan_of(const Query& q, const Variant& v) {
  Plan plan;
  plan.geometry = geometry_of(q.window, Storage::bits());
  plan.split = split_of(q, plan.geometry, v.rows, 1);
  plan.direct = std::ranges::all_of(q.tail->outputs, [&](const TailOutput& output) {
    return output.storage == Storage::bits() && output.pitch == 0 &&
           q.tail->steps[static_cast<size_t>(output.step)].op == TailOp::accumulator;
  });
  plan.run_bytes = plan.geometry.pixel_bytes;
  Places scratch;
  scratch.next(plan.geometry.scratch_bytes + kSlackBytes);
  plan.maxima = scratch.next(plan.run_bytes + kSlackBytes);
  plan.scratch = scratch.next(0);
  Places places;
  plan.pixels = places.next(plan.geometry.linear ? 0 : plan.geometry.positions() * 4);
  plan.tail = places.next(0);
  return plan;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan = plan_of(q, v);
  std::vector<uint8_t> out;
  qloom_assert(append(out, pixel_table(plan.geometry)) == plan.pixels, q.name,
               ": pixel table misplaced");
  append_tail(out, *q.tail, q.window.n, channel_lanes(target));
  return out;
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target&) {
  return plan_of(q, v).split.items;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target&) {
  return plan_of(q, v).scratch;
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, v);
  const Window& w = q.window;
  const Geometry& g = plan.geometry;
  const int lanes = channel_lanes(e.target());
  const TailLayout layout = lay_out_tail(*q.tail, w.n, lanes);
  const KernelBuffers b = kernel_buffers(e, *q.tail, true);
  const Value tables = e.offset(b.constants, plan.tail);
  const Value maxima = e.offset(b.scratch, plan.maxima);
  if (!plan.direct) emit_clear_bits(e, q, g, plan.split, b.outputs);

  const auto window = [&](Value pixel, const std::vector<Value>& outputs) {
    int64_t done = 0;
    for (int words = e.bytes() / kWordBytes; words > 0; words /= 2)
      for (; plan.run_bytes - done >= words * kWordBytes; done += words * kWordBytes) {
        Value all;
        for (int64_t t = 0; t < w.kernel_h * w.kernel_w; ++t) {
          const int64_t at = g.tap_offset(t / w.kernel_w, t % w.kernel_w) + done;
          const Value one = e.load(e.offset(pixel, at), Element::i64, words);
          all = t == 0 ? one : e.binary(Binary::bit_or, all, one);
        }
        for (const Value output : outputs) e.store(e.offset(output, done), all);
      }
  };
  const auto channels = [&](TailPlace place) {
    emit_vectors(e, w.n, lanes, [&](Value channel, int valid) {
      place.channel = channel;
      place.valid_lanes = valid;
      const Value codes = emit_load(e, q.input, Storage::bits(), maxima, channel, lanes);
      emit_tail(e, *q.tail, layout, codes, place);
    });
  };
  emit_walk(
      e, g, v.rows, b.input, b.scratch, e.offset(b.constants, plan.pixels),
      [&](const EmitTiles& emit_tiles) {
        emit_tiles([&](const Tile& tile) {
          for (size_t r = 0; r < tile.pixels.size(); ++r) {
            const TailPlace place = place_at(e, *q.tail, tables, b.operands, b.outputs,
                                             e.add(tile.first, static_cast<int64_t>(r)), w.n);
            window(tile.pixels[r], plan.direct ? place.outputs : std::vector<Value>{maxima});
            if (!plan.direct) channels(place);
          }
        });
      },
      plan.split);
}

}  // namespace

extern constinit const KernelDef pool_bits{
    .name = "pool_bits",
    .doc = "Maxima over windows of packed bits: the OR of their words.",
    .source = "low-bit kernel survey, 3.1",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true};

}  // namespace qloom::kernels
