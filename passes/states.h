// passes/states.h: what a graph keeps from call to call as inputs and outputs of its own, so that
// passes, kernels and plans see ordinary values.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "runtime/program.h"

namespace qloom::passes {

struct ExposedState {
  std::string name;            ///< of the variable
  std::vector<float> initial;  ///< of every sample
};

/// Variables that have a value for each sample become inputs, what is assigned to them outputs, in
/// this order behind those that the graph has. Other variables stay.
[[nodiscard]] std::vector<ExposedState> expose_states(Graph& graph);

/// The program of such a graph keeps them: the last ports become Program::kept.
void keep_states(runtime::Program& program, const std::vector<ExposedState>& states);

}  // namespace qloom::passes
