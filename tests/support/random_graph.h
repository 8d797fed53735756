// tests/support/random_graph.h: random typed graphs, for tests of types, text, passes and
// pipelines.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"
#include "graph/tensor.h"

namespace qloom::testing {

struct RandomGraphOptions {
  /// How many layers are tried; each may add several nodes.
  int layers = 6;
  /// Batch normalization, smooth activations, softmax, unquantized weights, scales that are no
  /// powers of two. Without them every value lies on a power-of-two grid.
  bool float_parts = true;
  /// Activation quantizers whose scale comes from data (they depend on the whole batch).
  bool data_scales = false;
};

/// A verified graph: chains of conv and conv_transpose (padding, strides, dilation, groups, 1-D),
/// dense, pool, resize, slice, quantize, batch norm, elementwise, concat, pad, … on odd shapes and
/// widths. Equal seeds give equal graphs.
[[nodiscard]] Graph random_graph(uint64_t seed, const RandomGraphOptions& options = {});

/// One tensor per graph input: multiples of 2^-6 within ±4 mixed with other floats, so that
/// quantizers meet ties, saturation and ordinary values.
[[nodiscard]] std::vector<Tensor> random_inputs(const Graph& graph, int64_t batch, uint64_t seed);

/// Small generator whose results do not depend on the standard library.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 0x1234567) {}
  uint64_t next();
  /// Uniform in [lo, hi].
  int64_t integer(int64_t lo, int64_t hi);
  bool chance(int percent) { return integer(0, 99) < percent; }
  /// Uniform in [lo, hi).
  float real(float lo, float hi);
  template <class List>
  const auto& pick(const List& list) {
    return list[static_cast<size_t>(integer(0, static_cast<int64_t>(std::size(list)) - 1))];
  }

 private:
  uint64_t state_;
};

}  // namespace qloom::testing
