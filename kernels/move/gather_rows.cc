// kernels/move/gather_rows.cc: rows of a table by their numbers.
//   1. a number is rounded towards 0 and kept within the table (NaN: row 0), as the reference does
//   2. its row, one vector after the other, goes through the tail
// The table lies among the constants, as codes where it has some.
//
// Source: own.

#include "graph/ops_table.h"
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

/// A float32 counts so far without gaps.
constexpr int64_t kMostRows = int64_t{1} << 24;

int64_t rows_of(const Query& q) { return q.weights.shape[0].extent(); }

Verdict match(const Query& q) {
  if (q.root != &ops::gather)
    return Verdict::no("root is ",
                       q.root == nullptr ? std::string_view("elementwise") : q.root->name,
                       ", this kernel looks up rows");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  if (!fits(q.input, Storage::f32()))
    return Verdict::no("numbers are ", q.input, ", this kernel reads float32");
  if (q.weights.rank() < 2 || rows_of(q) > kMostRows)
    return Verdict::no("the table is ", q.weights, ", this kernel needs rows, at most 2^24");
  if (q.weight_codes == nullptr && !q.weight_values)
    return Verdict::no("the table ", q.weights, " is no constant");
  return Verdict::yes();
}

Storage input_storage(const Query&) { return Storage::f32(); }

std::vector<Variant> variants(const Query&, const jit::Target&) { return {{1, 1, 0}}; }

struct Plan {
  explicit Plan(const Query& q, const jit::Target& target)
      : lanes(channel_lanes(target)),
        storage(q.f32_accumulator ? Storage::f32() : plain_storage(q.weights)) {
    for (size_t i = 1; i < q.weights.shape.size(); ++i) row *= q.weights.shape[i].extent();
    Places places;
    table = places.next(rows_of(q) * row * element_bytes(storage) + kSlackBytes);
    tail = places.next(0);
  }
  int lanes;
  Storage storage;
  int64_t row = 1;  ///< elements
  int64_t table = 0, tail = 0;
};

std::vector<uint8_t> pack(const Query& q, const Variant&, const jit::Target& target) {
  const Plan plan(q, target);
  const int64_t elements = rows_of(q) * plan.row;
  std::vector<uint8_t> out(
      static_cast<size_t>(elements * element_bytes(plan.storage) + kSlackBytes));
  if (q.f32_accumulator)
    std::copy_n(q.weight_values->f32().data(), elements, reinterpret_cast<float*>(out.data()));
  else
    for (int64_t i = 0; i < elements; ++i)
      write_code(out.data(), plan.storage, i, plan.row,
                 q.weight_codes->i64()[static_cast<size_t>(i)]);
  append_tail(out, *q.tail, q.window.n, plan.lanes);
  return out;
}

int64_t work_items(const Query& q, const Variant&, const jit::Target&) {
  return elements_per_sample(q.input.shape);
}

/// The row that a number stands for.
Value emit_row(Emitter& e, Value number, int64_t rows) {
  const Value last = e.real(static_cast<float>(rows - 1));
  Value x = e.binary(Binary::maximum, number, e.real(0));  // 0 where it is NaN
  x = e.binary(Binary::minimum, x, last);
  const Value nearest = e.round_even(x);
  const Value down =
      e.select(e.compare(Compare::less_f32, x, nearest), e.subtract(nearest, e.real(1)), nearest);
  return e.widen_signed(e.to_i32(down), Element::i64);
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan(q, e.target());
  const Tail& tail = *q.tail;
  const int64_t n = q.window.n, numbers = work_items(q, v, e.target()), runs = plan.row / n;
  const TailLayout layout = lay_out_tail(tail, n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, false);
  const Value tables = e.offset(b.constants, plan.tail);
  const int64_t size = element_bytes(plan.storage);
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](Value sample) {
    const Value first = e.multiply(sample, numbers);
    if (needs_clear_bits(tail, n))
      emit_clear_bits(e, tail, b.outputs, e.multiply(e.add(first, e.begin()), runs),
                      e.multiply(e.add(first, e.end()), runs), n);
    e.loop("numbers", e.begin(), e.end(), 1, static_cast<double>(numbers), [&](Value i) {
      const Value at = e.add(first, i);
      const Value number = e.load(e.offset(b.input, e.multiply(at, 4)), Element::f32);
      const Value row = e.offset(e.offset(b.constants, plan.table),
                                 e.multiply(emit_row(e, number, rows_of(q)), plan.row * size));
      e.loop("runs", e.integer(0), e.integer(runs), 1, 0, [&](Value run) {
        const Value from = e.offset(row, e.multiply(run, n * size));
        TailPlace place =
            place_at(e, tail, tables, b.operands, b.outputs, e.add(e.multiply(at, runs), run), n);
        const auto vector = [&](Value channel, int valid) {
          place.channel = channel;
          place.valid_lanes = valid;
          emit_tail(e, tail, layout,
                    emit_load(e, q.weights, plan.storage, from, channel, plan.lanes), place);
        };
        emit_vectors(e, n, plan.lanes, vector);
      });
    });
  });
}

}  // namespace

extern constinit const KernelDef gather_rows{
    .name = "gather_rows",
    .doc = "Rows of a table by their numbers, rounded towards 0.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true};

}  // namespace qloom::kernels
