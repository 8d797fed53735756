#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace qloom::passes {

/// Why both evaluations of an output agree, or which condition fails where (DESIGN 1.2).
struct Certificate {
  std::string output;
  /// Bit-equal for every finite input below 2^24 steps of the input's quantizer.
  bool exact = false;
  struct Failure {
    std::string node;   ///< node name
    std::string layer;  ///< its Keras layer, if any
    std::string
        condition;  ///< "operand image is float32 and not quantized: a float sum in some order"
  };
  /// Nodes at which a condition first fails on a path to this output (not their consequences).
  std::vector<Failure> failures;
  [[nodiscard]] std::string to_string() const;
};

/// One certificate per graph output, of the graph as imported (before passes).
[[nodiscard]] std::vector<Certificate> certificates(const Graph& graph);

}  // namespace qloom::passes
