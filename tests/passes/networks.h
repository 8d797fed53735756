#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/tensor.h"

/// Small networks for tests of passes, and inputs for them.
namespace qloom::test {

/// image → quantized_bits → conv + bias → batch norm → activation → max pooling → flatten → dense.
/// `weights`, `activation`: quantizer strings.
[[nodiscard]] Graph small_cnn(const std::string& weights, const std::string& activation,
                              uint64_t seed = 1);
/// A residual block: the activation feeds a conv and the sum behind it; the sum is an output too.
[[nodiscard]] Graph residual_block(const std::string& weights, const std::string& activation,
                                   uint64_t seed = 1);
/// 1-D, channels first: permutations around each conv.
[[nodiscard]] Graph channels_first(uint64_t seed = 1);
/// An input quantizer, then dense layers with biases: inputs, and outputs of each.
[[nodiscard]] Graph dense_layers(const std::vector<int64_t>& widths, const std::string& weights,
                                 const std::string& activation, uint64_t seed = 1);
/// Three of them.
[[nodiscard]] Graph mlp(const std::string& weights, const std::string& activation,
                        uint64_t seed = 1);

/// Dense → QBatchNormalization with its default quantizers → activation `function` → softmax; both
/// are outputs.
[[nodiscard]] Graph float_functions(const std::string& function, double alpha = 1,
                                    uint64_t seed = 1);

/// One tensor per input, normally distributed.
[[nodiscard]] std::vector<Tensor> random_inputs(const Graph& graph, int64_t batch, uint64_t seed);
/// Values in [-1, 1], and positive ones.
[[nodiscard]] Tensor random_tensor(Extents extents, uint64_t seed, float lo = -1, float hi = 1);

/// Canonical outputs of the interpreter as float32.
[[nodiscard]] std::vector<Tensor> reference(const Graph& graph, const std::vector<Tensor>& inputs);

}  // namespace qloom::test
