#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.h"

/// What several passes do to a graph.
namespace qloom::passes {

/// True when the value is a constant's.
[[nodiscard]] bool is_constant(const Graph& graph, ValueId value);

/// The node's first origin, or none.
[[nodiscard]] Origin first_origin(const Node& node);

/// Adds nodes that have the origins of another, which they stand for. It may be gone meanwhile.
class AddLike {
 public:
  AddLike(Graph& graph, const Node& node)
      : graph_(graph), origins_(node.origins), first_(first_origin(node)) {}
  /// A new node, whose name is made fresh.
  Node& node(const OpDef& op, std::string_view name, std::vector<ValueId> operands,
             Attributes attributes = {}) const;
  /// The first result of one.
  ValueId operator()(const OpDef& op, std::string_view name, std::vector<ValueId> operands,
                     Attributes attributes = {}) const {
    return node(op, name, std::move(operands), std::move(attributes)).results[0];
  }
  /// A constant: of values, or of codes or values of a given type.
  [[nodiscard]] ValueId constant(std::string_view name, Tensor values) const;
  [[nodiscard]] ValueId constant(std::string_view name, Tensor codes, TensorType type) const;

 private:
  [[nodiscard]] Node& with_origins(Node& added) const;
  Graph& graph_;
  std::vector<Origin> origins_;
  Origin first_;  ///< for what is said of a node while it is added
};

/// Calls rewrite(id) for nodes in order until one says that it has changed the graph, then begins
/// with the first node again: ids of an order may be gone by then. Returns how often it was so.
int rewrite_one_by_one(Graph& graph, const std::function<bool(NodeId)>& rewrite);

/// A region whose body is this one node; its constant operands move into the body, all others
/// become operands of the region, in order. Returns the region.
NodeId wrap(Graph& graph, NodeId node);

/// Moves `node`, which uses at least one result of `region`, to the end of the region's body.
/// Results of the region that only the node used disappear; the node's results are appended.
/// Constants move along. The caller has made sure that no other operand of the node depends on the
/// region. Returns the new region (the old ids of region and node are gone).
NodeId absorb(Graph& graph, NodeId region, NodeId node);

/// Replaces a region by the nodes of its body. Returns how many there are.
int dissolve(Graph& graph, NodeId region);

/// True when `value` depends on a result of `node`, or is one.
[[nodiscard]] bool depends_on(const Graph& graph, ValueId value, NodeId node);

/// Copies a node into another graph under its name or a fresh one; its operands are found in `map`,
/// or, constants, added to it, as are its results.
void copy_node(const Graph& from, const Node& node, Graph& to, std::map<ValueId, ValueId>& map);

/// The node of a body that does the work (conv, dense, pool, a move, …), or null where it is
/// elementwise.
[[nodiscard]] const Node* root_of(const Graph& body);

/// The extent along the last axis when `value` varies along no other axis, 1 for a scalar, -1 when
/// it varies elsewhere.
[[nodiscard]] int64_t channels_of_constant(const Extents& extents);

}  // namespace qloom::passes
