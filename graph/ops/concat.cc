// graph/ops/concat.cc — operands one after the other along an axis. Values do not change; codes are
// kept where all operands have one scale, or are re-expressed on a common power-of-two grid.
#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x", .variadic = true}};

std::vector<TensorType> infer(const InferContext& c) {
  const auto attributes = from_attributes<Concat>(c.node.attributes);
  check(c, !c.operands.empty(), "nothing to concatenate");
  Shape shape = c.operands[0].shape;
  const int64_t axis = check_axis(c, attributes.axis, static_cast<int>(shape.size()));
  const auto at = static_cast<size_t>(axis);
  int64_t total = 0;
  for (const TensorType& t : c.operands) {
    check(c, t.shape.size() == shape.size(), "the operands have different numbers of axes");
    check(c, t.shape[at].is_static(), "axis ", axis, " is the batch axis");
    total += t.shape[at].extent();
    for (size_t i = 0; i < shape.size(); ++i)
      check(c, i == at || t.shape[i] == shape[i], "the operands differ on axis ", i);
  }
  shape[at] = Dim(total);
  return {join_types(std::move(shape), c.operands, axis)};
}

template <class T>
std::vector<T> join_parts(const std::vector<std::vector<T>>& parts,
                          const std::vector<int64_t>& lengths, int64_t outer) {
  std::vector<T> out;
  for (int64_t o = 0; o < outer; ++o)
    for (size_t p = 0; p < parts.size(); ++p)
      out.insert(out.end(), parts[p].begin() + o * lengths[p],
                 parts[p].begin() + (o + 1) * lengths[p]);
  return out;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto attributes = from_attributes<Concat>(c.node.attributes);
  Extents extents = c.operands[0].data.extents();
  const auto axis =
      static_cast<size_t>(front_axis(attributes.axis, static_cast<int64_t>(extents.size())));
  int64_t outer = 1, inner = 1, total = 0;
  for (size_t i = 0; i < axis; ++i) outer *= extents[i];
  for (size_t i = axis + 1; i < extents.size(); ++i) inner *= extents[i];
  std::vector<int64_t> lengths;
  for (const RuntimeValue& x : c.operands) {
    total += x.data.extents()[axis];
    lengths.push_back(x.data.extents()[axis] * inner);
  }
  extents[axis] = total;
  if (wants_codes(c)) {
    std::vector<std::vector<int64_t>> parts;
    for (const RuntimeValue& x : c.operands) parts.push_back(codes_as(x, c.results[0]));
    return single(result(c, extents, join_parts(parts, lengths, outer)));
  }
  std::vector<std::vector<float>> parts;
  for (const RuntimeValue& x : c.operands) {
    const Tensor f = to_f32(x);
    parts.emplace_back(f.f32().begin(), f.f32().end());
  }
  return single(result(c, extents, join_parts(parts, lengths, outer)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef concat{.name = "concat",
                                    .doc = "Operands one after the other along an axis.",
                                    .operands = kOperands,
                                    .attrs = attrs_of<Concat>,
                                    .infer = infer,
                                    .evaluate = evaluate,
                                    .count = count};

}  // namespace qloom::ops
