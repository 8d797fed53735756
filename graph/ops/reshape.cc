// graph/ops/reshape.cc — the same elements in row-major order under other extents; the batch axis
// stays first. A scale per channel moves with its elements.
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};

bool has_batch(const Shape& shape) {
  return std::any_of(shape.begin(), shape.end(), [](Dim d) { return d.is_batch(); });
}

// The extents without the batch axis, with -1 resolved.
Extents resolved(const InferContext& c, const Reshape& r, int64_t elements) {
  Extents out = r.extents;
  int64_t known = 1;
  auto open = out.end();
  for (auto it = out.begin(); it != out.end(); ++it) {
    if (*it == -1) {
      check(c, open == out.end(), "more than one extent is -1");
      open = it;
    } else {
      check(c, *it >= 0, "extent ", *it, " is negative");
      check(c, !__builtin_mul_overflow(known, *it, &known), "the extents overflow");
    }
  }
  if (open != out.end()) {
    check(c, known > 0 && elements % known == 0, elements, " elements do not divide into ",
          Attributes{{"extents", r.extents}});
    *open = elements / known;
    known *= *open;
  }
  check(c, known == elements, "x has ", elements, " elements, the new shape ", known);
  return out;
}

std::vector<TensorType> infer(const InferContext& c) {
  const auto r = from_attributes<Reshape>(c.node.attributes);
  const TensorType& x = c.operands[0];
  const bool batch = has_batch(x.shape);
  check(c, !batch || x.shape[0].is_batch(), "the batch axis is not the first");
  const Extents rest = resolved(c, r, elements_per_sample(x.shape));
  Shape shape;
  if (batch) shape.push_back(Dim::batch());
  shape.insert(shape.end(), rest.begin(), rest.end());
  if (x.scale.is_dynamic()) return {{std::move(shape), Numeric::float32(), {}}};
  if (x.scale.is_per_tensor()) return {{std::move(shape), x.numeric, x.scale}};
  Scale scale =
      compressed_scale(qloom::bind(shape, 1), spread(x.scale.values(), qloom::bind(x.shape, 1)));
  return {{std::move(shape), x.numeric, std::move(scale)}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto r = from_attributes<Reshape>(c.node.attributes);
  const RuntimeValue& x = c.operands[0];
  Extents extents;
  if (has_batch(c.results[0].shape)) extents.push_back(x.data.extents()[0]);
  int64_t known = 1;
  for (const int64_t e : extents) known *= e;
  for (const int64_t e : r.extents) known *= e == -1 ? 1 : e;
  for (const int64_t e : r.extents)
    extents.push_back(e != -1 ? e : known == 0 ? 0 : x.data.size() / known);
  if (wants_codes(c)) {
    const auto codes = x.data.i64();
    return single(result(c, extents, std::vector<int64_t>(codes.begin(), codes.end())));
  }
  const Tensor f = to_f32(x);
  return single(result(c, extents, std::vector<float>(f.f32().begin(), f.f32().end())));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef reshape{
    .name = "reshape",
    .doc = "The same elements under other extents; the batch axis stays first.",
    .operands = kOperands,
    .attrs = attrs_of<Reshape>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
