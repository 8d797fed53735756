// passes/analysis/layers.h: what is known of the layers that a graph was imported from.
#pragma once

#include "graph/graph.h"

namespace qloom::passes {

/// Which result of a node other layers see: the first that is read outside of the node's layer or
/// is an output of the graph, else the first. A scan yields its states too.
[[nodiscard]] ValueId shown_result(const Graph& graph, const Node& node);

}  // namespace qloom::passes
