// passes/boundary.h: where values enter and leave a compiled graph: what it keeps from call to call
// as inputs and outputs of its own, and the batch axis first, so that passes, kernels and plans see
// ordinary values.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "runtime/program.h"

namespace qloom::passes {

/// What the caller and the executor have to do with a graph.
struct Boundary {
  struct Kept {
    std::string name;            ///< of the variable
    std::vector<float> initial;  ///< of every sample
  };
  std::vector<Kept> kept;              ///< by the last inputs and outputs
  std::vector<Shape> inputs, outputs;  ///< as the caller has them, in order
};

/// Variables that have a value for each sample become inputs, what is assigned to them outputs, in
/// this order behind those that the graph has; other variables stay. Inputs and outputs whose batch
/// axis is another than the first get one that is, and a permutation.
[[nodiscard]] Boundary open_boundary(Graph& graph);

/// The program of such a graph: keeps what is to be kept, and has the caller's shapes.
void close_boundary(runtime::Program& program, const Boundary& boundary);

/// Throws UserError where a value's batch axis is not its first: only the interpreter runs that.
void check_batch_first(const Graph& graph);

}  // namespace qloom::passes
