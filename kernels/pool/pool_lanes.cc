// kernels/pool/pool_lanes.cc: maxima and sums over windows, channels in the lanes.
//
//   maximum:  max_t a_t[c]            on the stored bytes, whose order is that of the codes
//   sum:      Σ_t a_t[c] = Σ_t byte_t[c] − zero·taps
//   maximum of float32: a value replaces what was found before only where it is larger or NaN, so
//             that NaN stays and of equal zeros the first does
//   sum of float32: in float64, in ascending order of taps, rounded once
//
// Cells outside of the image do not count: the border of the copy holds the least value of the
// storage for a maximum, code 0 (or +0) for a sum. Sums of bytes stay in 16 bits where
// taps·(largest byte) fits there.
//
// What follows (the division of an average, batch normalization, a quantizer) is the tail. A
// maximum that is stored as it is read needs none: its vectors are written as they are.
//
// Source: own.

#include <algorithm>
#include <bit>

#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Compare;
using jit::Element;
using jit::Emitter;
using jit::Value;
using jit::Variable;

constexpr int64_t kUnrolledTaps = 9;
constexpr uint32_t kLowestWords = 0x80008000U, kLowestDwords = 0x80000000U;
constexpr uint32_t kMinusInfinity = 0xFF800000U;

int64_t taps_of(const Window& w) { return w.kernel_h * w.kernel_w; }

Verdict match(const Query& q) {
  if (q.root != &ops::pool && q.root != &ops::reduce)
    return Verdict::no("root is ",
                       q.root == nullptr ? std::string_view("elementwise") : q.root->name,
                       ", this kernel pools");
  if (q.pooling == Pooling::none)
    return Verdict::no("averages over windows of different counts are no sums");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  if (Verdict v = has_near_samples(q); !v) return v;
  if (q.f32_accumulator) {
    if (!fits(q.input, Storage::f32()))
      return Verdict::no("input is ", q.input, ", this kernel reads float32 or codes");
    return Verdict::yes();
  }
  if (!fits(q.input, Storage::dwords()))
    return Verdict::no("input is ", q.input, ", this kernel takes codes of at most 32 bits");
  return fits_int32(q);
}

Storage input_storage(const Query& q) {
  return q.f32_accumulator ? Storage::f32() : plain_storage(q.input);
}

struct Plan {
  Geometry geometry;
  bool is_signed = false;  ///< codes of 16 or 32 bits, as they are
  bool maximum = false, real = false;
  Element element = Element::i8, sum = Element::i8;
  int lanes = 8, rest_lanes = 8;  ///< elements of a vector
  int64_t blocks = 0, rest = 0;   ///< whole vectors of channels, channels left over
  int tail_lanes = 8;
  bool direct = false;  ///< every output is the maximum, stored as the input is
  int64_t pixels = 0, tail = 0;
};

bool is_direct(const Query& q) {
  return q.pooling == Pooling::maximum &&
         std::ranges::all_of(q.tail->outputs, [&](const TailOutput& output) {
           return output.storage == q.input_storage &&
                  q.tail->steps[static_cast<size_t>(output.step)].op == TailOp::accumulator;
         });
}

int lanes_for(int64_t channels, int most) {
  return std::min(most, std::max(8, static_cast<int>(std::bit_ceil(static_cast<uint64_t>(
                                        std::min<int64_t>(channels, most))))));
}

