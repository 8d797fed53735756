#include "passes/rewrite/fusible.h"

#include <algorithm>
#include <optional>

#include "graph/ops/attributes.h"
#include "graph/ops_table.h"
#include "graph/quantizer.h"
#include "graph/support/fields.h"
#include "passes/edit.h"
#include "passes/tail/reference_order.h"

namespace qloom::passes {
namespace {

/// Accumulators of more values than this are never enumerated when compiling.
constexpr int64_t kEnumerable = int64_t{1} << 20;

Verdict known_numbers(const TensorType& type) {
  if (type.scale.is_dynamic())
    return Verdict::no("its scale ", type, " comes from data at run time");
  if (type.is_float32() && type.scale.is_none()) return Verdict::yes();
  if (!type.has_codes()) return Verdict::no("its values ", type, " lie on no grid of 62 bits");
  if (channels_of_constant(type.step().extents()) < 0)
    return Verdict::no("its scale ", type, " varies along another axis than the last");
  const auto grid = *type.numeric.grid();
  if (grid.lo < -(int64_t{1} << 30) || grid.hi > (int64_t{1} << 30))
    return Verdict::no("its codes ", type, " leave 31 bits");
  return Verdict::yes();
}

bool is_monotone(const Node& quantize) {
  const auto q = from_attributes<ops::Quantize>(quantize.attributes);
  const QuantizerDef* def = find_quantizer(q.quantizer);
  return def != nullptr && Quantizer(*def, q.arguments).is_monotone();
}

/// How many integers the region's first source can be, or -1 where it is no integer or they are
/// many.
int64_t source_values(const Node& region) {
  const Graph& body = *region.body;
  const Node* root = root_of(body);
  const TensorType& type = body.type(root != nullptr ? root->results[0] : body.inputs()[0]);
  if (!type.has_codes()) return -1;
  const auto grid = *type.numeric.grid();
  if (grid.lo < -kEnumerable || grid.hi > kEnumerable) return -1;  // too many to matter
  return grid.hi - grid.lo + 1;
}

/// How many operands the region's tail has, its accumulator included.
size_t tail_sources(const Node& region) { return region.operands.size(); }

}  // namespace

bool has_tail_form(const Node& activation) {
  return has_reference_form(from_attributes<ops::Activation>(activation.attributes).function);
}

std::vector<ValueId> variable_operands(const Graph& graph, const Node& node) {
  std::vector<ValueId> out;
  for (ValueId operand : node.operands)
    if (!is_constant(graph, operand)) out.push_back(operand);
  return out;
}

Verdict pointwise(const Graph& graph, const Node& node) {
  const bool known = node.op == &ops::elementwise || node.op == &ops::batch_norm ||
                     node.op == &ops::activation || node.op == &ops::quantize ||
                     node.op == &ops::select;
  if (!known) return Verdict::no(node.op->name, " is no elementwise op");
  const TensorType& result = graph.type(node.results[0]);
  const auto variables = variable_operands(graph, node);
  if (variables.empty()) return Verdict::no("all its operands are constants");
  for (ValueId operand : node.operands) {
    const TensorType& type = graph.type(operand);
    if (const Node* constant = graph.constant_of(operand)) {
      if (channels_of_constant(constant->constant->extents()) < 0)
        return Verdict::no("constant '", constant->name, "' ", type,
                           " varies along another axis than the last");
      continue;
    }
    if (Verdict v = known_numbers(type); !v)
      return Verdict::no("operand ", operand, ": ", v.reason());
    if (type.shape != result.shape)
      return Verdict::no("operand ", type, " is broadcast to ", result);
  }
  if (Verdict v = known_numbers(result); !v) return v;
  if (node.results.size() != 1) return Verdict::no("it has several results");
  if (result.rank() < 2 || !result.shape.front().is_batch() || !result.shape.back().is_static())
    return Verdict::no("its shape ", result, " has no batch axis in front of channels");
  if (node.op == &ops::batch_norm) {
    const int64_t axis = from_attributes<ops::BatchNorm>(node.attributes).axis;
    if (axis >= 0 && axis != result.rank() - 1)
      return Verdict::no("it normalizes along axis ", axis, ", which is not the last");
    if (variables.size() != 1 || is_constant(graph, node.operands[0]))
      return Verdict::no("its parameters are no constants");
  }
  if (node.op == &ops::quantize && !result.has_codes())
    return Verdict::no("its values ", result, " have no codes");
  return Verdict::yes();
}

std::vector<NodeId> quantizers_of(const Graph& graph, const Node& activation) {
  if (graph.is_output(activation.results[0])) return {};
  std::vector<NodeId> users = graph.users(activation.results[0]);
  for (NodeId user : users)
    if (graph.node(user).op != &ops::quantize || !pointwise(graph, graph.node(user))) return {};
  return users;
}

namespace {

/// Can the node's code be found when compiling? `enumerable`: the tail has one source, an integer
/// of few values.
Verdict has_form(const Graph& graph, const Node& node, bool enumerable) {
  if (node.op == &ops::quantize && !is_monotone(node) && !enumerable)
    return Verdict::no(
        "the quantizer's codes are not monotone, and what feeds it cannot be enumerated");
  if (node.op == &ops::activation && !has_tail_form(node)) {
    if (quantizers_of(graph, node).empty())
      return Verdict::no(
          "the activation has no float32 form in a tail, and not only quantizers use it");
    if (!enumerable)
      return Verdict::no(
          "the activation has no float32 form in a tail, and what feeds it cannot be enumerated");
  }
  return Verdict::yes();
}

}  // namespace

Verdict fusible(const Graph& graph, const Node& region, const Node& node) {
  if (Verdict v = pointwise(graph, node); !v) return v;
  for (ValueId operand : variable_operands(graph, node))
    if (graph.producer(operand).id != region.id)
      return Verdict::no("operand ", operand, " comes from elsewhere");
  const int64_t values = source_values(region);
  return has_form(graph, node, tail_sources(region) == 1 && values >= 0 && values <= kEnumerable);
}

Verdict can_be_region(const Graph& graph, const Node& node) {
  if (Verdict v = pointwise(graph, node); !v) return v;
  const auto variables = variable_operands(graph, node);
  if (variables.size() > (node.op == &ops::select ? 3 : 2))
    return Verdict::no("it has more than two operands");
  const TensorType& type = graph.type(variables[0]);
  bool enumerable = false;
  if (variables.size() == 1 && type.has_codes()) {
    const auto grid = *type.numeric.grid();
    enumerable = grid.hi - grid.lo < kEnumerable;
  }
  return has_form(graph, node, enumerable);
}

namespace {

struct Match {
  NodeId region, node;
  std::vector<NodeId> followers;  ///< quantizers that must come along
};

std::optional<Match> find_match(const Graph& graph) {
  for (NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    for (ValueId operand : node.operands) {
      const Node& region = graph.producer(operand);
      if (region.op != &ops::region || !fusible(graph, region, node)) continue;
      Match match{.region = region.id, .node = id, .followers = {}};
      if (node.op == &ops::activation && !has_tail_form(node))
        match.followers = quantizers_of(graph, node);
      return match;
    }
  }
  return std::nullopt;
}

}  // namespace

int fuse_chains(Graph& graph) {
  int moved = 0;
  while (const auto match = find_match(graph)) {
    NodeId region = absorb(graph, match->region, match->node);
    ++moved;
    for (NodeId follower : match->followers) {
      region = absorb(graph, region, follower);
      ++moved;
    }
  }
  return moved;
}

}  // namespace qloom::passes
