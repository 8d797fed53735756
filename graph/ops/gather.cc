// graph/ops/gather.cc — rows of a table by their numbers.
#include <algorithm>
#include <cmath>

#include "graph/ops/attributes.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"

namespace qloom::ops {
namespace {

constexpr OperandDef kOperands[] = {{.name = "table"}, {.name = "indices"}};

std::vector<TensorType> infer(const InferContext& c) {
  const TensorType &table = c.operands[0], &indices = c.operands[1];
  check(c, table.rank() >= 1, "the table has no rows");
  for (const Dim d : table.shape)
    check(c, d.is_static() && d.extent() >= 1, "the table is empty or has the batch symbol");
  Shape shape = indices.shape;
  shape.insert(shape.end(), table.shape.begin() + 1, table.shape.end());
  const int64_t rows[] = {0};
  if (table.scale.is_dynamic() || !constant_along(table.scale, table.rank(), rows))
    return {{std::move(shape), Numeric::float32(), {}}};
  if (table.scale.is_per_tensor()) return {{std::move(shape), table.numeric, table.scale}};
  // The scale of a row, for every index.
  const Tensor values = table.scale.values();
  Extents row(static_cast<size_t>(table.rank() - values.rank()), 1);
  row.insert(row.end(), values.extents().begin(), values.extents().end());
  Extents extents(indices.shape.size(), 1);
  extents.insert(extents.end(), row.begin() + 1, row.end());
  return {{std::move(shape), table.numeric, Scale::constant(values.reshaped(extents))}};
}

template <class T>
std::vector<T> rows_at(std::span<const T> table, int64_t row, const std::vector<int64_t>& at) {
  std::vector<T> y;
  for (const int64_t i : at)
    y.insert(y.end(), table.begin() + i * row, table.begin() + (i + 1) * row);
  return y;
}

std::vector<RuntimeValue> evaluate(const EvaluateContext& c) {
  const RuntimeValue& table = c.operands[0];
  const Tensor indices = to_f32(c.operands[1]);
  const int64_t rows = table.data.extents()[0], row = table.data.size() / rows;
  std::vector<int64_t> at;
  for (const float index : indices.f32()) {
    qloom_check(index > -1 && index < static_cast<float>(rows), label(c.node), ": the value ",
                index, " at element ", at.size(), " is no index of a table with ", rows, " rows");
    at.push_back(static_cast<int64_t>(index));
  }
  Extents extents = indices.extents();
  extents.insert(extents.end(), table.data.extents().begin() + 1, table.data.extents().end());
  if (wants_codes(c)) return single(result(c, extents, rows_at(table.data.i64(), row, at)));
  const Tensor f = to_f32(table);
  return single(result(c, extents, rows_at(f.f32(), row, at)));
}

OpCounts count(const Node&, std::span<const TensorType>, std::span<const TensorType>) { return {}; }

}  // namespace

extern constinit const OpDef gather{.name = "gather",
                                    .doc = "Rows of a table by their numbers, rounded towards 0.",
                                    .operands = kOperands,
                                    .attrs = attrs_of<Gather>,
                                    .infer = infer,
                                    .evaluate = evaluate,
                                    .count = count};

}  // namespace qloom::ops
