// graph/ops/dense.cc — x [..., C] times kernel [C, U].
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops/sum_of_products.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}, {.name = "kernel"}};

std::vector<TensorType> infer(const InferContext& c) {
  const TensorType &x = c.operands[0], &w = c.operands[1];
  check(c, x.rank() >= 1, "x needs a last axis");
  check(c, w.rank() == 2, "the kernel has ", w.rank(), " axes, expected [inputs, units]");
  check(c, w.shape[0].is_static() && w.shape[1].is_static(), "the kernel has a batch axis");
  check(c, x.shape.back() == w.shape[0], "kernel has ", w.shape[0].extent(), " inputs, x has ",
        x.shape.back().is_batch() ? std::string("N") : std::to_string(x.shape.back().extent()));
  Shape shape = x.shape;
  shape.back() = w.shape[1];
  const int64_t inputs = w.shape[0].extent(), units = w.shape[1].extent();
  const auto s = sum_of_products(x, w);
  if (!s) return {{shape, Numeric::float32(), {}}};
  SumInterval all;
  if (c.constants[1]) {
    std::vector<int64_t> storage;
    ChannelSums sums(static_cast<size_t>(units), s->w);
    sums.add(s->signed_w_codes(*c.constants[1]->constant, storage), s->x.lo, s->x.hi);
    all = sums.hull();
  } else {
    SumInterval low, high;
    low.add(s->w.lo, s->x.lo, s->x.hi);
    high.add(s->w.hi, s->x.lo, s->x.hi);
    all = {std::min(low.lo, high.lo) * inputs, std::max(low.hi, high.hi) * inputs};
  }
  return {s->type(std::move(shape), all.lo, all.hi)};
}

// Sums in ascending order of the input.
template <class T>
std::vector<T> multiply(const std::vector<T>& x, const std::vector<T>& w, size_t inputs,
                        size_t units) {
  const size_t rows = inputs == 0 ? 0 : x.size() / inputs;
  std::vector<T> out(rows * units, T{0});
  for (size_t r = 0; r < rows; ++r) {
    T* sum = &out[r * units];
    for (size_t i = 0; i < inputs; ++i) {
      const T value = x[r * inputs + i];
      const T* row = &w[i * units];
      for (size_t u = 0; u < units; ++u) sum[u] += value * row[u];
    }
  }
  return out;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const Extents& kernel = c.operands[1].data.extents();
  Extents extents = c.operands[0].data.extents();
  const auto inputs = static_cast<size_t>(kernel[0]), units = static_cast<size_t>(kernel[1]);
  extents.back() = kernel[1];
  if (wants_codes(c)) {
    const auto s = sum_of_products(c.operands[0].type, c.operands[1].type);
    qloom_assert(s, label(c.node), ": the operands' scales do not factor out");
    const auto sums =
        multiply(s->x_codes(c.operands[0]), s->w_codes(c.operands[1].data), inputs, units);
    return single(result(c, extents, std::vector<int64_t>(sums.begin(), sums.end())));
  }
  const Tensor x = to_f32(c.operands[0]), w = to_f32(c.operands[1]);
  const auto sums = multiply(std::vector<double>(x.f32().begin(), x.f32().end()),
                             std::vector<double>(w.f32().begin(), w.f32().end()), inputs, units);
  return single(result(c, extents, std::vector<float>(sums.begin(), sums.end())));
}

OpCounts count(const Node&, std::span<const TensorType> operands,
               std::span<const TensorType> results) {
  return {.multiply_accumulates =
              elements_per_sample(results[0].shape) * operands[1].shape[0].extent()};
}

}  // namespace

extern constinit const OpDef dense{
    .name = "dense",
    .doc =
        "x [..., C] times kernel [C, U]: exact where both have codes whose scales factor out of "
        "the "
        "sum, else summed in float64 in ascending order and rounded once.",
    .operands = kOperands,
    .attrs = attrs_of<Dense>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
