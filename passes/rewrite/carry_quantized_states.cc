#include <optional>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/pass.h"

// A cell quantizes its states at the beginning of a step. Where nothing else reads a state, the
// quantizer can as well stand at the end of the step before: what is carried is then the codes.
// What the state is behind the last step is carried beside it, where somebody wants it. A state
// that a mask keeps is read by the select that keeps it, too: then the codes are kept by one of
// their own.

namespace qloom::passes {
namespace {

struct Match {
  NodeId scan;
  size_t state = 0;
  NodeId quantizer;              ///< in the body
  std::optional<NodeId> select;  ///< in the body: (mask, what the step makes, the state)
};

/// The select that keeps a state where a mask says so, if nobody but it and `quantizer` reads it.
std::optional<NodeId> keeping_select(const Graph& body, ValueId before, ValueId after,
                                     const std::vector<NodeId>& users) {
  const Node& select = body.producer(after);
  const bool is_kept = select.op == &ops::select && select.operands[2] == before &&
                       select.operands[0] != before && select.operands[1] != before;
  if (!is_kept || users.size() != 2 || (users[0] != select.id && users[1] != select.id))
    return std::nullopt;
  return select.id;
}

std::optional<Match> find_match(const Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != &ops::scan) continue;
    const auto a = from_attributes<ops::Scan>(node.attributes);
    const Graph& body = *node.body;
    for (int64_t s = 0; s < a.states; ++s) {
      const ValueId before = body.inputs()[static_cast<size_t>(a.sequences + s)];
      const std::vector<NodeId> users = body.users(before);
      if (body.is_output(before)) continue;
      const auto select =
          keeping_select(body, before, body.outputs()[static_cast<size_t>(s)].value, users);
      if (users.size() != 1 && !select) continue;
      const NodeId reader = select && users[0] == *select ? users[1] : users[0];
      const Node& user = body.node(reader);
      if (user.op == &ops::quantize && user.results.size() == 1)
        return Match{id, static_cast<size_t>(s), reader, select};
    }
  }
  return std::nullopt;
}

void rewrite(Graph& graph, const Match& match) {
  Node& node = graph.node(match.scan);
  auto a = from_attributes<ops::Scan>(node.attributes);
  const auto first = static_cast<size_t>(a.sequences), states = static_cast<size_t>(a.states);
  Graph body = node.body->clone();
  const Node& quantizer = body.node(match.quantizer);
  const std::string name = quantizer.name;
  const Attributes attributes = quantizer.attributes;
  const Origin origin = first_origin(quantizer);
  const AddLike inside(body, quantizer), outside(graph, quantizer);
  const ValueId before = body.inputs()[first + match.state];
  const ValueId after = body.outputs()[match.state].value;

  body.replace_all_uses(quantizer.results[0], before);
  body.erase(match.quantizer);
  const ValueId made = match.select ? body.node(*match.select).operands[1] : after;
  ValueId carried = inside(ops::quantize, name, {made}, attributes);
  if (match.select) {
    const ValueId mask = body.node(*match.select).operands[0];
    carried = inside(ops::select, name + "/keep", {mask, carried, before});
  }
  // `after` may be used as an output elsewhere: only this one changes.
  body.replace_output(static_cast<int>(match.state), carried);

  std::vector<ValueId> operands = node.operands;
  const ValueId initial = operands[first + match.state];
  operands[first + match.state] = outside(ops::quantize, name, {initial}, attributes);

  // The value itself, if somebody reads it behind the loop: a state that no step reads. States
  // stand before the other inputs and outputs, so the lists are made anew.
  const bool is_read = graph.is_output(node.results[match.state]) ||
                       !graph.users(node.results[match.state]).empty() ||
                       (match.select && (body.is_output(after) || !body.users(after).empty()));
  if (is_read) {
    const std::vector<Graph::Output> outputs(body.outputs().begin(), body.outputs().end());
    Graph wider;
    wider.name = body.name;
    wider.set_options(body.options());
    std::map<ValueId, ValueId> map;
    ValueId last;
    for (size_t i = 0; i < body.inputs().size(); ++i) {
      if (i == first + states)
        last = wider.add_input(body.fresh_name(name + "/last"), body.type(after), origin);
      copy_node(body, body.producer(body.inputs()[i]), wider, map);
    }
    if (body.inputs().size() == first + states)
      last = wider.add_input(body.fresh_name(name + "/last"), body.type(after), origin);
    for (const NodeId id : body.order())
      if (body.node(id).op != &ops::input) copy_node(body, body.node(id), wider, map);
    if (match.select) wider.set_operand(wider.producer(map.at(after)).id, 2, last);
    for (size_t k = 0; k < outputs.size(); ++k) {
      if (k == states) wider.add_output(name + "/last", map.at(after));
      wider.add_output(outputs[k].name, map.at(outputs[k].value));
    }
    if (outputs.size() == states) wider.add_output(name + "/last", map.at(after));
    body = std::move(wider);
    operands.insert(operands.begin() + static_cast<ptrdiff_t>(first + states), initial);
    ++a.states;
  }

  body.remove_dead();
  const std::string scan_name = node.name;
  node.name = graph.fresh_name(scan_name + ".before");
  const std::vector<ValueId> results = node.results;
  const Node& scan = graph.add_scan(scan_name, std::move(operands), to_attributes(a),
                                    std::move(body), node.origins);
  for (size_t k = 0; k < results.size(); ++k) {
    const size_t moved_by = is_read && k >= states ? 1 : 0;
    graph.replace_all_uses(results[k],
                           scan.results[k == match.state && is_read ? states : k + moved_by]);
  }
  graph.erase(match.scan);
}

int run(Graph& graph, const PassContext&) {
  int rewrites = 0;
  while (const auto match = find_match(graph)) {
    rewrite(graph, *match);
    ++rewrites;
  }
  return rewrites;
}

}  // namespace

extern constinit const PassDef carry_quantized_states{
    .name = "carry_quantized_states",
    .doc =
        R"(Quantizes a state of a scan where it is made, if all that a step does with it is to
              quantize it.
              scan{s → … quantize(s) …, s'}(s0)  →  scan{q → … q …, quantize(s')}(quantize(s0))
              Needs: nothing.  Gives: the quantizer can become part of what computes the state, and
              codes are carried.)",
    .run = run};

}  // namespace qloom::passes
