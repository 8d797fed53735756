// kernels/move/resize_bilinear.cc: spatial axes a whole number of times as long, by bilinear
// interpolation of float32.
//
//   mix(a, b, d) = a + (b - a)·d             each operation rounded
//   y = mix(mix(x00, x01, dx), mix(x10, x11, dx), dy)
//
// Channels are in the lanes; which elements an output row or column lies between, and how far from
// the first, stands in tables among the constants.
//
// Source: own. The order is that of the interpreter.

#include "graph/ops_table.h"
#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/move/interpolation.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Element;
using jit::Emitter;
using jit::Value;

Verdict match(const Query& q) {
  if (q.root != &ops::resize || !q.move.axes.empty())
    return Verdict::no("root is ",
                       q.root == nullptr ? std::string_view("elementwise") : q.root->name,
                       ", this kernel interpolates");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  if (!fits(q.input, Storage::f32()))
    return Verdict::no("input is ", q.input, ", this kernel reads float32");
  return Verdict::yes();
}

Storage input_storage(const Query&) { return Storage::f32(); }

std::vector<Variant> variants(const Query&, const jit::Target&) { return {{1, 1, 0}}; }

/// Entries of a table: bytes to the first and to the second element, then the distance.
constexpr int64_t kEntryBytes = 12;

struct Plan {
  explicit Plan(const Query& q, const jit::Target& target) : lanes(channel_lanes(target)) {
    Places places;
    rows = places.next(q.window.out_h * kEntryBytes);
    columns = places.next(q.window.out_w * kEntryBytes);
    tail = places.next(0);
  }
  int lanes;
  int64_t rows = 0, columns = 0, tail = 0;
};

/// A table of an axis whose elements lie `distance` bytes apart.
std::vector<int32_t> table_of(int64_t in, int64_t out, int64_t distance) {
  std::vector<int32_t> table;
  for (const Between& b : interpolation(in, out / in)) {
    table.push_back(static_cast<int32_t>(b.first * distance));
    table.push_back(static_cast<int32_t>(b.second * distance));
    table.push_back(std::bit_cast<int32_t>(b.distance));
  }
  return table;
}

std::vector<uint8_t> pack(const Query& q, const Variant&, const jit::Target& target) {
  const Plan plan(q, target);
  const Window& w = q.window;
  std::vector<uint8_t> out;
  qloom_assert(append(out, table_of(w.h, w.out_h, w.w * w.c * 4)) == plan.rows, q.name,
               ": row table misplaced");
  qloom_assert(append(out, table_of(w.w, w.out_w, w.c * 4)) == plan.columns, q.name,
               ": column table misplaced");
  append_tail(out, *q.tail, w.n, plan.lanes);
  return out;
}

int64_t work_items(const Query& q, const Variant&, const jit::Target&) { return q.window.out_h; }

struct Entry {
  Value first, second, distance;
};
Entry load_entry(Emitter& e, Value table, Value index, int lanes) {
  const Value at = e.offset(table, e.multiply(index, kEntryBytes));
  const auto offset = [&](int64_t byte) {
    return e.widen_signed(e.load(e.offset(at, byte), Element::i32), Element::i64);
  };
  return {offset(0), offset(4), e.load_splat(e.offset(at, 8), Element::f32, lanes)};
}

void emit(const Query& q, const Variant&, Emitter& e) {
  const Plan plan(q, e.target());
  const Tail& tail = *q.tail;
  const Window& w = q.window;
  const TailLayout layout = lay_out_tail(tail, w.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, false);
  const Value rows = e.offset(b.constants, plan.rows),
              columns = e.offset(b.constants, plan.columns);
  const Value tables = e.offset(b.constants, plan.tail);
  const auto mix = [&](Value a, Value other, Value distance) {
    return e.add(a, e.multiply(e.subtract(other, a), distance));
  };
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](Value sample) {
    const Value image = e.offset(b.input, e.multiply(sample, w.h * w.w * w.c * 4));
    if (needs_clear_bits(tail, w.n)) {
      const Value first = e.multiply(sample, w.out_h * w.out_w);
      emit_clear_bits(e, tail, b.outputs, e.add(first, e.multiply(e.begin(), w.out_w)),
                      e.add(first, e.multiply(e.end(), w.out_w)), w.n);
    }
    e.loop("rows", e.begin(), e.end(), 1, static_cast<double>(w.out_h), [&](Value y) {
      const Entry row = load_entry(e, rows, y, plan.lanes);
      const Value above = e.offset(image, row.first), below = e.offset(image, row.second);
      const Value position = e.multiply(e.add(e.multiply(sample, w.out_h), y), w.out_w);
      e.loop("columns", e.integer(0), e.integer(w.out_w), 1, 0, [&](Value x) {
        const Entry column = load_entry(e, columns, x, plan.lanes);
        TailPlace place = place_at(e, tail, tables, b.operands, b.outputs, e.add(position, x), w.n);
        const auto vector = [&](Value channel, int valid) {
          const Value bytes = e.multiply(channel, 4);
          const auto pixel = [&](Value line, Value at) {
            return e.load(e.offset(e.offset(line, at), bytes), Element::f32, plan.lanes);
          };
          const Value top =
              mix(pixel(above, column.first), pixel(above, column.second), column.distance);
          const Value bottom =
              mix(pixel(below, column.first), pixel(below, column.second), column.distance);
          place.channel = channel;
          place.valid_lanes = valid;
          emit_tail(e, tail, layout, mix(top, bottom, row.distance), place);
        };
        emit_vectors(e, w.n, plan.lanes, vector);
      });
    });
  });
}

}  // namespace

extern constinit const KernelDef resize_bilinear{
    .name = "resize_bilinear",
    .doc = "Spatial axes longer by bilinear interpolation of float32, in the reference's order.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true};

}  // namespace qloom::kernels
