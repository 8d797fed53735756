#include "passes/moves.h"

#include <algorithm>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"

namespace qloom::passes {
namespace {

using kernels::Move;

/// Codes of x are codes of y: as many steps, in the same places or everywhere.
bool keeps_codes(const TensorType& x, const TensorType& y) {
  if (!y.has_codes() || !x.has_codes()) return !y.has_codes();
  if (y.scale.is_per_tensor() && x.scale.is_per_tensor())
    return x.step().f64()[0] == y.step().f64()[0];
  // Only pad changes steps at all, and there a scale along an axis stays as it is.
  return x.numeric.grid()->fraction == y.numeric.grid()->fraction;
}

/// [N, …] of known extents, the last of them channels of a tail.
bool has_samples(const TensorType& type) {
  return type.rank() >= 2 && type.shape[0].is_batch() &&
         std::all_of(type.shape.begin() + 1, type.shape.end(),
                     [](Dim d) { return d.is_static() && d.extent() > 0; });
}

bool has_values(const TensorType& type) {
  return type.has_codes() || (type.is_float32() && type.scale.is_none());
}

/// From one element of an axis to the next, within a sample.
std::vector<int64_t> distances(const Shape& shape) {
  std::vector<int64_t> out(shape.size(), 1);
  for (size_t i = shape.size() - 1; i-- > 0;) out[i] = out[i + 1] * shape[i + 1].extent();
  return out;
}

Move::Axis axis_of(int64_t extent, int64_t stride) {
  return {.extent = extent, .stride = stride, .before = 0, .inside = extent};
}

}  // namespace

std::optional<Move> move_of(const Graph& graph, const Node& node) {
  if (node.op != &ops::slice && node.op != &ops::permute && node.op != &ops::pad &&
      node.op != &ops::resize)
    return std::nullopt;
  const TensorType &x = graph.type(node.operands[0]), &y = graph.type(node.results[0]);
  if (!has_samples(x) || !has_samples(y) || !keeps_codes(x, y)) return std::nullopt;
  const std::vector<int64_t> strides = distances(x.shape);
  Move move;
  const auto rank = static_cast<size_t>(y.rank());
  for (size_t i = 1; i < rank; ++i)
    move.axes.push_back(axis_of(y.shape[i].extent(), i < strides.size() ? strides[i] : 0));
  if (node.op == &ops::slice) {
    const auto s = from_attributes<ops::Slice>(node.attributes);
    const auto axis = static_cast<size_t>(s.axis);
    move.axes[axis - 1].stride *= s.stride;
    move.first = s.begin * strides[axis];
  } else if (node.op == &ops::permute) {
    const auto axes = from_attributes<ops::Permute>(node.attributes).axes;
    if (axes.empty() || axes[0] != 0) return std::nullopt;
    for (size_t i = 1; i < rank; ++i)
      move.axes[i - 1].stride = strides[static_cast<size_t>(axes[i])];
  } else if (node.op == &ops::pad) {
    const auto before = from_attributes<ops::Pad>(node.attributes).before;
    for (size_t i = 1; i < rank; ++i) {
      move.axes[i - 1].before = before[i];
      move.axes[i - 1].inside = x.shape[i].extent();
    }
  } else {
    const auto resize = from_attributes<ops::Resize>(node.attributes);
    if (resize.interpolation != ops::Interpolation::nearest) return std::nullopt;
    move.axes.clear();
    for (size_t i = 0; i < resize.scales.size(); ++i) {
      move.axes.push_back(axis_of(x.shape[i + 1].extent(), strides[i + 1]));
      move.axes.push_back(axis_of(resize.scales[i], 0));
    }
    move.axes.push_back(axis_of(x.shape.back().extent(), 1));
  }
  return move;
}

bool moves_elements(const Graph& graph, const Node& node) {
  if (node.operands.empty() || node.results.size() != 1) return false;
  const TensorType& y = graph.type(node.results[0]);
  if (!has_samples(y) || !has_values(y)) return false;
  if (node.op == &ops::gather) {
    const TensorType &table = graph.type(node.operands[0]), &numbers = graph.type(node.operands[1]);
    return is_constant(graph, node.operands[0]) && !is_constant(graph, node.operands[1]) &&
           table.rank() >= 2 && !numbers.shape.empty() && numbers.shape[0].is_batch() &&
           has_values(numbers);
  }
  if (is_constant(graph, node.operands[0]) || !has_values(graph.type(node.operands[0])))
    return false;
  if (node.op == &ops::resize &&
      from_attributes<ops::Resize>(node.attributes).interpolation == ops::Interpolation::bilinear)
    return has_samples(graph.type(node.operands[0]));
  return move_of(graph, node).has_value();
}

}  // namespace qloom::passes
