// kernels/elementwise/elementwise_chain.cc: a chain of elementwise operations: the tail is all
// there is.
//
// The tail's accumulator is the element of the input: an int code, or a float32 where the input is
// stored as f32 (then the chain begins, for instance, with a model's input quantizer). Further
// operands have the shape of the output. Per-channel tables go along the last axis.
//
// Without per-channel tables, packed bits and parts of longer runs a sample is one run of elements;
// else each run of the last axis is walked by itself.

#include <algorithm>
#include <bit>

#include "graph/support/error.h"
#include "kernels/kernel.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Emitter;
using jit::Value;

Verdict match(const Query& q) {
  if (q.root != nullptr)
    return Verdict::no("root is ", q.root->name, ", this kernel computes elementwise chains");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  if (!q.input.has_codes() && !q.input.is_float32())
    return Verdict::no("input is ", q.input, ", this kernel needs codes or float32");
  return Verdict::yes();
}

Storage input_storage(const Query& q) { return plain_storage(q.input); }

/// Runs per sample and their length. Where a sample is one run of elements that are all alike, the
/// last vector begins earlier and does some of them once more: nothing behind them is read.
struct Runs {
  int64_t count = 1, length = 1;
  bool alike = false;
  [[nodiscard]] int64_t whole(int lanes) const { return length / lanes * lanes; }
  [[nodiscard]] int rest_width(int lanes) const {
    return static_cast<int>(std::max(8U, std::bit_ceil(static_cast<unsigned>(length % lanes))));
  }
};
Runs runs_of(const Query& q) {
  const Tail& tail = *q.tail;
  auto is_bits = [](const auto& x) { return x.storage.kind == Storage::Kind::bits; };
  const bool by_channel =
      std::ranges::any_of(tail.tables, [](const TailTable& t) { return t.per_channel; }) ||
      std::ranges::any_of(tail.operands, is_bits) || std::ranges::any_of(tail.outputs, is_bits) ||
      has_parts(tail) || q.input_storage.kind == Storage::Kind::bits;
  const int64_t positions = q.window.out_h * q.window.out_w;
  if (by_channel) return {positions, q.window.n, false};
  return {1, positions * q.window.n, true};
}

/// Columns: vectors of channels that go through the tail together.
std::vector<Variant> variants(const Query& q, const jit::Target& target) {
  const int64_t vectors = (runs_of(q).length + channel_lanes(target) - 1) / channel_lanes(target);
  std::vector<Variant> list;
  for (const int columns : {4, 2, 1})
    if (columns == 1 || columns <= vectors) list.push_back({1, columns, 0});
  return list;
}

std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
  std::vector<uint8_t> out;
  append_tail(out, *q.tail, q.window.n, channel_lanes(target) * v.columns);
  return out;
}

/// Runs, or vectors of a sample that is one run: what lies behind the last one goes with it.
int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
  const Runs runs = runs_of(q);
  if (runs.count > 1) return runs.count;
  // Packed bits behind the last element are cleared by whole runs.
  if (needs_clear_bits(*q.tail, q.window.n)) return 1;
  return std::max<int64_t>(1, runs.length / (channel_lanes(target) * v.columns));
}

bool reads_exactly(const Query& q, const Variant& v, const jit::Target& target) {
  const Runs runs = runs_of(q);
  const int lanes = channel_lanes(target) * v.columns;
  return runs.alike && (runs.length % lanes == 0 || runs.whole(lanes) > 0 ||
                        runs.rest_width(lanes) == runs.length);
}

void emit(const Query& q, const Variant& v, Emitter& e) {
  const Tail& tail = *q.tail;
  const int lanes = channel_lanes(e.target()) * v.columns;
  const TailLayout layout = lay_out_tail(tail, q.window.n, lanes);
  const KernelBuffers b = kernel_buffers(e, tail, false);
  const Runs runs = runs_of(q);
  const int64_t whole = runs.whole(lanes);
  const bool by_runs = runs.count > 1, cut = !by_runs && work_items(q, v, e.target()) > 1;
  // Parts of a sample come one sample at a time.
  const Value first_run = by_runs ? e.begin() : e.integer(0);
  const Value end_run =
      by_runs ? e.add(e.multiply(e.add(e.count(), -1), runs.count), e.end()) : e.count();
  emit_clear_bits(e, tail, b.outputs, first_run, end_run, q.window.n);

  e.loop("runs", first_run, end_run, 1, static_cast<double>(runs.count) * 16, [&](Value run) {
    const Value input = e.offset(b.input, e.multiply(run, run_bytes(q.input_storage, runs.length)));
    TailPlace place = place_at(e, tail, b.constants, b.operands, b.outputs, run, runs.length);
    auto block = [&](Value first, int width, int valid) {
      place.channel = first;
      place.valid_lanes = valid;
      emit_tail(e, tail, layout, emit_load(e, q.input, q.input_storage, input, first, width),
                place);
    };
    if (whole > 0)
      e.loop("elements", cut ? e.multiply(e.begin(), lanes) : e.integer(0),
             cut ? e.multiply(e.end(), lanes) : e.integer(whole), lanes, 0,
             [&](Value first) { block(first, lanes, lanes); });
    const auto rest = static_cast<unsigned>(runs.length - whole);
    auto last = [&] {
      const int width = runs.rest_width(lanes);
      if (runs.alike && whole > 0)
        block(e.integer(runs.length - width), width, width);
      else
        block(e.integer(whole), width, static_cast<int>(rest));
    };
    if (rest > 0 && cut)
      e.if_less(e.integer(whole / lanes - 1), e.end(), last);
    else if (rest > 0)
      last();
  });
}

}  // namespace

extern constinit const KernelDef elementwise_chain{
    .name = "elementwise_chain",
    .doc =
        "Elementwise operations on codes or float32: input quantizers, residual sums, conversions.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .emit = emit,
    .work_items = work_items,
    .reads_exactly = reads_exactly,
    .stores_parts = true};

}  // namespace qloom::kernels
