// graph/ops/slice.cc — some indices of one axis, at equal distances, forwards or backwards. Values
// do not change.
#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};

template <class T>
std::vector<T> taken(std::span<const T> x, const Extents& extents, const Slice& s) {
  const auto axis = static_cast<size_t>(s.axis);
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < axis; ++i) outer *= extents[i];
  for (size_t i = axis + 1; i < extents.size(); ++i) inner *= extents[i];
  std::vector<T> out;
  out.reserve(static_cast<size_t>(outer * s.count * inner));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t k = 0; k < s.count; ++k) {
      const auto from = x.begin() + (o * extents[axis] + s.begin + k * s.stride) * inner;
      out.insert(out.end(), from, from + inner);
    }
  return out;
}

std::vector<TensorType> infer(const InferContext& c) {
  const auto s = from_attributes<Slice>(c.node.attributes);
  const TensorType& x = c.operands[0];
  check(c, s.axis >= 0 && s.axis < x.rank(), "axis ", s.axis, " is not an axis of ", x.rank(),
        " dimensions, counted from the front");
  const auto axis = static_cast<size_t>(s.axis);
  check(c, x.shape[axis].is_static(), "axis ", s.axis, " is the batch axis");
  const int64_t extent = x.shape[axis].extent();
  check(c, s.count >= 1 && s.count <= extent && s.stride >= -extent && s.stride <= extent, "count ",
        s.count, " and stride ", s.stride, " do not fit an axis of ", extent);
  const int64_t last = s.begin + (s.count - 1) * s.stride;
  check(c, s.begin >= 0 && s.begin < extent && last >= 0 && last < extent, "elements ", s.begin,
        " to ", last, " are not all within an axis of ", extent);
  Shape shape = x.shape;
  shape[axis] = Dim(s.count);
  if (x.scale.is_dynamic()) return {{std::move(shape), Numeric::float32(), {}}};
  const int64_t along[] = {s.axis};
  if (constant_along(x.scale, x.rank(), along)) return {{std::move(shape), x.numeric, x.scale}};
  const Tensor values = x.scale.values();
  Extents extents(static_cast<size_t>(x.rank() - values.rank()), 1);
  extents.insert(extents.end(), values.extents().begin(), values.extents().end());
  std::vector<double> scale = taken(values.f64(), extents, s);
  extents[axis] = s.count;
  return {{std::move(shape), x.numeric, compressed_scale(std::move(extents), std::move(scale))}};
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto s = from_attributes<Slice>(c.node.attributes);
  const RuntimeValue& x = c.operands[0];
  const Extents& from = x.data.extents();
  Extents to = from;
  to[static_cast<size_t>(s.axis)] = s.count;
  if (wants_codes(c)) return single(result(c, to, taken(x.data.i64(), from, s)));
  const Tensor f = to_f32(x);
  return single(result(c, to, taken(f.f32(), from, s)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef slice{
    .name = "slice",
    .doc = "Elements of one axis at equal distances, forwards or backwards.",
    .operands = kOperands,
    .attrs = attrs_of<Slice>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
