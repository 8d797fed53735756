#include "passes/boundary.h"

#include <map>
#include <utility>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"
#include "graph/support/fields.h"
#include "passes/edit.h"

namespace qloom::passes {
namespace {

Origin origin_of(const Node& node) { return node.origins.empty() ? Origin() : node.origins[0]; }

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
    const Origin origin = origin_of(variable);
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

void put_batch_first(Graph& graph) {
  bool any = false;
  for (const ValueId input : graph.inputs()) any = any || batch_axis(graph.type(input).shape) > 0;
  if (any) {
    // Inputs keep their order: all are made anew.
    Graph other;
    other.name = graph.name;
    other.set_options(graph.options());
    std::map<ValueId, ValueId> map;
    for (const ValueId input : graph.inputs()) {
      const Node& node = graph.producer(input);
      TensorType type = graph.type(input);
      const size_t axis = batch_axis(type.shape);
      if (axis > 0) {
        type.shape.erase(type.shape.begin() + static_cast<ptrdiff_t>(axis));
        type.shape.insert(type.shape.begin(), Dim::batch());
      }
      const size_t rank = type.shape.size();
      const ValueId made = other.add_input(node.name, std::move(type), origin_of(node));
      map[input] = axis == 0 ? made
                             : permuted(other, made, from_front(rank, axis),
                                        node.name + "/as_given", origin_of(node));
    }
    for (const NodeId id : graph.order())
      if (!graph.node(id).is(ops::input)) copy_node(graph, graph.node(id), other, map);
    for (const Graph::Output& o : graph.outputs()) other.add_output(o.name, map.at(o.value));
    graph = std::move(other);
  }
  for (size_t k = 0; k < graph.outputs().size(); ++k) {
    const Graph::Output output = graph.outputs()[k];
    const Shape& shape = graph.type(output.value).shape;
    const size_t axis = batch_axis(shape);
    if (axis > 0)
      graph.replace_output(
          static_cast<int>(k),
          permuted(graph, output.value, to_front(shape.size(), axis), output.name + "/batch_first",
                   origin_of(graph.producer(output.value))));
  }
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
