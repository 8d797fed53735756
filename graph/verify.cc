#include <algorithm>
#include <unordered_set>

#include "graph/graph.h"
#include "graph/ops/common.h"
#include "graph/ops_table.h"
#include "graph/support/error.h"

namespace qloom {
namespace {

// Every value has a producer that lists it; `Graph` throws when a value is unknown.
void verify_values(const Graph& graph, const Node& node) {
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const Node& p = graph.producer(node.operands[i]);
    const auto at = static_cast<size_t>(graph.result_index(node.operands[i]));
    qloom_assert(at < p.results.size() && p.results[at] == node.operands[i], ops::label(node),
                 ": operand ", i, " is no result of its producer '", p.name, "'");
  }
  for (size_t i = 0; i < node.results.size(); ++i)
    qloom_assert(graph.producer(node.results[i]).id == node.id, ops::label(node), ": result ", i,
                 " belongs to another node");
}

void verify_types(const Graph& graph, const Node& node) {
  std::vector<TensorType> operands;
  std::vector<const Node*> constants;
  for (const ValueId v : node.operands) {
    operands.push_back(graph.type(v));
    constants.push_back(graph.constant_of(v));
  }
  std::vector<TensorType> types;
  try {
    types = node.op->infer({node, operands, constants, graph.options(), node.results});
    qloom_assert(node.op->attrs(node.attributes) == node.attributes, ops::label(node),
                 ": attributes are incomplete: ", node.attributes);
  } catch (const UserError& e) {
    qloom_assert(false, ops::label(node), ": inference refuses the node: ", e.what());
  }
  if (node.is(ops::input) || node.is(ops::constant) || node.is(ops::variable)) return;
  qloom_assert(types.size() == node.results.size(), ops::label(node), ": has ", node.results.size(),
               " results, inference gives ", types.size());
  for (size_t i = 0; i < types.size(); ++i)
    qloom_assert(types[i] == graph.type(node.results[i]), ops::label(node), ": result ", i, " is ",
                 graph.type(node.results[i]), ", inference says ", types[i]);
}

void verify_constant(const Graph& graph, const Node& node) {
  const bool is_variable = node.is(ops::variable);
  qloom_assert(node.constant.has_value() == (is_variable || node.is(ops::constant)),
               ops::label(node), ": only constants and variables have data, and all have");
  if (!node.constant) return;
  const TensorType& type = graph.type(node.results[0]);
  qloom_assert(node.constant->extents() == qloom::bind(type.shape, is_variable ? 1 : -1) &&
                   node.constant->dtype() == (type.has_codes() ? DType::i64 : DType::f32),
               ops::label(node), ": the data does not fit ", type);
  if (!type.has_codes()) return;
  const Numeric::Grid grid = *type.numeric.grid();
  const auto codes = node.constant->i64();
  for (const int64_t c : codes)
    if (c < grid.lo || c > grid.hi)
      qloom_assert(false, ops::label(node), ": code ", c, " is outside of ", type);
}

}  // namespace

void verify(const Graph& graph) {
  std::unordered_set<std::string> names;
  std::unordered_set<ValueId> defined, assigned;
  for (const NodeId id : graph.order()) {  // throws on a cycle
    const Node& node = graph.node(id);
    qloom_assert(node.op, "node '", node.name, "' has no op");
    qloom_assert(!node.name.empty(), "a node of op ", node.op->name, " has no name");
    qloom_assert(names.insert(node.name).second, ops::label(node), ": the name is there twice");
    qloom_assert((node.body != nullptr) == node.op->has_body, ops::label(node),
                 ": only regions and scans have a body, and all have");
    verify_values(graph, node);
    for (const ValueId v : node.operands)
      qloom_assert(defined.contains(v), ops::label(node), ": operand is used before it is defined");
    for (const ValueId v : node.results) defined.insert(v);
    verify_constant(graph, node);
    if (node.is(ops::assign)) {
      qloom_assert(graph.producer(node.operands[0]).is(ops::variable), ops::label(node),
                   ": assigns to a ", graph.producer(node.operands[0]).op->name);
      qloom_assert(assigned.insert(node.operands[0]).second, ops::label(node),
                   ": the variable is assigned twice");
    }
    if (node.body) {
      verify(*node.body);
      for (const NodeId inner : node.body->order())
        qloom_assert(!node.body->node(inner).is(ops::variable), ops::label(node),
                     ": a body has no variables");
    }
    verify_types(graph, node);
  }
  for (const ValueId v : graph.inputs())
    qloom_assert(graph.producer(v).is(ops::input), "graph '", graph.name, "': an input is a ",
                 graph.producer(v).op->name);
  std::unordered_set<std::string> outputs;
  for (const Graph::Output& o : graph.outputs()) {
    (void)graph.type(o.value);
    qloom_assert(outputs.insert(o.name).second, "graph '", graph.name, "': output '", o.name,
                 "' is there twice");
  }
}

}  // namespace qloom
