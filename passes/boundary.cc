#include "passes/boundary.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"

namespace qloom::passes {
namespace {

const Node* assignment_of(const Graph& graph, const Node& variable) {
  for (const NodeId id : graph.users(variable.results[0]))
    if (graph.node(id).is(ops::assign) && graph.node(id).operands[0] == variable.results[0])
      return &graph.node(id);
  return nullptr;
}

std::vector<Boundary::Kept> expose_states(Graph& graph) {
  std::vector<NodeId> variables;
  for (const NodeId id : graph.order())
    if (graph.node(id).is(ops::variable)) variables.push_back(id);
  std::vector<Boundary::Kept> kept;
  for (const NodeId id : variables) {
    const Node& variable = graph.node(id);
    const TensorType type = graph.type(variable.results[0]);
    const Node* const assignment = assignment_of(graph, variable);
    if (type.shape.empty() || !type.shape[0].is_batch() || assignment == nullptr) continue;
    const auto initial = variable.constant->f32();
    kept.push_back({variable.name, {initial.begin(), initial.end()}});
    const Origin origin = first_origin(variable);
    const ValueId before = variable.results[0], after = assignment->operands[1];
    // Whoever reads what is assigned reads the value itself.
    graph.replace_all_uses(assignment->results[0], after);
    graph.erase(assignment->id);
    graph.replace_all_uses(before,
                           graph.add_input(graph.fresh_name(kept.back().name), type, origin));
    graph.erase(id);
    graph.add_output(kept.back().name, after);
  }
  return kept;
}

/// Where the batch axis is; 0 where there is none.
size_t batch_axis(const Shape& shape) {
  for (size_t k = 0; k < shape.size(); ++k)
    if (shape[k].is_batch()) return k;
  return 0;
}

/// Axes of the permutation that takes the batch axis from `axis` to the front, and back.
std::vector<int64_t> to_front(size_t rank, size_t axis) {
  std::vector<int64_t> axes{static_cast<int64_t>(axis)};
  for (size_t k = 0; k < rank; ++k)
    if (k != axis) axes.push_back(static_cast<int64_t>(k));
  return axes;
}
std::vector<int64_t> from_front(size_t rank, size_t axis) {
  std::vector<int64_t> axes;
  for (size_t k = 1; k < rank; ++k) axes.push_back(static_cast<int64_t>(k));
  axes.insert(axes.begin() + static_cast<ptrdiff_t>(axis), 0);
  return axes;
}

ValueId permuted(Graph& graph, ValueId x, std::vector<int64_t> axes, const std::string& name,
                 const Origin& origin) {
  return graph
      .add(ops::permute, graph.fresh_name(name), {x},
           to_attributes(ops::Permute{.axes = std::move(axes)}), origin)
      .results[0];
}

/// The graph once more, with samples first wherever its ops allow: what is computed on values whose
/// batch axis is another is computed on values where it is the first.
class BatchFirst {
 public:
  explicit BatchFirst(const Graph& from) : from_(from) {
    to_.name = from.name;
    to_.set_options(from.options());
  }

  Graph run() {
    for (const ValueId input : from_.inputs()) add_input(input);
    for (const NodeId id : from_.order()) {
      const Node& node = from_.node(id);
      if (node.is(ops::input) || move(node)) continue;
      for (const ValueId operand : node.operands) as_given(operand);
      copy_node(from_, node, to_, map_);
    }
    for (const Graph::Output& o : from_.outputs()) {
      const ValueId value = as_first(o.value);
      to_.add_output(o.name, value.valid() ? value : map_.at(o.value));
    }
    return std::move(to_);
  }

 private:
  [[nodiscard]] size_t axis_of(ValueId v) const { return batch_axis(from_.type(v).shape); }

  void add_input(ValueId input) {
    const Node& node = from_.producer(input);
    TensorType type = from_.type(input);
    const size_t axis = axis_of(input);
    std::rotate(type.shape.begin(), type.shape.begin() + static_cast<ptrdiff_t>(axis),
                type.shape.begin() + static_cast<ptrdiff_t>(axis) + 1);
    const ValueId made = to_.add_input(node.name, std::move(type), first_origin(node));
    (axis == 0 ? map_ : first_)[input] = made;
  }

  /// The value with samples where the graph has them.
  void as_given(ValueId v) {
    if (map_.contains(v) || !first_.contains(v)) return;
    const Node& node = from_.producer(v);
    map_[v] = permuted(to_, first_.at(v), from_front(from_.type(v).shape.size(), axis_of(v)),
                       node.name + "/as_given", first_origin(node));
  }
  /// The value with samples first; invalid where it has none.
  ValueId as_first(ValueId v) {
    if (const auto found = first_.find(v); found != first_.end()) return found->second;
    const size_t axis = axis_of(v);
    if (axis == 0) return {};
    const Node& node = from_.producer(v);
    return first_[v] = permuted(to_, map_.at(v), to_front(from_.type(v).shape.size(), axis),
                                node.name + "/batch_first", first_origin(node));
  }

