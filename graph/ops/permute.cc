// graph/ops/permute.cc — axes in another order: result axis i is operand axis axes[i].
#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "x"}};

template <class List>
List permuted(const List& list, const std::vector<int64_t>& axes) {
  List out;
  for (const int64_t a : axes) out.push_back(list[static_cast<size_t>(a)]);
  return out;
}

std::vector<TensorType> infer(const InferContext& c) {
  const auto p = from_attributes<Permute>(c.node.attributes);
  const TensorType& x = c.operands[0];
  std::vector<int64_t> sorted = p.axes;
  std::sort(sorted.begin(), sorted.end());
  check(c, sorted.size() == x.shape.size(), "axes has ", sorted.size(), " entries, x has ",
        x.rank(), " axes");
  for (size_t i = 0; i < sorted.size(); ++i)
    check(c, sorted[i] == static_cast<int64_t>(i), "axes is not a permutation");
  Shape shape = permuted(x.shape, p.axes);
  if (x.scale.is_dynamic()) return {{std::move(shape), Numeric::float32(), {}}};
  if (x.scale.is_per_tensor()) return {{std::move(shape), x.numeric, x.scale}};
  // Only axes along which the scale changes have an extent; they move as the values do.
  const Tensor values = x.scale.values();
  Extents full(static_cast<size_t>(x.rank() - values.rank()), 1);
  full.insert(full.end(), values.extents().begin(), values.extents().end());
  const Extents to = permuted(full, p.axes);
  std::vector<int64_t> strides = broadcast_strides(full, full);
  const std::vector<int64_t> none(full.size(), 0);
  std::vector<double> moved(static_cast<size_t>(values.size()));
  for_each_offset(to, permuted(strides, p.axes), none, [&](int64_t i, int64_t from, int64_t) {
    moved[static_cast<size_t>(i)] = values.f64()[static_cast<size_t>(from)];
  });
  return {{std::move(shape), x.numeric, Scale::constant(Tensor(to, std::move(moved)))}};
}

template <class T>
std::vector<T> move_elements(std::span<const T> x, const Extents& from, const Extents& to,
                             const std::vector<int64_t>& axes) {
  std::vector<T> out(x.size());
  std::vector<int64_t> strides(from.size(), 1);
  for (size_t i = from.size(); i-- > 1;) strides[i - 1] = strides[i] * from[i];
  const std::vector<int64_t> none(from.size(), 0);
  for_each_offset(to, permuted(strides, axes), none, [&](int64_t i, int64_t at, int64_t) {
    out[static_cast<size_t>(i)] = x[static_cast<size_t>(at)];
  });
  return out;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const auto p = from_attributes<Permute>(c.node.attributes);
  const RuntimeValue& x = c.operands[0];
  const Extents& from = x.data.extents();
  const Extents to = permuted(from, p.axes);
  if (wants_codes(c)) return single(result(c, to, move_elements(x.data.i64(), from, to, p.axes)));
  const Tensor f = to_f32(x);
  return single(result(c, to, move_elements(f.f32(), from, to, p.axes)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef permute{
    .name = "permute",
    .doc = "Axes in another order: result axis i is operand axis axes[i].",
    .operands = kOperands,
    .attrs = attrs_of<Permute>,
    .infer = infer,
    .evaluate = evaluate,
    .count = count};

}  // namespace qloom::ops
