#include "passes/states.h"

#include "graph/ops_table.h"

namespace qloom::passes {
namespace {

const Node* assignment_of(const Graph& graph, const Node& variable) {
  for (const NodeId id : graph.users(variable.results[0]))
    if (graph.node(id).is(ops::assign) && graph.node(id).operands[0] == variable.results[0])
      return &graph.node(id);
  return nullptr;
}

}  // namespace

std::vector<ExposedState> expose_states(Graph& graph) {
  std::vector<ExposedState> states;
  std::vector<NodeId> variables;
  for (const NodeId id : graph.order())
    if (graph.node(id).is(ops::variable)) variables.push_back(id);
  for (const NodeId id : variables) {
    const Node& variable = graph.node(id);
    const TensorType type = graph.type(variable.results[0]);
    const Node* const assignment = assignment_of(graph, variable);
    if (type.shape.empty() || !type.shape[0].is_batch() || assignment == nullptr) continue;
    const auto initial = variable.constant->f32();
    states.push_back({variable.name, {initial.begin(), initial.end()}});
    const Origin origin = variable.origins.empty() ? Origin() : variable.origins[0];
    const ValueId before = variable.results[0], after = assignment->operands[1];
    // Whoever reads what is assigned reads the value itself.
    graph.replace_all_uses(assignment->results[0], after);
    graph.erase(assignment->id);
    graph.replace_all_uses(before,
                           graph.add_input(graph.fresh_name(states.back().name), type, origin));
    graph.erase(id);
    graph.add_output(states.back().name, after);
  }
  return states;
}

void keep_states(runtime::Program& program, const std::vector<ExposedState>& states) {
  const size_t inputs = program.inputs.size() - states.size();
  const size_t outputs = program.outputs.size() - states.size();
  for (size_t k = 0; k < states.size(); ++k) {
    program.kept.push_back({.before = std::move(program.inputs[inputs + k]),
                            .after = std::move(program.outputs[outputs + k]),
                            .initial = states[k].initial});
    program.kept.back().before.name = states[k].name;
  }
  program.inputs.resize(inputs);
  program.outputs.resize(outputs);
}

}  // namespace qloom::passes