Plan plan_of(const Query& q, const jit::Target& target) {
  const Window& w = q.window;
  Plan plan;
  const bool dwords = q.input_storage.kind == Storage::Kind::dwords;
  plan.is_signed = dwords || q.input_storage.kind == Storage::Kind::words;
  plan.maximum = q.pooling == Pooling::maximum;
  plan.geometry = geometry_of(w, q.input_storage);
  plan.real = q.f32_accumulator;
  if (plan.maximum)
    plan.geometry.border = plan.real        ? kMinusInfinity
                           : dwords         ? kLowestDwords
                           : plan.is_signed ? kLowestWords
                                            : 0;
  plan.element = plan.real        ? Element::f32
                 : dwords         ? Element::i32
                 : plan.is_signed ? Element::i16
                                  : Element::i8;
  plan.sum = plan.element;
  if (plan.real && !plan.maximum)
    plan.sum = Element::f64;
  else if (!plan.maximum)
    plan.sum = !plan.is_signed && taps_of(w) * largest_byte(q, q.input_storage) <= 65535
                   ? Element::i16
                   : Element::i32;
  // A sum's vectors are wider than what is loaded: half or a quarter of a vector at a time.
  const int most = std::max(8, target.vector_bytes / bytes_of(plan.sum));
  plan.lanes = lanes_for(w.n, most);
  plan.blocks = w.n / plan.lanes;
  plan.rest = w.n % plan.lanes;
  plan.rest_lanes = lanes_for(plan.rest, most);
  plan.tail_lanes = channel_lanes(target);
  plan.direct = is_direct(q);
  Places places;
  plan.pixels = places.next(plan.geometry.linear ? 0 : plan.geometry.positions() * 4);
  plan.tail = places.next(0);
  return plan;
}

std::vector<Variant> variants(const Query& q, const jit::Target&) { return row_variants(q); }

std::vector<uint8_t> pack(const Query& q, const Variant&, const jit::Target& target) {
  const Plan plan = plan_of(q, target);
  std::vector<uint8_t> out;
  qloom_assert(append(out, pixel_table(plan.geometry)) == plan.pixels, q.name,
               ": pixel table misplaced");
  append_tail(out, *q.tail, q.window.n, plan.tail_lanes);
  return out;
}

Split split(const Query& q, const Variant& v, const Plan& plan) {
  return split_of(q, plan.geometry, v.rows, plan.blocks + (plan.rest > 0 ? 1 : 0));
}

int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  return split(q, v, plan_of(q, target)).items;
}

int64_t scratch_bytes(const Query& q, const Variant&, const jit::Target& target) {
  return plan_of(q, target).geometry.scratch_bytes;
}

