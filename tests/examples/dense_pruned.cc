// tests/examples/dense_pruned.cc: a kernel for dense layers most of whose inputs training cut off:
//   sum[u] = Σ x[k] · w[k][u]  over the inputs k that have a weight; one sample after the other
#include "kernels/conv/geometry.h"

using namespace qloom;
using namespace qloom::kernels;
using enum jit::Element;
static std::vector<int64_t> used_inputs(const Query& q) {
  std::vector<int64_t> used;
  for (int64_t k = 0; k < q.window.c; ++k)
    for (const int64_t w : q.weight_codes->i64().subspan(k * q.window.n, q.window.n))
      if (w != 0 && (used.empty() || used.back() != k)) used.push_back(k);
  return used;
}

static Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (!q.window.is_dense()) return Verdict::no("it is no dense layer of one position");
  if (const auto used = std::ssize(used_inputs(q)); 4 * used > q.window.c || used > 64)
    return Verdict::no(used, " of ", q.window.c, " inputs have weights, it needs a quarter, ≤ 64");
  return fits_int32(q);
}

static void emit(const Query& q, const Variant&, jit::Emitter& e) {
  const int64_t lanes = channel_lanes(e.target()), n = q.window.n;
  const KernelBuffers b = kernel_buffers(e, *q.tail, /*has_scratch=*/false);
  emit_clear_bits(e, *q.tail, b.outputs, /*positions=*/1, n);
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](jit::Value sample) {
    const jit::Value x = e.offset(b.input, e.multiply(sample, q.window.c * 4));
    TailPlace place = place_at(e, *q.tail, b.constants, b.operands, b.outputs, sample, n);
    for (int64_t first = 0; first < n; first += lanes) {
      place.valid_lanes = std::min(lanes, n - first);
      jit::Value sums = e.zeros(i32, lanes);
      for (const int64_t k : used_inputs(q)) {
        std::vector<int64_t> w(lanes, 0);
        for (int u = 0; u < place.valid_lanes; ++u) w[u] = q.weight_codes->i64()[k * n + first + u];
        const jit::Value in = e.load_splat(e.offset(x, k * 4), i32, lanes);
        sums = e.add(sums, e.multiply(in, e.vector_constant(i32, w)));
      }
      place.channel = e.integer(first);
      emit_tail(e, *q.tail, lay_out_tail(*q.tail, n, lanes), sums, place);  // to the output
    }
  });
}

extern constinit const KernelDef dense_pruned{
    .name = "dense_pruned",
    .doc = "Dense, codes of any width: only the inputs that have a weight.",
    .source = "own",
    .match = match,
    .input_storage = [](const Query&) { return Storage::dwords(); },
    .variants = [](const Query&, const jit::Target&) { return std::vector<Variant>{{1, 1, 0}}; },
    .pack =
        [](auto& q, auto&, auto& target) {
          std::vector<uint8_t> tables;  // of the tail; the weights are in the code
          append_tail(tables, *q.tail, q.window.n, channel_lanes(target));
          return tables;
        },
    .emit = emit};
