#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "passes/tail/tail_builder.h"

namespace qloom::passes {

/// One op's float32 operations, in the order and with the roundings of the interpreter. `operands`:
/// the f32 step of each variable operand (-1 for constants).
struct ReferenceOp {
  TailBuilder& builder;
  const Graph& body;
  const Node& node;
  std::span<const int> operands;
  const EvaluationOptions& options;
};

/// Appends the steps and returns the one with the result; a refusal names what has no such form.
struct ReferenceStep {
  int step = -1;
  std::string reason;  ///< why not, where step is -1
};
[[nodiscard]] ReferenceStep lower_in_reference_order(const ReferenceOp& op);

/// True for activation functions that have such steps.
[[nodiscard]] bool has_reference_form(std::string_view function);

/// A constant operand's float32 values per channel (one element where all alike).
[[nodiscard]] std::vector<float> constant_values(const Graph& body, const Node& constant,
                                                 const EvaluationOptions& options);

}  // namespace qloom::passes