/// Maximum or sum at each output of a tile, one vector of `lanes` elements each.
std::vector<Value> emit_windows(Emitter& e, const Query& q, const Plan& plan,
                                const std::vector<Value>& pixels, int lanes) {
  const Window& w = q.window;
  const Geometry& g = plan.geometry;
  auto load = [&](Value at) {
    const Value v = e.load(at, plan.element, lanes);
    if (plan.sum == plan.element) return v;
    if (plan.real) return e.to_f64(v);
    return plan.is_signed ? e.widen_signed(v, plan.sum) : e.widen_unsigned(v, plan.sum);
  };
  auto combine = [&](Value all, Value one) {
    if (plan.real && plan.maximum) {
      // Kept where it is no NaN and not larger.
      const Value better = e.select(e.compare(Compare::less_f32, all, one), one, all);
      return e.select(e.compare(Compare::equal_f32, one, one), better, one);
    }
    return e.binary(!plan.maximum    ? Binary::add
                    : plan.is_signed ? Binary::max_signed
                                     : Binary::max_unsigned,
                    all, one);
  };
  std::vector<Value> result;
  if (taps_of(w) <= kUnrolledTaps) {
    for (const Value pixel : pixels) {
      Value all;
      for (int64_t t = 0; t < taps_of(w); ++t) {
        const Value one = load(e.offset(pixel, g.tap_offset(t / w.kernel_w, t % w.kernel_w)));
        all = t == 0 ? one : combine(all, one);
      }
      result.push_back(all);
    }
  } else {
    // A maximum begins with the first element, which then counts twice.
    std::vector<Variable> all;
    for (const Value pixel : pixels)
      all.push_back(e.variable(plan.maximum ? load(pixel) : e.zeros(plan.sum, lanes)));
    auto take = [&](Value at) {
      for (size_t r = 0; r < pixels.size(); ++r)
        e.set(all[r], combine(e.get(all[r]), load(e.offset(pixels[r], at))));
    };
    auto row = [&](Value from) {
      // Few columns are written out: a loop of its own costs more than they do.
      if (w.kernel_h > 1 && w.kernel_w <= kUnrolledTaps) {
        for (int64_t x = 0; x < w.kernel_w; ++x) take(e.add(from, g.tap_offset(0, x)));
        return;
      }
      e.loop("columns", from, e.add(from, w.kernel_w * g.tap_offset(0, 1)), g.tap_offset(0, 1),
             static_cast<double>(w.kernel_w), take);
    };
    if (w.kernel_h == 1)
      row(e.integer(0));
    else
      e.loop("rows", e.integer(0), e.integer(w.kernel_h * g.tap_offset(1, 0)), g.tap_offset(1, 0),
             0, row);
    for (const Variable v : all) result.push_back(e.get(v));
  }
  return result;
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan = plan_of(q, e.target());
  const Tail& tail = *q.tail;
  const int64_t n = q.window.n;
  const int element_size = bytes_of(plan.element);
  const TailLayout layout = lay_out_tail(tail, n, plan.tail_lanes);
  const KernelBuffers b = kernel_buffers(e, tail, plan.geometry.copied);
  const Value tables = e.offset(b.constants, plan.tail);
  const Split cut = split(q, v, plan);
  emit_clear_bits(e, q, plan.geometry, cut, b.outputs);
  const int64_t zeros = plan.real      ? 0
                        : plan.maximum ? q.input_storage.zero
                                       : q.input_storage.zero * taps_of(q.window);

  auto store = [&](TailPlace& place, Value all, Value channel, int valid) {
    if (plan.direct) {
      for (const Value output : place.outputs)
        store_lanes(e, e.offset(output, e.multiply(channel, element_size)), all, valid);
      return;
    }
    const int lanes = std::min(plan.tail_lanes, static_cast<int>(all.lanes));
    TailBatch batch(e, tail, layout);
    for (int first = 0; first < valid; first += lanes) {
      Value sum = all.lanes == lanes ? all : e.slice(all, first, lanes);
      if (sum.element == Element::f64)
        sum = e.to_f32(sum);
      else if (sum.element != Element::i32 && !plan.real)
        sum = plan.is_signed ? e.widen_signed(sum, Element::i32)
                             : e.widen_unsigned(sum, Element::i32);
      if (zeros != 0) sum = e.subtract(sum, e.splat(e.integer(zeros, Element::i32), lanes));
      place.channel = e.add(channel, first);
      place.valid_lanes = std::min(lanes, valid - first);
      place.follows = first > 0;
      batch.add(sum, place);
    }
    batch.emit();
  };
  auto block = [&](const EmitTiles& emit_tiles, Value channel, int lanes, int valid) {
    emit_tiles([&](const Tile& tile) {
      std::vector<Value> pixels = tile.pixels;
      for (Value& p : pixels) p = e.offset(p, e.multiply(channel, element_size));
      const std::vector<Value> all = emit_windows(e, q, plan, pixels, lanes);
      for (size_t r = 0; r < all.size(); ++r) {
        TailPlace place = place_at(e, tail, tables, b.operands, b.outputs,
                                   e.add(tile.first, static_cast<int64_t>(r)), n);
        store(place, all[r], channel, valid);
      }
    });
  };
  emit_walk(
      e, plan.geometry, v.rows, b.input, b.scratch, e.offset(b.constants, plan.pixels),
      [&](const EmitTiles& emit_tiles) {
        emit_channel_tiles(
            e, cut, plan.blocks,
            [&](Value i) { block(emit_tiles, e.multiply(i, plan.lanes), plan.lanes, plan.lanes); },
            plan.rest > 0,
            [&] {
              block(emit_tiles, e.integer(plan.blocks * plan.lanes), plan.rest_lanes,
                    static_cast<int>(plan.rest));
            });
      },
      cut);
}

}  // namespace

extern constinit const KernelDef pool_lanes{
    .name = "pool_lanes",
    .doc = "Maxima and sums of codes or float32 over windows: channels in the lanes.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 1.15, .zen5 = 1.45}};

}  // namespace qloom::kernels
