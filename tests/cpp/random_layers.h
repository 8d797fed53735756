// tests/cpp/random_layers.h: networks of one layer with random arguments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/cpp/network.h"
#include "graph/graph.h"
#include "graph/tensor.h"

namespace qloom::test {

/// A quantizer or nothing in front of a layer of a random class, with random arguments that fit its
/// input, weights, and a quantizer or nothing behind it. Equal seeds give equal networks.
struct RandomLayer {
  Network network;
  std::string class_name;
  std::string text;         ///< class, configuration and input shapes
  size_t more_outputs = 0;  ///< of the layer, behind its first
  int64_t rows = 0;         ///< the first input holds numbers below this; 0: any values
  bool masks = false;       ///< some time steps of the first input are all zeros
  bool stateful = false;    ///< keeps states from call to call
  bool time_major = false;  ///< its inputs are [T, N, F]
  int64_t each = 0;         ///< indices of axis 1 that it stands on (TimeDistributed); 0: none

  /// All outputs of the layer, evaluated as `predict` does.
  [[nodiscard]] Graph graph() const;
  [[nodiscard]] std::vector<Tensor> inputs(const Graph& graph, int64_t samples,
                                           uint64_t seed) const;
};
[[nodiscard]] RandomLayer random_layer(uint64_t seed);
[[nodiscard]] std::string random_layer_class(uint64_t seed);

/// The classes that `random_layer` draws from.
[[nodiscard]] std::vector<std::string> random_layer_classes();

}  // namespace qloom::test
