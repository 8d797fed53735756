// kernels/mask/step_mask_lanes.cc: which time steps have an element that is not the mask value.
//   1. of a step: lanes that differ from the mask value, or-ed over its vectors, lanes behind the
//      last feature left out; their sum, a whole number, in scratch
//   2. of a row of steps: 1 where that is not 0, stored as the result is asked for
//
// Source: own.

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "kernels/kernels_table.h"
#include "kernels/tail/node_tail.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Compare;
using jit::Element;
using jit::Emitter;
using jit::Value;

Verdict takes(const ReferenceSpec& spec) {
  if (Verdict v = can_read(spec, 0); !v) return v;
  return can_store(spec);
}

/// Steps in a row of the result.
int64_t row_of(const ReferenceSpec& spec) { return last_extent(spec.results[0].shape); }

int64_t scratch_bytes(const Query& q, const Variant&, const jit::Target&) {
  return row_of(*q.spec) * 4;
}

/// -1 in lanes of elements [channel, channel + valid) that differ from the mask value.
Value differing(Emitter& e, const ReferenceSpec& spec, Value step, Value channel, int valid,
                int lanes) {
  const TensorType& type = spec.operands[0];
  Value x = emit_load(e, type, spec.operand_storages[0], step, channel, lanes);
  if (type.has_codes())
    x = e.multiply(e.to_f32(x), e.splat(e.real(static_cast<float>(type.step().f64()[0])), lanes));
  const auto mask = static_cast<float>(from_attributes<ops::StepMask>(spec.attributes).mask_value);
  const Value equal = e.compare(Compare::equal_f32, x, e.splat(e.real(mask), lanes));
  std::vector<int64_t> counted(static_cast<size_t>(lanes), 0);
  std::fill_n(counted.begin(), valid, -1);
  return e.and_xor(e.vector_constant(Element::i32, counted), equal,
                   e.splat(e.integer(-1, Element::i32), lanes));
}

void emit(const Query& q, const Variant&, Emitter& e) {
  const ReferenceSpec& spec = *q.spec;
  const Tail tail = storing_tail(spec);
  const int lanes = channel_lanes(e.target());
  const int64_t steps = row_of(spec), rows = elements_per_sample(spec.results[0].shape) / steps;
  const int64_t features = last_extent(spec.operands[0].shape);
  const int64_t step_bytes = run_bytes(spec.operand_storages[0], features);
  const TailLayout layout = lay_out_tail(tail, steps, lanes);
  const Value input = e.buffer(0);
  std::vector<Value> outputs;
  for (size_t i = 0; i < tail.outputs.size(); ++i)
    outputs.push_back(e.buffer(static_cast<int>(i) + 2));
  const Value scratch = e.buffer(static_cast<int>(tail.outputs.size()) + 2);
  emit_clear_bits(e, tail, outputs, rows, steps);
  e.loop("rows", e.integer(0), e.multiply(e.count(), rows), 1, 16.0 * static_cast<double>(rows),
         [&](Value row) {
           const Value first = e.offset(input, e.multiply(row, steps * step_bytes));
           e.loop("steps", e.integer(0), e.integer(steps), 1, 0, [&](Value t) {
             const Value step = e.offset(first, e.multiply(t, step_bytes));
             const jit::Variable any = e.variable(e.zeros(Element::i32, lanes));
             emit_vectors(e, features, lanes, [&](Value channel, int valid) {
               const Value differs = differing(e, spec, step, channel, valid, lanes);
               e.set(any, e.binary(jit::Binary::bit_or, e.get(any), differs));
             });
             e.store(e.offset(scratch, e.multiply(t, 4)), e.reduce_add(e.get(any)));
           });
           TailPlace place = place_at(e, tail, {}, {}, outputs, row, steps);
           emit_vectors(e, steps, lanes, [&](Value channel, int valid) {
             const Value sums =
                 e.load(e.offset(scratch, e.multiply(channel, 4)), Element::i32, lanes);
             const Value none = e.compare(Compare::equal, sums, e.zeros(Element::i32, lanes));
             place.channel = channel;
             place.valid_lanes = valid;
             emit_tail(e, tail, layout,
                       e.select(none, e.zeros(Element::i32, lanes),
                                e.splat(e.integer(1, Element::i32), lanes)),
                       place);
           });
         });
}

}  // namespace

extern constinit const KernelDef step_mask_lanes{
    .name = "step_mask_lanes",
    .doc = "1 for time steps with an element that is not the mask value, else 0.",
    .source = "own",
    .scratch_bytes = scratch_bytes,
    .emit = emit,
    .node_op = &ops::step_mask,
    .takes = takes};

}  // namespace qloom::kernels