  /// Adds the node on values with samples first, if it is of such a kind and has such operands.
  bool move(const Node& node) {
    if (node.is(ops::permute) && map_.contains(node.operands[0]) && axis_of(node.operands[0]) == 0)
      return send_back(node);
    const size_t axis = node.results.size() == 1 ? axis_of(node.results[0]) : 0;
    const size_t rank = node.results.empty() ? 0 : from_.type(node.results[0]).shape.size();
    std::optional<size_t> of_operands;
    for (const ValueId v : node.operands) {
      if (const Node* constant = from_.constant_of(v)) {
        if (!node.is(ops::dense) && channels_of_constant(constant->constant->extents()) < 0)
          return false;
        continue;
      }
      if (of_operands && axis_of(v) != *of_operands) return false;
      of_operands = axis_of(v);
      if (!first_.contains(v)) return false;
      if (node.op != &ops::step_mask && node.op != &ops::permute &&
          from_.type(v).shape.size() != rank)
        return false;
    }
    if (!of_operands || *of_operands == 0) return false;
    if (node.is(ops::permute)) return turn(node, *of_operands);
    // Step masks have no axis behind the samples; others have channels there, which stay the last.
    if (axis != *of_operands || (axis + 1 == rank && !node.is(ops::step_mask))) return false;
    Attributes attributes = node.attributes;
    if (node.is(ops::batch_norm) || node.is(ops::softmax)) {
      const int64_t at = attributes["axis"].as_integer();
      if (at >= 0 && at + 1 != static_cast<int64_t>(rank)) return false;
    } else if (!node.is(ops::elementwise) && !node.is(ops::activation) && !node.is(ops::quantize) &&
               !node.is(ops::select) && !node.is(ops::dense) && !node.is(ops::masking) &&
               !node.is(ops::step_mask)) {
      return false;
    }
    std::vector<ValueId> operands;
    for (const ValueId v : node.operands) {
      const Node* constant = from_.constant_of(v);
      if (constant != nullptr && !map_.contains(v)) copy_node(from_, *constant, to_, map_);
      operands.push_back(constant != nullptr ? map_.at(v) : first_.at(v));
    }
    first_[node.results[0]] =
        AddLike(to_, node)(*node.op, node.name, std::move(operands), attributes);
    return true;
  }

  /// A permutation of a value whose samples stand elsewhere in the graph.
  bool turn(const Node& node, size_t axis) {
    const ValueId x = node.operands[0], y = node.results[0];
    const auto asked = from_attributes<ops::Permute>(node.attributes).axes;
    const auto front = from_front(asked.size(), axis);
    std::vector<int64_t> axes;
    for (const int64_t a : asked) axes.push_back(front[static_cast<size_t>(a)]);
    map_[y] = permuted(to_, first_.at(x), axes, node.name, first_origin(node));
    return true;
  }

  /// A permutation that takes samples away from the front.
  bool send_back(const Node& node) {
    const ValueId x = node.operands[0], y = node.results[0];
    if (axis_of(y) == 0) return false;
    const auto asked = from_attributes<ops::Permute>(node.attributes).axes;
    std::vector<int64_t> axes;
    for (const int64_t a : to_front(asked.size(), axis_of(y)))
      axes.push_back(asked[static_cast<size_t>(a)]);
    first_[y] = permuted(to_, map_.at(x), axes, node.name, first_origin(node));
    return true;
  }

  const Graph& from_;
  Graph to_;
  std::map<ValueId, ValueId> map_;    ///< as the graph has them
  std::map<ValueId, ValueId> first_;  ///< samples first, where the graph has them elsewhere
};

void put_batch_first(Graph& graph) {
  const auto elsewhere = [&](ValueId v) { return batch_axis(graph.type(v).shape) > 0; };
  bool any = std::ranges::any_of(graph.inputs(), elsewhere);
  for (const Graph::Output& o : graph.outputs()) any = any || elsewhere(o.value);
  if (any) graph = BatchFirst(graph).run();
}

}  // namespace

Boundary open_boundary(Graph& graph) {
  Boundary boundary;
  boundary.kept = expose_states(graph);
  for (const ValueId input : graph.inputs()) boundary.inputs.push_back(graph.type(input).shape);
  for (const Graph::Output& o : graph.outputs())
    boundary.outputs.push_back(graph.type(o.value).shape);
  put_batch_first(graph);
  return boundary;
}

void close_boundary(runtime::Program& program, const Boundary& boundary) {
  for (size_t k = 0; k < program.inputs.size(); ++k) program.inputs[k].shape = boundary.inputs[k];
  for (size_t k = 0; k < program.outputs.size(); ++k)
    program.outputs[k].shape = boundary.outputs[k];
  const size_t inputs = program.inputs.size() - boundary.kept.size();
  const size_t outputs = program.outputs.size() - boundary.kept.size();
  for (size_t k = 0; k < boundary.kept.size(); ++k) {
    program.kept.push_back({.before = std::move(program.inputs[inputs + k]),
                            .after = std::move(program.outputs[outputs + k]),
                            .initial = boundary.kept[k].initial});
    program.kept.back().before.name = boundary.kept[k].name;
  }
  program.inputs.resize(inputs);
  program.outputs.resize(outputs);
}

void check_batch_first(const Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    for (const ValueId v : node.results)
      qloom_check(batch_axis(graph.type(v).shape) == 0, "'", node.name,
                  node.origins.empty() ? "" : "' of '" + node.origins[0].to_string(),
                  "' has its batch axis not first, ", to_string(graph.type(v).shape),
                  ", which is not compiled; the interpreter runs it");
  }
}

}  // namespace qloom::passes
