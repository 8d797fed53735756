#include "kernels/tail/node_tail.h"

#include <algorithm>

namespace qloom::kernels {
namespace {

Verdict is_plain(const TensorType& type) {
  if (type.rank() < 1 || !type.shape[0].is_batch() ||
      !std::all_of(type.shape.begin() + 1, type.shape.end(), [](Dim d) { return d.is_static(); }))
    return Verdict::no(type, " has no batch first");
  if (type.scale.is_dynamic()) return Verdict::no("the scale of ", type, " comes from data");
  if (!type.has_codes())
    return type.scale.is_none() ? Verdict::yes() : Verdict::no(type, " has a scale and no codes");
  if (type.step().size() != 1) return Verdict::no("the step of ", type, " varies");
  if (!fits(type, Storage::dwords())) return Verdict::no("codes of ", type, " leave 32 bits");
  return Verdict::yes();
}

}  // namespace

Verdict can_read(const ReferenceSpec& spec, size_t operand) {
  for (const auto& [position, value] : spec.constants)
    if (position == static_cast<int>(operand))
      return Verdict::no("operand ", operand, " is a constant");
  return is_plain(spec.operands[operand]);
}

Verdict can_store(const ReferenceSpec& spec) {
  if (spec.results.size() != 1) return Verdict::no("the node has several results");
  return is_plain(spec.results[0]);
}

Tail storing_tail(const ReferenceSpec& spec) {
  Tail tail;
  const TensorType& type = spec.results[0];
  tail.steps.push_back({.op = TailOp::accumulator});
  int value = type.has_codes() ? -1 : 0;  // the step that yields f32
  for (const auto& [result, storage] : spec.outputs) {
    int step = 0;
    if (storage.kind == Storage::Kind::f32) {
      if (value < 0) {
        tail.tables.push_back({.is_f32 = true,
                               .per_channel = false,
                               .rows = 1,
                               .f32 = {static_cast<float>(type.step().f64()[0])},
                               .i32 = {}});
        tail.steps.push_back({.op = TailOp::to_f32, .a = 0});
        tail.steps.push_back({.op = TailOp::constant, .index = 0});
        tail.steps.push_back({.op = TailOp::multiply, .a = 1, .b = 2});
        value = 3;
      }
      step = value;
    }
    tail.outputs.push_back({.step = step, .type = type, .storage = storage, .value_index = result});
  }
  tail.form = "stored";
  return tail;
}

}  // namespace qloom::kernels
