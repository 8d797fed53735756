#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "graph/attributes.h"
#include "graph/tensor_type.h"

namespace qloom {

class Graph;
struct Node;
struct EvaluationOptions;
struct RuntimeValue;

/// An operand of an op, by position. A variadic operand is the last one and stands for one or more.
struct OperandDef {
  std::string_view name;
  bool optional = false;
  bool variadic = false;
};

/// What `infer` may look at.
struct InferContext {
  const Node& node;
  std::span<const TensorType> operands;
  /// Per operand: the constant that feeds it, or null.
  std::span<const Node* const> constants;
  const EvaluationOptions& options;
  /// Result values of the node (a dynamic scale refers to the node's own second result).
  std::span<const ValueId> results;
};

struct EvaluateContext {
  const Node& node;
  std::span<const RuntimeValue> operands;
  /// Declared types of the results: value set and scale decide between codes and floats. The shape
  /// of a result comes from the operands (a tail may be evaluated on more samples than declared).
  std::span<const TensorType> results;
  const EvaluationOptions& options;
};

/// How often an op multiplies and adds, for one sample (batch symbol = 1).
struct OpCounts {
  int64_t multiply_accumulates = 0;  ///< products of the two named operands, padding included
  int64_t other = 0;                 ///< additions, comparisons, … outside of those
};

/// How one result element moves when the corresponding element of operand 0 grows and all else
/// stays: the proof chain for lowering tails.
enum class Direction : uint8_t { none, up, down, constant, per_channel };

/// An operation. One constant per file of graph/ops/, one line in the list.
struct OpDef {
  std::string_view name;
  std::string_view doc;
  std::span<const OperandDef> operands;
  /// Checks and completes attributes (defaults filled in, unknown ones refused). Built from the
  /// op's attribute struct by attrs_of<T> (graph/support/fields.h).
  Attributes (*attrs)(const Attributes&) = nullptr;
  int results = 1;
  /// Owns a body Graph; operands and results correspond to its inputs and outputs.
  bool has_body = false;
  /// Operand types → result types. Throws UserError naming node, operand and type.
  std::vector<TensorType> (*infer)(const InferContext&) = nullptr;
  /// The meaning, in the plainest loop that can be written, for both evaluations.
  std::vector<RuntimeValue> (*evaluate)(const EvaluateContext&) = nullptr;
  OpCounts (*count)(const Node&, std::span<const TensorType> operands,
                    std::span<const TensorType> results) = nullptr;
  /// Direction of result 0 with respect to the operand of this index, element by element, for each
  /// index along the last axis (size 1: all alike). Null: not an elementwise monotone op.
  std::vector<Direction> (*direction)(const Node&, int operand,
                                      std::span<const TensorType> operands,
                                      std::span<const Node* const> constants) = nullptr;
  /// Result depends on the whole batch when an operand does not; such nodes are never split.
  bool (*whole_batch)(const Node&) = nullptr;
};

/// Looks an op up by name; null when unknown.
[[nodiscard]] const OpDef* find_op(std::string_view name);

}  // namespace qloom
