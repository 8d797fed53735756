#include "kernels/conv/bit_counts.h"

namespace qloom::kernels {

using jit::Element;
using jit::Emitter;
using jit::Value;
using jit::Variable;

void emit_units(Emitter& e, Value first, int64_t units, const std::function<void(Value)>& body) {
  if (units == 1)
    body(first);
  else
    e.loop("k", first, e.add(first, units), 1, static_cast<double>(units), body);
}

std::vector<Value> emit_in_chunks(Emitter& e, int64_t units, int64_t longest, size_t count,
                                  int lanes,
                                  const std::function<std::vector<Value>(Value, int64_t)>& chunk) {
  if (longest >= units) return chunk(e.integer(0), units);
  std::vector<Variable> sums;
  for (size_t i = 0; i < count; ++i) sums.push_back(e.variable(e.zeros(Element::i32, lanes)));
  const auto flush = [&](Value first, int64_t n) {
    const std::vector<Value> part = chunk(first, n);
    for (size_t i = 0; i < count; ++i) e.set(sums[i], e.add(e.get(sums[i]), part[i]));
  };
  const int64_t whole = units / longest * longest;
  e.loop("chunks", e.integer(0), e.integer(whole), longest, 0,
         [&](Value first) { flush(first, longest); });
  if (whole < units) flush(e.integer(whole), units - whole);
  std::vector<Value> result;
  for (const Variable s : sums) result.push_back(e.get(s));
  return result;
}

}  // namespace qloom::kernels
