// tests/examples/dense_pruned.cc: a kernel for dense layers most of whose inputs training cut off:
//   sum[u] = Σ x[k] · w[k][u]  over the inputs k that have a weight; one sample after the other
#include "kernels/conv/geometry.h"

using namespace qloom;
using namespace qloom::kernels;
constexpr auto kI32 = jit::Element::i32;

static std::vector<int64_t> used_inputs(const Query& q) {
  std::vector<int64_t> used;
  for (int64_t k = 0; k < q.window.c; ++k)
    for (const int64_t w : q.weight_codes->i64().subspan(k * q.window.n, q.window.n))
      if (w != 0 && (used.empty() || used.back() != k)) used.push_back(k);
  return used;
}

static Verdict match(const Query& q) {
  if (Verdict v = has_constant_codes(q); !v) return v;
  if (!q.window.is_dense()) return Verdict::no("several positions, this kernel needs one a sample");
  if (const auto used = std::ssize(used_inputs(q)); 4 * used > q.window.c || used > 64)
    return Verdict::no(used, " of ", q.window.c, " inputs have weights, it needs a quarter, ≤ 64");
  return fits_int32(q);
}

static std::vector<uint8_t> pack(const Query& q, const Variant&, const jit::Target& target) {
  std::vector<int32_t> weights;  // [tile of outputs][used input][lane]
  for (int64_t first = 0; first < q.window.n; first += channel_lanes(target))
    for (const int64_t k : used_inputs(q))
      for (int64_t u = first; u < first + channel_lanes(target); ++u)
        weights.push_back(u < q.window.n ? q.weight_codes->i64()[k * q.window.n + u] : 0);
  std::vector<uint8_t> out;
  append(out, weights);
  append_tail(out, *q.tail, q.window.n, channel_lanes(target));
  return out;
}

static void emit(const Query& q, const Variant&, jit::Emitter& e) {
  const std::vector<int64_t> used = used_inputs(q);
  const int64_t n = q.window.n, lanes = channel_lanes(e.target()), tiles = (n + lanes - 1) / lanes;
  const int64_t tables = (tiles * std::ssize(used) * lanes * 4 + 63) / 64 * 64;  // behind weights
  const KernelBuffers b = kernel_buffers(e, *q.tail, /*has_scratch=*/false);
  emit_clear_bits(e, *q.tail, b.outputs, /*positions=*/1, n);
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](jit::Value sample) {
    const jit::Value x = e.offset(b.input, e.multiply(sample, q.window.c * 4));
    TailPlace place =
        place_at(e, *q.tail, e.offset(b.constants, tables), b.operands, b.outputs, sample, n);
    for (int64_t first = 0, at = 0; first < n; first += lanes) {
      jit::Value sums = e.zeros(kI32, lanes);
      for (const int64_t k : used) {
        const jit::Value in = e.load_splat(e.offset(x, k * 4), kI32, lanes);
        sums = e.add(sums, e.multiply(in, e.load(e.offset(b.constants, at), kI32, lanes)));
        at += lanes * 4;
      }
      place.channel = e.integer(first);
      place.valid_lanes = std::min(lanes, n - first);
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
    .pack = pack,
    .emit = emit};
