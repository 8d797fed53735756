#pragma once

#include "graph/graph.h"
#include "graph/support/error.h"

namespace qloom::passes {

/// True for activations that the lowering of tails knows as float32 operations in reference order.
/// Others can only be part of a code function: followed by a quantizer, of one integer or by a
/// monotone chain.
[[nodiscard]] bool has_tail_form(const Node& activation);

/// Can this node be part of a tail, seen on its own: an elementwise op whose constants vary along
/// the last axis only, whose other operands have the shape of its result, with a scale known when
/// compiling? The reason says which of these fails.
[[nodiscard]] Verdict pointwise(const Graph& graph, const Node& node);

/// Operands that are no constants.
[[nodiscard]] std::vector<ValueId> variable_operands(const Graph& graph, const Node& node);

/// Can the node be moved into the region that computes one of its operands? All other operands must
/// be constants or results of the same region.
[[nodiscard]] Verdict fusible(const Graph& graph, const Node& region, const Node& node);

/// Can the node alone be a region without a root?
[[nodiscard]] Verdict can_be_region(const Graph& graph, const Node& node);

/// An activation without a tail form is moved
/// only together with the quantizers that use it: returns these; empty when something else uses it.
[[nodiscard]] std::vector<NodeId> quantizers_of(const Graph& graph, const Node& activation);

/// Moves every fusible node into its region, until none is left. Returns how many nodes were moved.
int fuse_chains(Graph& graph);

}  // namespace qloom::passes
