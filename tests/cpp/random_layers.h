// tests/cpp/random_layers.h: networks of one layer with random arguments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/cpp/network.h"

namespace qloom::test {

/// A quantizer or nothing in front of a layer of a random class, with random arguments that fit its
/// input, weights, and a quantizer or nothing behind it. Equal seeds give equal networks.
struct RandomLayer {
  Network network;
  std::string class_name;
  std::string text;  ///< class, configuration and input shapes
};
[[nodiscard]] RandomLayer random_layer(uint64_t seed);

/// The classes that `random_layer` draws from.
[[nodiscard]] std::vector<std::string> random_layer_classes();

}  // namespace qloom::test
