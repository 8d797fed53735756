// bindings/golden/compare.h: a graph against reference results, in the compiled model and in the
// interpreter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings/golden/bundle.h"
#include "graph/graph.h"
#include "graph/interpret.h"
#include "passes/certificate.h"
#include "passes/compile.h"
#include "runtime/executor.h"
#include "runtime/model.h"

namespace qloom::golden {

/// What the reference computed.
struct Expected {
  struct Value {
    std::string name;
    Tensor value;  ///< f32, batch first
  };
  /// A layer's output on the first samples. Large values are cut to a head in row-major order.
  struct Layer {
    std::string name;
    Extents extents;  ///< of the whole value, `samples` first
    Tensor head;      ///< f32, rank 1
  };
  std::string name;
  std::vector<Tensor> inputs;  ///< f32, one per model input
  std::vector<Value> outputs;  ///< one per model output
  std::vector<Value> logits;   ///< inputs of closing softmax layers, if stored
  int64_t layer_samples = 0;
  std::vector<Layer> layers;
};
/// From a case of a model bundle. Throws UserError naming the missing field.
[[nodiscard]] Expected expected_of(const Bundle& bundle, const Json& one_case);

/// One output, compared.
struct OutputComparison {
  std::string name;
  int64_t values = 0;
  int64_t equal_values = 0;  ///< equal in every bit (+0 and -0 count as equal)
  int64_t max_ulp = 0;       ///< largest distance in units in the last place
  double max_abs = 0;        ///< largest absolute difference
  bool argmax_equal = true;  ///< along the last axis; ties within the tolerance count as equal
  bool within = false;       ///< the contract for this output
  std::string certificate;
  [[nodiscard]] bool bit_equal() const { return equal_values == values; }
};

struct LayerDifference {
  std::string layer;
  int64_t index = 0;  ///< row-major, sample included
  float got = 0, expected = 0;
};

struct Comparison {
  std::string model;
  int64_t samples = 0;
  std::vector<OutputComparison> compiled, interpreter;
  std::optional<LayerDifference> first_difference;  ///< first layer beyond the contract
  int64_t layers_compared = 0, layers_equal = 0;    ///< interpreter, layer by layer
  bool within_contract = false;
};

/// |got - expected| in units in the last place of float32; 0 for +0 and -0; INT64_MAX where exactly
/// one is NaN.
[[nodiscard]] int64_t ulp_distance(float got, float expected);

/// The contract of one output. Certified outputs: every bit. Others: 4 ulp, or 1e-6 of the largest
/// expected magnitude (at least 1), and the same largest element unless the expected top two are
/// closer than that. `inherited`: difference that the output's operands already have and pass on,
/// on top of this.
[[nodiscard]] OutputComparison compare_output(std::string name, const Tensor& got,
                                              const Tensor& expected,
                                              const passes::Certificate& certificate,
                                              double inherited = 0);

/// Samples in a tensor for an input of this shape: its extent along the batch axis. Throws
/// UserError where it has no such axis.
[[nodiscard]] int64_t samples_in(const Shape& shape, const Tensor& x);

/// Runs a compiled model on whole tensors (batch first). Throws UserError with the Status's
/// message.
[[nodiscard]] std::vector<Tensor> run_model(const std::shared_ptr<const runtime::Model>& model,
                                            const std::vector<Tensor>& inputs, int threads);

/// The same with an executor, which keeps the model's state from call to call.
[[nodiscard]] std::vector<Tensor> run_executor(runtime::Executor& executor,
                                               const runtime::Program& program,
                                               const std::vector<Tensor>& inputs);

/// Runs the compiled model and the interpreter (qkeras evaluation with the graph's switches) on the
/// expected inputs. `graph` is as imported with split_softmax; its outputs are the model's outputs,
/// then the logits. Without `compiled` only the interpreter runs. A softmax may inherit half of the
/// difference of its logits, which have a contract of their own: Σj |∂p_i/∂x_j| = 2·p_i·(1 - p_i).
/// The compiled model may be off by 1e-5 of the largest expected magnitude (at least 1) where
/// `float_mode` is fast.
[[nodiscard]] Comparison compare(const Graph& graph, const Expected& expected, int threads = 1,
                                 bool compiled = true,
                                 passes::FloatMode float_mode = passes::FloatMode::reproducible);

}  // namespace qloom::golden
