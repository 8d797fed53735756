// tests/examples/contributing/dense_columns.cc: dense layer, any codes, neighbouring outputs in the
// lanes of a vector:  sum[u] = Σ_k x[k] · w[k][u]
//   1. pack: weights as i32, [tile of outputs][k][lane], 0 behind the last output;
//   2. emit: x[k] in every lane times a vector of weights, added modulo 2^32;
//   3. exact, because match asks that every sum fits int32.
#include "kernels/conv/geometry.h"

namespace qloom::kernels {
namespace {

using jit::Element;
using jit::Emitter;
using jit::Value;

Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (!q.window.is_dense()) return Verdict::no("several positions, this kernel needs one a sample");
  if (!fits(q.input, Storage::dwords()))
    return Verdict::no("input is ", q.input, ", this kernel needs codes of 32 bits");
  return fits_int32(q);
}

Storage input_storage(const Query&) { return Storage::dwords(); }

std::vector<Variant> variants(const Query&, const jit::Target&) { return {{1, 1, 0}}; }

/// What pack and emit agree on.
struct Plan {
  Plan(const Query& q, const jit::Target& target)
      : lanes(channel_lanes(target)), c(q.window.c), n(q.window.n), tile_bytes(c * lanes * 4) {
    Places places;
    weights = places.next((n + lanes - 1) / lanes * tile_bytes);
    tail = places.next(0);
  }
  int lanes;
  int64_t c, n, tile_bytes, weights, tail;
};

std::vector<uint8_t> pack(const Query& q, const Variant&, const jit::Target& target) {
  const Plan plan(q, target);
  const auto codes = q.weight_codes->i64();
  std::vector<int32_t> weights;
  for (int64_t first = 0; first < plan.n; first += plan.lanes)
    for (int64_t k = 0; k < plan.c; ++k)
      for (int64_t u = first; u < first + plan.lanes; ++u) {
        const int64_t code = u < plan.n ? codes[static_cast<size_t>(k * plan.n + u)] : 0;
        weights.push_back(static_cast<int32_t>(code));
      }
  std::vector<uint8_t> out;
  append(out, weights);
  append_tail(out, *q.tail, plan.n, plan.lanes);
  return out;
}

void emit(const Query& q, const Variant&, Emitter& e) {
  const Plan plan(q, e.target());
  const Tail& tail = *q.tail;
  const TailLayout layout = lay_out_tail(tail, plan.n, plan.lanes);
  const KernelBuffers b = kernel_buffers(e, tail, /*has_scratch=*/false);
  emit_clear_bits(e, tail, b.outputs, /*positions=*/1, plan.n);
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](Value sample) {
    const Value x = e.offset(b.input, e.multiply(sample, plan.c * 4));
    TailPlace place =
        place_at(e, tail, e.offset(b.constants, plan.tail), b.operands, b.outputs, sample, plan.n);
    auto tile = [&](Value index, int valid_lanes) {
      const Value w = e.offset(b.constants, e.multiply(index, plan.tile_bytes));
      const jit::Variable sums = e.variable(e.zeros(Element::i32, plan.lanes));
      e.loop("k", e.integer(0), e.integer(plan.c), 1, 0, [&](Value k) {
        const Value in = e.load_splat(e.offset(x, e.multiply(k, 4)), Element::i32, plan.lanes);
        const Value row = e.offset(w, e.multiply(k, int64_t{4} * plan.lanes));
        const Value products = e.multiply(in, e.load(row, Element::i32, plan.lanes));
        e.set(sums, e.add(e.get(sums), products));
      });
      place.channel = e.multiply(index, plan.lanes);
      place.valid_lanes = valid_lanes;
      emit_tail(e, tail, layout, e.get(sums), place);  // what follows the sums, and the stores
    };
    const int64_t full = plan.n / plan.lanes;
    if (full > 0)
      e.loop("tiles", e.integer(0), e.integer(full), 1, 0,
             [&](Value index) { tile(index, plan.lanes); });
    if (plan.n % plan.lanes > 0) tile(e.integer(full), static_cast<int>(plan.n % plan.lanes));
  });
}

}  // namespace

extern constinit const KernelDef dense_columns{
    .name = "dense_columns",
    .doc = "Dense, codes of any width: 32-bit products, outputs in the lanes.",
    .source = "own",
    .match = match,
    .input_storage = input_storage,
    .variants = variants,
    .pack = pack,
    .emit = emit};

}  // namespace qloom::kernels
