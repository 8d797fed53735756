#pragma once

#include <memory>
#include <optional>

#include "graph/graph.h"
#include "kernels/kernel.h"
#include "passes/tail/transitions.h"

namespace qloom::passes {

/// What a pool or reduce node makes of the elements of a window; none for averages and other ops.
[[nodiscard]] std::optional<kernels::Pooling> pooling_of(const Node& node);
/// Whether a reduce node goes over all axes between batch and channels, one or two.
[[nodiscard]] bool reduces_image(const Graph& graph, const Node& node);

/// Geometry of a conv, dense, pool or such a reduce node; of any other node that of its result,
/// element by element.
[[nodiscard]] kernels::Window window_of(const Graph& graph, const Node& node);

/// What is asked of kernels for a region or a node that stays alone; tail and storages are left
/// open. Points into the graph, which must not change as long as the query is used.
[[nodiscard]] kernels::Query query_of(const Graph& graph, const Node& node);

/// Products and sums of a node per sample (of a region: of its root).
[[nodiscard]] int64_t macs_of(const Graph& graph, const Node& node);
/// True for a conv or dense, alone or as a root, whose two operands both have codes.
[[nodiscard]] bool both_quantized(const Graph& graph, const Node& node);

}  // namespace qloom::passes
