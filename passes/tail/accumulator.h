#pragma once

#include "graph/graph.h"
#include "passes/tail/transitions.h"

namespace qloom::passes {

/// Interval of Σ code_x · code_w for each output channel of a conv or dense with constant weights:
/// exact from the weights and the value set of x. Zeros that padding brings in count.
[[nodiscard]] Interval accumulator_interval(const Graph& body, const Node& root);

}  // namespace qloom::passes
