#pragma once

#include <memory>

#include "graph/graph.h"
#include "kernels/kernel.h"
#include "passes/tail/transitions.h"

namespace qloom::passes {

/// Geometry of a conv or dense node; of any other node that of its result, element by element.
[[nodiscard]] kernels::Window window_of(const Graph& graph, const Node& node);

/// What is asked of kernels for a region or a node that stays alone; tail and storages are left
/// open. Points into the graph, which must not change as long as the query is used.
[[nodiscard]] kernels::Query query_of(const Graph& graph, const Node& node);

/// Products and sums of a node per sample (of a region: of its root).
[[nodiscard]] int64_t macs_of(const Graph& graph, const Node& node);
/// True for a conv or dense, alone or as a root, whose two operands both have codes.
[[nodiscard]] bool both_quantized(const Graph& graph, const Node& node);

}  // namespace qloom::passes
