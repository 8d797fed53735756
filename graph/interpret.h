#pragma once

#include <array>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/quantizer.h"
#include "graph/tensor.h"

namespace qloom {

/// The reference interpreter: the oracle. Plain loops, slow, exact; shares nothing with kernels.

/// Two named evaluations of one graph.
///   qkeras     float32, operation by operation, as QKeras computes, x + (q - x) included
///   canonical  each quantized value is code × scale; sums of products of codes are exact integers;
///              everything else is the same float32 operation, in the same order, on the float32
///              nearest to code × step
enum class Evaluation : uint8_t { qkeras, canonical };
constexpr std::array<std::string_view, 2> names_of(Evaluation) { return {"qkeras", "canonical"}; }
/// Rounding order of 4-D batch normalization in TensorFlow: plain, or the last product and sum
/// rounded once (oneDNN).
enum class BatchNormRounding : uint8_t { plain, fused_multiply_add };
constexpr std::array<std::string_view, 2> names_of(BatchNormRounding) {
  return {"plain", "fused_multiply_add"};
}

struct EvaluationOptions {
  Evaluation evaluation = Evaluation::canonical;
  Division division = Division::divide;
  BatchNormRounding batch_norm = BatchNormRounding::plain;
  InternalSigmoid internal_sigmoid = InternalSigmoid::hard;
  bool operator==(const EvaluationOptions&) const = default;
  /// For to_attributes and from_attributes (graph/support/fields.h).
  void fields(auto&& f) {
    f("evaluation", evaluation);
    f("division", division);
    f("batch_norm", batch_norm);
    f("internal_sigmoid", internal_sigmoid);
  }

  /// The switches of "eager" (divide, plain), "predict" (reciprocal, plain), "predict_onednn"
  /// (reciprocal, fused_multiply_add). They matter in both evaluations. Throws UserError that lists
  /// the names.
  [[nodiscard]] static EvaluationOptions preset(std::string_view name, Evaluation evaluation);
};

/// A value during evaluation. In canonical evaluation `data` holds i64 codes where
/// type.has_codes(), f32 values otherwise; in qkeras evaluation always f32 values. The type's shape
/// is bound (no batch symbol) and its scale is never dynamic.
struct RuntimeValue {
  TensorType type;
  Tensor data;
};
/// float32 values: the data itself, or the float32 nearest to code × step (product in float64,
/// rounded once).
[[nodiscard]] Tensor to_f32(const RuntimeValue& value);
/// Inverse for values that lie on the type's grid; throws InternalError naming the first that does
/// not.
[[nodiscard]] Tensor to_codes(const Tensor& f32, const TensorType& type);

/// Called after each node with its results; for "first layer that differs" and for statistics.
using Observer = std::function<void(const Node&, std::span<const RuntimeValue>)>;

/// Values of variables by name, f32. Graphs of one model (for training and for inference) share
/// one. A variable that is not there has its initial value; entries that no variable has stay.
using State = std::map<std::string, Tensor, std::less<>>;

/// Evaluates the graph. `inputs`: one f32 tensor per graph input, same batch on the batch axes.
/// `state`: what variables hold, changed when all is evaluated; null: initial values, and nothing
/// is kept. Returns one RuntimeValue per graph output. Throws UserError when an input's or a
/// state's shape does not fit or a value to be quantized is NaN or infinite (naming input, sample
/// and index).
[[nodiscard]] std::vector<RuntimeValue> interpret(const Graph& graph,
                                                  std::span<const Tensor> inputs,
                                                  const EvaluationOptions& options,
                                                  const Observer& observer = {},
                                                  State* state = nullptr);

/// Evaluates one node of the graph on given operands (constant folding, tails). The results have
/// the value set and scale that the graph declares; their shape follows from the operands.
[[nodiscard]] std::vector<RuntimeValue> evaluate(const Graph& graph, const Node& node,
                                                 std::span<const RuntimeValue> operands,
                                                 const EvaluationOptions& options);
/// The value of a `constant` node.
[[nodiscard]] RuntimeValue constant_value(const Graph& graph, const Node& node,
                                          const EvaluationOptions& options = {});

}  // namespace qloom
