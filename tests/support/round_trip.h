// tests/support/round_trip.h: what every test's graph goes through.
#pragma once

#include <span>

#include "graph/graph.h"
#include "graph/tensor.h"

namespace qloom::testing {

/// Verifies the graph, prints it, parses it, compares it, prints it again, and, given inputs, runs
/// both in both evaluations and expects equal bits. Reports through GoogleTest.
void check_round_trip(const Graph& graph, std::span<const Tensor> inputs = {});

}  // namespace qloom::testing
