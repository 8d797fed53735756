#include "passes/edit.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/ops_table.h"
#include "graph/support/error.h"

namespace qloom::passes {
namespace {

using ValueMap = std::map<ValueId, ValueId>;

constexpr const OpDef* kRoots[] = {&ops::conv,    &ops::dense, &ops::pool,    &ops::reduce,
                                   &ops::softmax, &ops::slice, &ops::permute, &ops::pad,
                                   &ops::resize,  &ops::gather};

ValueId copy_constant(const Graph& from, const Node& constant, Graph& to) {
  return AddLike(to, constant)
      .constant(constant.name, *constant.constant, from.type(constant.results[0]));
}

void append_new(std::vector<Origin>& to, const std::vector<Origin>& from) {
  for (const Origin& origin : from)
    if (std::find(to.begin(), to.end(), origin) == to.end()) to.push_back(origin);
}

bool used(const Graph& graph, ValueId value, NodeId except) {
  if (graph.is_output(value)) return true;
  for (NodeId user : graph.users(value))
    if (user != except) return true;
  return false;
}

}  // namespace

bool is_constant(const Graph& graph, ValueId value) { return graph.constant_of(value) != nullptr; }

void copy_node(const Graph& from, const Node& node, Graph& to, ValueMap& map) {
  if (node.op == &ops::constant) {
    map[node.results[0]] = copy_constant(from, node, to);
    return;
  }
  if (node.op == &ops::input) {
    map[node.results[0]] = to.add_input(node.name, from.type(node.results[0]), first_origin(node));
    return;
  }
  std::vector<ValueId> operands;
  for (ValueId operand : node.operands) {
    if (!map.contains(operand)) {
      const Node* constant = from.constant_of(operand);
      qloom_assert(constant != nullptr, "operand ", operand, " of '", node.name,
                   "' was not copied");
      map[operand] = copy_constant(from, *constant, to);
    }
    operands.push_back(map.at(operand));
  }
  if (node.op == &ops::scan) {
    const Node& copy = to.add_scan(to.fresh_name(node.name), std::move(operands), node.attributes,
                                   node.body->clone(), node.origins);
    for (size_t i = 0; i < node.results.size(); ++i) map[node.results[i]] = copy.results[i];
    return;
  }
  if (node.op == &ops::region) {
    const Node& copy = to.add_region(to.fresh_name(node.name), std::move(operands),
                                     node.body->clone(), node.origins);
    for (size_t i = 0; i < node.results.size(); ++i) map[node.results[i]] = copy.results[i];
    return;
  }
  const Node& copy =
      AddLike(to, node).node(*node.op, node.name, std::move(operands), node.attributes);
  for (size_t i = 0; i < node.results.size(); ++i) map[node.results[i]] = copy.results[i];
}

Origin first_origin(const Node& node) {
  return node.origins.empty() ? Origin{} : node.origins.front();
}

Node& AddLike::with_origins(Node& added) const {
  added.origins = origins_;
  return added;
}

Node& AddLike::node(const OpDef& op, std::string_view name, std::vector<ValueId> operands,
                    Attributes attributes) const {
  return with_origins(
      graph_.add(op, graph_.fresh_name(name), std::move(operands), std::move(attributes), first_));
}

ValueId AddLike::constant(std::string_view name, Tensor values) const {
  const ValueId v = graph_.add_constant(graph_.fresh_name(name), std::move(values), first_);
  return with_origins(graph_.node(graph_.producer(v).id)).results[0];
}

ValueId AddLike::constant(std::string_view name, Tensor codes, TensorType type) const {
  const ValueId v =
      graph_.add_constant(graph_.fresh_name(name), std::move(codes), std::move(type), first_);
  return with_origins(graph_.node(graph_.producer(v).id)).results[0];
}

int rewrite_one_by_one(Graph& graph, const std::function<bool(NodeId)>& rewrite) {
  int rewrites = 0;
  while (std::ranges::any_of(graph.order(), rewrite)) ++rewrites;
  return rewrites;
}

NodeId wrap(Graph& graph, NodeId id) {
  Node& node = graph.node(id);
  Graph body;
  body.name = node.name;
  body.set_options(graph.options());
  ValueMap map;
  std::vector<ValueId> operands;
  for (ValueId operand : node.operands) {
    if (is_constant(graph, operand) || map.contains(operand)) continue;
    map[operand] = body.add_input(body.fresh_name("x"), graph.type(operand));
    operands.push_back(operand);
  }
  copy_node(graph, node, body, map);
  for (size_t i = 0; i < node.results.size(); ++i)
    body.add_output(i == 0 ? node.name : join_text(node.name, ".", i), map.at(node.results[i]));
  const std::vector<ValueId> results = node.results;
  const std::vector<Origin> origins = node.origins;
  // The region takes over the node's name, by which options and messages know it.
  const std::string name = node.name;
  node.name = graph.fresh_name(name + ".body");
  const NodeId region = graph.add_region(name, std::move(operands), std::move(body), origins).id;
  for (size_t i = 0; i < results.size(); ++i)
    graph.replace_all_uses(results[i], graph.node(region).results[i]);
  graph.erase(id);
  return region;
}

NodeId absorb(Graph& graph, NodeId region_id, NodeId node_id) {
  Node& region = graph.node(region_id);
  const Node& node = graph.node(node_id);
  Graph body = region.body->clone();
  std::vector<ValueId> operands = region.operands;

  ValueMap map;  // values outside → values in the body
  const std::vector<Graph::Output> old_outputs(body.outputs().begin(), body.outputs().end());
  const std::vector<ValueId> body_inputs(body.inputs().begin(), body.inputs().end());
  for (size_t i = 0; i < operands.size(); ++i) map[operands[i]] = body_inputs[i];
  for (size_t i = 0; i < region.results.size(); ++i) map[region.results[i]] = old_outputs[i].value;
  for (ValueId operand : node.operands) {
    if (is_constant(graph, operand) || map.contains(operand)) continue;
    map[operand] = body.add_input(body.fresh_name("x"), graph.type(operand));
    operands.push_back(operand);
  }
  copy_node(graph, node, body, map);

  std::vector<ValueId> results;  // outside, in the order of the new body's outputs
  body.clear_outputs();
  for (size_t i = 0; i < region.results.size(); ++i) {
    if (!used(graph, region.results[i], node_id)) continue;
    body.add_output(old_outputs[i].name, old_outputs[i].value);
    results.push_back(region.results[i]);
  }
  for (size_t i = 0; i < node.results.size(); ++i) {
    body.add_output(i == 0 ? node.name : join_text(node.name, ".", i), map.at(node.results[i]));
    results.push_back(node.results[i]);
  }
  std::vector<Origin> origins = region.origins;
  append_new(origins, node.origins);

  const std::string name = region.name;
  region.name = graph.fresh_name(name + ".before");
  const NodeId fused = graph.add_region(name, std::move(operands), std::move(body), origins).id;
  for (size_t i = 0; i < results.size(); ++i)
    graph.replace_all_uses(results[i], graph.node(fused).results[i]);
  graph.erase(node_id);
  graph.erase(region_id);
  return fused;
}

int dissolve(Graph& graph, NodeId region_id) {
  const Graph body = graph.node(region_id).body->clone();
  const std::vector<ValueId> operands = graph.node(region_id).operands;
  const std::vector<ValueId> results = graph.node(region_id).results;
  {
    Node& region = graph.node(region_id);
    region.name = graph.fresh_name(region.name + ".region");
  }
  ValueMap map;
  for (size_t i = 0; i < operands.size(); ++i) map[body.inputs()[i]] = operands[i];
  int copied = 0;
  for (NodeId id : body.order()) {
    const Node& node = body.node(id);
    if (node.op == &ops::input || node.op == &ops::constant) continue;
    copy_node(body, node, graph, map);
    ++copied;
  }
  for (size_t i = 0; i < results.size(); ++i)
    graph.replace_all_uses(results[i], map.at(body.outputs()[i].value));
  graph.erase(region_id);
  return copied;
}

bool depends_on(const Graph& graph, ValueId value, NodeId node) {
  std::vector<ValueId> open{value};
  std::set<ValueId> seen;
  while (!open.empty()) {
    const ValueId v = open.back();
    open.pop_back();
    if (!seen.insert(v).second) continue;
    const Node& producer = graph.producer(v);
    if (producer.id == node) return true;
    open.insert(open.end(), producer.operands.begin(), producer.operands.end());
  }
  return false;
}

const Node* root_of(const Graph& body) {
  for (NodeId id : body.order()) {
    const Node& node = body.node(id);
    if (std::ranges::find(kRoots, node.op) != std::end(kRoots)) return &node;
  }
  return nullptr;
}

int64_t channels_of_constant(const Extents& extents) {
  for (size_t i = 0; i + 1 < extents.size(); ++i)
    if (extents[i] != 1) return -1;
  return extents.empty() ? 1 : extents.back();
}

}  // namespace qloom::passes
