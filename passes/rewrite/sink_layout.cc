#include <algorithm>
#include <optional>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// A reshape, permutation or slice between a convolution and its activation keeps them from becoming
// one region. Elementwise ops do not care in which order elements come, so they trade places:
//   f(permute(x)) = permute(f(x))
// with the attributes of f that name an axis, and its constants, permuted back. Constants along the
// last axis pass reshapes that split it: they are repeated.

namespace qloom::passes {
namespace {

/// A slice that leaves most of its axis: what is cut off is computed in vain.
bool keeps_most(const Graph& graph, const Node& node) {
  const auto slice = from_attributes<ops::Slice>(node.attributes);
  const Shape& x = graph.type(node.operands[0]).shape;
  return slice.stride == 1 && 4 * slice.count >= 3 * x[static_cast<size_t>(slice.axis)].extent();
}

bool is_layout(const Graph& graph, const Node& node) {
  return node.op == &ops::reshape || node.op == &ops::permute ||
         (node.op == &ops::slice && keeps_most(graph, node));
}

/// How often a constant along the last axis of the layout's result stands along the last axis of
/// its operand; 0 where elements of one index go to several.
int64_t repeats(const Graph& graph, const Node& layout) {
  const Shape &x = graph.type(layout.operands[0]).shape, &y = graph.type(layout.results[0]).shape;
  if (x.empty() || y.empty() || !x.back().is_static() || !y.back().is_static()) return 0;
  const int64_t before = x.back().extent(), after = y.back().extent();
  if (layout.op == &ops::slice) return before == after ? 1 : 0;
  return layout.op == &ops::reshape && after > 0 && before % after == 0 ? before / after : 0;
}

/// The same constant so often along its last axis.
ValueId repeated(Graph& graph, ValueId value, int64_t times) {
  if (times == 1) return value;
  const Node& constant = *graph.constant_of(value);
  TensorType type = graph.type(value);
  const int64_t channels = constant.constant->extents().back();
  type.shape = {Dim(channels * times)};
  const auto tiled = [&](auto from) {
    std::vector<std::decay_t<decltype(from[0])>> out;
    for (int64_t i = 0; i < times; ++i) out.insert(out.end(), from.begin(), from.end());
    return Tensor({channels * times}, std::move(out));
  };
  Tensor data =
      type.has_codes() ? tiled(constant.constant->i64()) : tiled(constant.constant->f32());
  return AddLike(graph, constant).constant(constant.name, std::move(data), std::move(type));
}

/// Constant of rank ≤ |axes| that broadcasts against permute(x): the one that broadcasts against x.
/// Only its shape changes, so at most one extent may differ from 1.
std::optional<Extents> extents_before(const Extents& constant, const std::vector<int64_t>& axes) {
  if (std::count_if(constant.begin(), constant.end(), [](int64_t e) { return e != 1; }) > 1)
    return std::nullopt;
  if (constant.size() > axes.size()) return std::nullopt;
  Extents full(axes.size() - constant.size(), 1);
  full.insert(full.end(), constant.begin(), constant.end());
  Extents out(axes.size(), 1);
  for (size_t i = 0; i < axes.size(); ++i) out[static_cast<size_t>(axes[i])] = full[i];
  return out;
}

bool is_scalar(const Extents& extents) {
  return std::all_of(extents.begin(), extents.end(), [](int64_t e) { return e == 1; });
}

/// The new constant operand for `value`, or none where it would have to be shuffled.
std::optional<ValueId> constant_before(Graph& graph, ValueId value, const Node& layout) {
  const Node& constant = *graph.constant_of(value);
  const TensorType type = graph.type(value);
  const Extents& extents = constant.constant->extents();
  if (is_scalar(extents) && type.scale.is_per_tensor() && extents.size() <= 1) return value;
  if (layout.op != &ops::permute) {
    const int64_t times = repeats(graph, layout);
    const bool along_last = !extents.empty() && channels_of_constant(extents) == extents.back();
    if (times == 0 || !along_last || !type.scale.is_per_tensor()) return std::nullopt;
    return repeated(graph, value, times);
  }
  const auto axes = from_attributes<ops::Permute>(layout.attributes).axes;
  const auto moved = extents_before(extents, axes);
  if (!moved || !type.scale.is_per_tensor()) return std::nullopt;
  TensorType moved_type = type;
  moved_type.shape.assign(moved->begin(), moved->end());
  return AddLike(graph, constant)
      .constant(constant.name, constant.constant->reshaped(*moved), std::move(moved_type));
}

/// Attributes and operands of `node` when it stands before `layout`; none where it cannot.
struct Swapped {
  Attributes attributes;
  std::vector<ValueId> operands;
};
std::optional<Swapped> swapped(Graph& graph, const Node& node, const Node& layout) {
  Swapped out{.attributes = node.attributes, .operands = node.operands};
  const bool permutes = layout.op == &ops::permute;
  if (node.op == &ops::quantize) {
    const TensorType& type = graph.type(node.results[0]);
    if (node.results.size() != 1 || !type.scale.is_per_tensor()) return std::nullopt;
    out.operands[0] = layout.operands[0];
    return out;
  }
  if (node.op == &ops::activation) {
    out.operands[0] = layout.operands[0];
    return out;
  }
  if (node.op == &ops::batch_norm && !permutes) {
    auto attributes = from_attributes<ops::BatchNorm>(node.attributes);
    const auto rank = static_cast<int64_t>(graph.type(node.results[0]).rank());
    const int64_t times = repeats(graph, layout);
    if (times == 0 || (attributes.axis != -1 && attributes.axis != rank - 1)) return std::nullopt;
    if (!attributes.inverse_quantizer.empty()) return std::nullopt;
    for (size_t i = 1; i < out.operands.size(); ++i)
      if (!is_constant(graph, out.operands[i]) ||
          !graph.type(out.operands[i]).scale.is_per_tensor())
        return std::nullopt;
    for (size_t i = 1; i < out.operands.size(); ++i)
      out.operands[i] = repeated(graph, out.operands[i], times);
    attributes.axis = graph.type(layout.operands[0]).rank() - 1;
    out.attributes = to_attributes(attributes);
    out.operands[0] = layout.operands[0];
    return out;
  }
  if (node.op == &ops::batch_norm) {
    auto attributes = from_attributes<ops::BatchNorm>(node.attributes);
    const auto axes = from_attributes<ops::Permute>(layout.attributes).axes;
    const int64_t rank = static_cast<int64_t>(axes.size());
    const int64_t axis = attributes.axis < 0 ? attributes.axis + rank : attributes.axis;
    attributes.axis = axes[static_cast<size_t>(axis)];
    out.attributes = to_attributes(attributes);
    out.operands[0] = layout.operands[0];
    return out;
  }
  if (node.op == &ops::elementwise) {
    // What is broadcast along an axis would meet it elsewhere.
    if (graph.type(layout.results[0]).shape != graph.type(node.results[0]).shape)
      return std::nullopt;
    for (ValueId& operand : out.operands) {
      const Node& producer = graph.producer(operand);
      if (producer.op == layout.op && producer.attributes == layout.attributes &&
          graph.type(producer.operands[0]).shape == graph.type(layout.operands[0]).shape) {
        operand = producer.operands[0];
      } else if (is_constant(graph, operand)) {
        const auto constant = constant_before(graph, operand, layout);
        if (!constant) return std::nullopt;
        operand = *constant;
      } else {
        return std::nullopt;
      }
    }
    return out;
  }
  return std::nullopt;
}

/// The layout node that feeds `node`, if there is one.
const Node* layout_before(const Graph& graph, const Node& node) {
  for (ValueId operand : node.operands) {
    const Node& producer = graph.producer(operand);
    // A permuted value that others use too would be computed in both orders.
    if (is_layout(graph, producer) && graph.used_once(producer.results[0])) return &producer;
  }
  return nullptr;
}

int run(Graph& graph, const PassContext&) {
  return rewrite_one_by_one(graph, [&](NodeId id) {
    Node& node = graph.node(id);
    const Node* found = layout_before(graph, node);
    if (found == nullptr) return false;
    Node& layout = graph.node(found->id);
    const auto swap = swapped(graph, node, layout);
    if (!swap) return false;
    const std::string name = node.name, layout_name = layout.name;
    node.name = graph.fresh_name(name + ".sunk");
    layout.name = graph.fresh_name(layout_name + ".before");
    const ValueId moved = AddLike(graph, node)(*node.op, name, swap->operands, swap->attributes);
    const ValueId relaid =
        AddLike(graph, layout)(*layout.op, layout_name, {moved}, layout.attributes);
    graph.replace_all_uses(node.results[0], relaid);
    graph.erase(id);
    graph.remove_dead();
    return true;
  });
}

}  // namespace

extern constinit const PassDef sink_layout{
    .name = "sink_layout",
    .doc =
        R"(Moves reshapes, permutations and slices behind elementwise ops, so that what follows a
              convolution follows it directly.
              quantize(reshape(conv(x, w)))  →  reshape(quantize(conv(x, w)))
              Needs: no other user of the reshape; scales and constants that the move does not shuffle.
              Gives: no elementwise op after a layout op where they can trade places. Permutations meet
              their inverse, for merge_layout_chains.)",
    .run = run};

}  // namespace qloom::passes
