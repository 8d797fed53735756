#pragma once

#include <optional>

#include "graph/graph.h"
#include "kernels/kernel.h"

namespace qloom::passes {

/// Where the elements of the node's result lie in its operand: of slice, permute, pad and resize by
/// repetition. None where it is another op, moves the batch axis, or changes codes.
[[nodiscard]] std::optional<kernels::Move> move_of(const Graph& graph, const Node& node);

/// Is the node one that emitted kernels run as the root of a region: a move, rows of a constant
/// table, a bilinear interpolation?
[[nodiscard]] bool moves_elements(const Graph& graph, const Node& node);

}  // namespace qloom::passes
