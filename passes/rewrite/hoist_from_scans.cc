#include <algorithm>
#include <map>
#include <set>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// What a step makes of its sequences alone can be computed for all steps before the loop, by the
// same operations: the products with the inputs' weights of recurrent layers.

namespace qloom::passes {
namespace {

/// Does the same to each position of all axes but the last?
bool is_per_position(const Graph& body, const Node& node, const std::set<ValueId>& constants) {
  if (node.op == &ops::dense) return true;
  if (node.op == &ops::activation || node.op == &ops::reshape) return true;
  if (node.op == &ops::quantize) return node.results.size() == 1;
  if (node.op != &ops::elementwise) return false;
  // Constants along the last axis, and values of the same shape or with one element there.
  return std::ranges::all_of(node.operands, [&](ValueId v) {
    const TensorType &operand = body.type(v), &result = body.type(node.results[0]);
    if (!constants.contains(v)) {
      Shape shape = operand.shape;
      if (shape.size() == result.shape.size() && shape.back() == Dim(1))
        shape.back() = result.shape.back();
      return shape == result.shape;
    }
    return operand.rank() < result.rank() &&
           channels_of_constant(qloom::bind(operand.shape, 1)) >= 0;
  });
}

/// A node of the body for all steps at once: what it says of its axes gets that of the steps too.
void copy_for_all_steps(const Graph& body, const Node& node, Graph& graph, int64_t steps,
                        std::map<ValueId, ValueId>& map) {
  if (node.op != &ops::reshape) return copy_node(body, node, graph, map);
  auto reshape = from_attributes<ops::Reshape>(node.attributes);
  reshape.extents.insert(reshape.extents.begin(), steps);
  map[node.results[0]] = AddLike(graph, node)(ops::reshape, node.name, {map.at(node.operands[0])},
                                              to_attributes(reshape));
}

/// Nodes that depend on nothing but sequences and constants, and constants of their own.
struct Sets {
  std::set<NodeId> of_constants, of_sequences;
};

Sets sets_of(const Node& scan) {
  const Graph& body = *scan.body;
  const auto a = from_attributes<ops::Scan>(scan.attributes);
  std::set<ValueId> constants, sequences;
  for (int64_t i = 0; i < a.sequences; ++i) sequences.insert(body.inputs()[static_cast<size_t>(i)]);
  Sets sets;
  for (const NodeId id : body.order()) {
    const Node& node = body.node(id);
    if (node.op == &ops::input) continue;
    const auto all = [&](const auto& predicate) {
      return std::ranges::all_of(node.operands, predicate);
    };
    if (all([&](ValueId v) { return constants.contains(v); })) {
      sets.of_constants.insert(id);
      constants.insert(node.results.begin(), node.results.end());
    } else if (all([&](ValueId v) { return constants.contains(v) || sequences.contains(v); }) &&
               is_per_position(body, node, constants)) {
      sets.of_sequences.insert(id);
      sequences.insert(node.results.begin(), node.results.end());
    }
  }
  return sets;
}

/// Values of the set that others read: what is computed outside.
std::vector<ValueId> frontier_of(const Graph& body, const std::set<NodeId>& set) {
  std::vector<ValueId> out;
  for (const NodeId id : body.order()) {
    if (!set.contains(id)) continue;
    for (const ValueId v : body.node(id).results)
      if (body.is_output(v) ||
          std::ranges::any_of(body.users(v), [&](NodeId user) { return !set.contains(user); }))
        out.push_back(v);
  }
  return out;
}

void hoist(Graph& graph, NodeId id, const Sets& sets, const std::vector<ValueId>& frontier) {
  Node& scan = graph.node(id);
  auto a = from_attributes<ops::Scan>(scan.attributes);
  const Graph& body = *scan.body;
  const auto sequences = static_cast<size_t>(a.sequences);

  std::map<ValueId, ValueId> outer;  // of the body → in the graph
  for (size_t i = 0; i < sequences; ++i) outer[body.inputs()[i]] = scan.operands[i];
  const int64_t steps = graph.type(scan.operands[0]).shape[1].extent();
  for (const NodeId n : body.order()) {
    if (sets.of_sequences.contains(n))
      copy_for_all_steps(body, body.node(n), graph, steps, outer);
    else if (sets.of_constants.contains(n))
      copy_node(body, body.node(n), graph, outer);
  }

  Graph step;
  step.name = body.name;
  step.set_options(body.options());
  std::map<ValueId, ValueId> inner;
  std::vector<ValueId> operands;
  const auto is_left = [&](ValueId v) {
    return body.is_output(v) || std::ranges::any_of(body.users(v), [&](NodeId user) {
             return !sets.of_sequences.contains(user);
           });
  };
  int64_t count = 0;
  for (size_t i = 0; i < sequences; ++i) {
    if (!is_left(body.inputs()[i])) continue;
    copy_node(body, body.producer(body.inputs()[i]), step, inner);
    operands.push_back(scan.operands[i]);
    ++count;
  }
  for (const ValueId v : frontier) {
    inner[v] = step.add_input(step.fresh_name(body.producer(v).name), body.type(v));
    operands.push_back(outer.at(v));
    ++count;
  }
  for (size_t i = sequences; i < scan.operands.size(); ++i) {
    copy_node(body, body.producer(body.inputs()[i]), step, inner);
    operands.push_back(scan.operands[i]);
  }
  for (const NodeId n : body.order())
    if (body.node(n).op != &ops::input && !sets.of_sequences.contains(n))
      copy_node(body, body.node(n), step, inner);
  for (const Graph::Output& o : body.outputs()) step.add_output(o.name, inner.at(o.value));
  step.remove_dead();
  a.sequences = count;

  const std::string name = scan.name;
  scan.name = graph.fresh_name(name + ".before");
  const std::vector<ValueId> results = scan.results;
  const Node& made =
      graph.add_scan(name, std::move(operands), to_attributes(a), std::move(step), scan.origins);
  for (size_t k = 0; k < results.size(); ++k) graph.replace_all_uses(results[k], made.results[k]);
  graph.erase(id);
  // What is collected of a sequence that no step changes is the sequence.
  const Graph& left = *made.body;
  for (size_t k = static_cast<size_t>(a.states); k < left.outputs().size() && !a.reverse; ++k)
    for (size_t i = 0; i < static_cast<size_t>(count); ++i)
      if (left.outputs()[k].value == left.inputs()[i] &&
          graph.type(made.results[k]) == graph.type(made.operands[i]))
        graph.replace_all_uses(made.results[k], made.operands[i]);
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != &ops::scan) continue;
    const Sets sets = sets_of(node);
    const std::vector<ValueId> frontier = frontier_of(*node.body, sets.of_sequences);
    if (frontier.empty()) continue;
    hoist(graph, id, sets, frontier);
    rewrites += static_cast<int>(sets.of_sequences.size());
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef hoist_from_scans{
    .name = "hoist_from_scans",
    .doc =
        R"(Computes what a step makes of its sequences alone before the loop, for all steps at once.
              scan{x, s → … dense(x, k) …}(X)  →  scan{p, s → … p …}(dense(X, k))
              Needs: nothing.  Gives: the loop holds what depends on its states.)",
    .run = run};

}  // namespace qloom::passes
