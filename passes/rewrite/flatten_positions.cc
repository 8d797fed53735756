#include <algorithm>
#include <optional>
#include <vector>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// Tails have constants for each channel. A constant that varies along other axes too is one for
// each channel where all axes of a sample are a single one, which costs nothing: elements lie as
// before.

namespace qloom::passes {
namespace {

bool has_one_step(const TensorType& type) {
  return type.scale.is_none() || type.scale.is_per_tensor();
}

/// [N, …] of known extents and at least two of them.
bool has_positions(const TensorType& type) {
  return type.rank() >= 3 && type.shape[0].is_batch() && has_one_step(type) &&
         std::all_of(type.shape.begin() + 1, type.shape.end(),
                     [](Dim d) { return d.is_static() && d.extent() > 0; });
}

/// The axis that the constant's only axis stands for, where it is not the last; none: axes are
/// counted from behind.
std::optional<int64_t> parameter_axis(const Node& node) {
  if (node.op != &ops::batch_norm) return std::nullopt;
  return from_attributes<ops::BatchNorm>(node.attributes).axis;
}

/// Does a constant vary along another axis than the last, all else being elementwise?
bool varies_by_position(const Graph& graph, const Node& node) {
  if (node.op != &ops::elementwise && node.op != &ops::batch_norm) return false;
  const TensorType& y = graph.type(node.results[0]);
  if (!has_positions(y)) return false;
  const auto axis = parameter_axis(node);
  bool varies = axis && *axis > 0 && *axis < y.rank() - 1;
  for (const ValueId operand : node.operands) {
    const TensorType& type = graph.type(operand);
    if (!has_one_step(type)) return false;
    if (const Node* constant = graph.constant_of(operand)) {
      if (axis) continue;
      varies = varies || channels_of_constant(constant->constant->extents()) < 0;
    } else if (is_constant(graph, operand) || type.shape != y.shape) {
      return false;
    }
  }
  return varies;
}

/// The element of the constant for each element of a sample; none where the constant is broader.
std::optional<std::vector<int64_t>> places(const Extents& constant, const Extents& sample,
                                           std::optional<int64_t> axis) {
  const auto rank = static_cast<int64_t>(sample.size());
  // The step in the constant along each axis of the sample.
  std::vector<int64_t> steps(sample.size(), 0);
  int64_t step = 1;
  for (int64_t k = std::ssize(constant) - 1; k >= 0; --k) {
    const int64_t extent = constant[static_cast<size_t>(k)];
    const int64_t to = axis ? *axis - 1 : rank - (std::ssize(constant) - k);
    if (to < 0 && extent != 1) return std::nullopt;
    if (to >= 0 && extent != 1) {
      if (extent != sample[static_cast<size_t>(to)]) return std::nullopt;
      steps[static_cast<size_t>(to)] = step;
    }
    step *= extent;
  }
  std::vector<int64_t> out(static_cast<size_t>(element_count(sample)));
  for (size_t i = 0; i < out.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    for (int64_t a = rank - 1; a >= 0; --a) {
      const auto at = static_cast<size_t>(a);
      out[i] += rest % sample[at] * steps[at];
      rest /= sample[at];
    }
  }
  return out;
}

template <class T>
Tensor picked(std::span<const T> from, const std::vector<int64_t>& places) {
  std::vector<T> out;
  out.reserve(places.size());
  for (const int64_t p : places) out.push_back(from[static_cast<size_t>(p)]);
  return Tensor({std::ssize(places)}, std::move(out));
}

bool flatten(Graph& graph, NodeId id) {
  const Extents sample = [&] {
    const Shape& shape = graph.type(graph.node(id).results[0]).shape;
    Extents out;
    for (size_t i = 1; i < shape.size(); ++i) out.push_back(shape[i].extent());
    return out;
  }();
  const auto axis = parameter_axis(graph.node(id));
  const std::vector<ValueId> operands = graph.node(id).operands;
  std::vector<std::vector<int64_t>> from(operands.size());
  for (size_t i = 0; i < operands.size(); ++i) {
    const Node* constant = graph.constant_of(operands[i]);
    if (constant == nullptr || constant->constant->size() == 1) continue;
    auto found = places(constant->constant->extents(), sample, axis);
    if (!found) return false;
    from[i] = std::move(*found);
  }
  Node& node = graph.node(id);
  const std::string name = node.name;
  const AddLike add(graph, node);
  const ValueId y = node.results[0];
  const OpDef& op = *node.op;
  Attributes attributes = node.attributes;
  if (axis) {
    auto norm = from_attributes<ops::BatchNorm>(attributes);
    norm.axis = 1;
    attributes = to_attributes(norm);
  }
  node.name = graph.fresh_name(name + ".positions");
  const auto reshape = [&](const std::string& what, ValueId x, const Extents& extents) {
    return add(ops::reshape, what, {x}, to_attributes(ops::Reshape{extents}));
  };
  std::vector<ValueId> flat;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Node* constant = graph.constant_of(operands[i]);
    if (constant == nullptr) {
      flat.push_back(reshape(name + "/flat", operands[i], {element_count(sample)}));
    } else if (from[i].empty()) {
      flat.push_back(operands[i]);
    } else {
      const std::string spread = constant->name + "/spread";
      const Tensor& values = *constant->constant;
      if (graph.type(operands[i]).has_codes() && values.dtype() == DType::i64) {
        TensorType type = graph.type(operands[i]);
        type.shape = {Dim(element_count(sample))};
        flat.push_back(add.constant(spread, picked(values.i64(), from[i]), type));
      } else {
        flat.push_back(add.constant(spread, picked(values.f32(), from[i])));
      }
    }
  }
  const ValueId done = add(op, name + "/flattened", flat, attributes);
  const ValueId result = reshape(name, done, sample);
  graph.replace_all_uses(y, result);
  graph.erase(id);
  return true;
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (const NodeId id : graph.order())
    if (varies_by_position(graph, graph.node(id))) rewrites += flatten(graph, id) ? 1 : 0;
  return rewrites;
}

}  // namespace

extern constinit const PassDef flatten_positions{
    .name = "flatten_positions",
    .doc =
        R"(Makes one axis of all where a constant varies along another axis than the last.
              x [N, H, W, C] · k [H, W, 1]  →  reshape(reshape(x) [N, HWC] · k [HWC])
              Needs: nothing.  Gives: constants by channel, which tails have.)",
    .run = run};

}  // namespace qloom::passes
