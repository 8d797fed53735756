// kernels/softmax/softmax_lanes.cc: softmax along the last axis, channels in the lanes.
//   1. the largest element of a run, NaN left out; lanes behind the last channel are -inf
//   2. powers e^(x - largest) in float64, kept in scratch
//   3. their sum, one after the other in ascending order, as the reference adds
//   4. powers / sum, rounded once to float32, then the tail
// The exponential is formulas::exponential: the same bits on every target and as the reference
// kernel, and as the interpreter's where rounding to float32 hides the last bit of a float64.

#include <algorithm>
#include <bit>

#include "graph/ops_table.h"
#include "kernels/functions/float_function.h"
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

constexpr int64_t kMinusInfinity = 0xFF800000;

Verdict match(const Query& q) {
  if (q.root != &ops::softmax)
    return Verdict::no("root is ",
                       q.root == nullptr ? std::string_view("elementwise") : q.root->name,
                       ", this kernel computes softmax");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  // It reads values, never codes: those of wide codes times a power of two are rounded once.
  if (!fits(q.input, Storage::f32()) && !(q.input.has_codes() && q.input.scale.is_power_of_two()))
    return Verdict::no("input is ", q.input, ", this kernel reads float32");
  return Verdict::yes();
}

Storage input_storage(const Query&) { return Storage::f32(); }

/// Columns: vectors of channels at a time.
std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const int64_t vectors = (q.window.n + channel_lanes(target) - 1) / channel_lanes(target);
  std::vector<Variant> list;
  for (const int columns : {2, 1})
    if (columns == 1 || columns <= vectors) list.push_back({1, columns, 0});
  return list;
}

/// What pack and emit agree on.
struct Plan {
  Plan(const Query& q, const Variant& v, const jit::Target& target)
      : n(q.window.n),
        lanes(channel_lanes(target) * v.columns),
        whole(n / lanes * lanes),
        rest(static_cast<int>(n - whole)),
        rest_lanes(static_cast<int>(std::max(8U, std::bit_ceil(static_cast<unsigned>(rest))))) {}
  int64_t n;
  int lanes;
  int64_t whole;
  int rest, rest_lanes;
};

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  std::vector<uint8_t> out;
  append_tail(out, *q.tail, q.window.n, Plan(q, v, target).lanes);
  return out;
}

int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
  const Plan plan(q, v, target);
  return (plan.whole + (plan.rest > 0 ? plan.rest_lanes : 0)) * bytes_of(Element::f64);
}

int64_t work_items(const Query& q, const Variant&, const jit::Target&) {
  return q.window.out_h * q.window.out_w;
}

/// body(first channel, lanes, channels among them) for each vector of a run.
template <class Body>
void for_each_vector(Emitter& e, const Plan& plan, std::string_view name, const Body& body) {
  if (plan.whole > 0)
    e.loop(name, e.integer(0), e.integer(plan.whole), plan.lanes, 0,
           [&](Value first) { body(first, plan.lanes, plan.lanes); });
  if (plan.rest > 0) body(e.integer(plan.whole), plan.rest_lanes, plan.rest);
}

/// The largest lane as f32; -inf where all are NaN.
Value emit_largest(Emitter& e, const Plan& plan, Value input) {
  const Value lowest = e.bitcast(e.integer(kMinusInfinity, Element::i32), Element::f32);
  const Variable largest =
      e.variable(e.splat(lowest, plan.whole > 0 ? plan.lanes : plan.rest_lanes));
  for_each_vector(e, plan, "largest", [&](Value first, int lanes, int valid) {
    Value x = e.load(e.offset(input, e.multiply(first, 4)), Element::f32, lanes);
    if (valid < lanes) {
      std::vector<int64_t> mask;
      for (int i = 0; i < lanes; ++i) mask.push_back(i < valid ? -1 : 0);
      x = e.select(e.vector_constant(Element::i32, mask), x, e.splat(lowest, lanes));
    }
    // Vectors of the rest are shorter: the others' lanes are joined first.
    Value all = e.get(largest);
    while (all.lanes > lanes) {
      const int half = all.lanes / 2;
      all = e.binary(Binary::maximum, e.slice(all, 0, half), e.slice(all, half, half));
    }
    all = e.binary(Binary::maximum, x, all);
    while (all.lanes < largest.lanes) all = e.concat(all, all);
    e.set(largest, all);
  });
  Value all = e.get(largest);
  while (all.lanes > 1) {
    const int half = all.lanes / 2;
    all = e.binary(Binary::maximum, e.slice(all, 0, half), e.slice(all, half, half));
  }
  return all;
}

/// The sum of n f64 in memory, in ascending order.
Value emit_sum(Emitter& e, int64_t n, Value powers) {
  constexpr int64_t kTogether = 8;
  const Variable sum = e.variable(e.zeros(Element::f64, 1));
  auto add = [&](Value first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const Value at = e.offset(e.offset(powers, e.multiply(first, 8)), i * 8);
      e.set(sum, e.add(e.get(sum), e.load(at, Element::f64)));
    }
  };
  const int64_t whole = n / kTogether * kTogether;
  if (whole > 0)
    e.loop("sum", e.integer(0), e.integer(whole), kTogether, 0,
           [&](Value first) { add(first, kTogether); });
  add(e.integer(whole), n - whole);
  return e.get(sum);
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Plan plan(q, v, e.target());
  const Tail& tail = *q.tail;
  const TailLayout layout = lay_out_tail(tail, plan.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, true);
  const int64_t runs = work_items(q, v, e.target());
  // Parts of a sample come one sample at a time.
  const Value begin = runs > 1 ? e.begin() : e.integer(0);
  const Value end = runs > 1 ? e.add(e.multiply(e.add(e.count(), -1), runs), e.end()) : e.count();
  emit_clear_bits(e, tail, b.outputs, begin, end, plan.n);
  e.loop("runs", begin, end, 1, static_cast<double>(runs) * 16, [&](Value run) {
    const Value input = e.offset(b.input, e.multiply(run, plan.n * 4));
    const Value largest = e.to_f64(emit_largest(e, plan, input));
    for_each_vector(e, plan, "powers", [&](Value first, int lanes, int) {
      const Value x = e.load(e.offset(input, e.multiply(first, 4)), Element::f32, lanes);
      const Value power = emit_exponential_f64(e, e.subtract(e.to_f64(x), e.splat(largest, lanes)));
      e.store(e.offset(b.scratch, e.multiply(first, 8)), power);
    });
    const Value sum = emit_sum(e, plan.n, b.scratch);
    TailPlace place = place_at(e, tail, b.constants, b.operands, b.outputs, run, plan.n);
    for_each_vector(e, plan, "quotients", [&](Value first, int lanes, int valid) {
      const Value power = e.load(e.offset(b.scratch, e.multiply(first, 8)), Element::f64, lanes);
      place.channel = first;
      place.valid_lanes = valid;
      emit_tail(e, tail, layout, e.to_f32(e.binary(Binary::divide, power, e.splat(sum, lanes))),
                place);
    });
  });
}

}  // namespace

extern constinit const KernelDef softmax_lanes{
    .name = "softmax_lanes",
    .doc = "Softmax along the last axis in float64, rounded once; sums in the reference's order.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .work_items = work_items,
    .stores_parts = true,
    .over_counted = {.zen4 = 0.75, .zen5 = 0.75}};

}  // namespace qloom::kernels
