#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "graph/interpret.h"
#include "graph/support/error.h"
#include "kernels/tail/tail.h"
#include "passes/tail/transitions.h"

namespace qloom::passes {

/// A region body's accumulator (what its conv or dense computes) or, where it has no such root, its
/// first input: the source of its tail.
[[nodiscard]] ValueId tail_source(const Graph& body);
/// Body inputs that the tail reads besides the source, by position in the region's operands.
[[nodiscard]] std::vector<int> tail_operands(const Graph& body);

struct TailRequest {
  const Node* region = nullptr;
  /// Storage of the first operand where the region has no root.
  kernels::Storage input_storage;
  /// Storage of each of tail_operands().
  std::vector<kernels::Storage> operand_storages;
  /// What to store: result of the region, storage.
  std::vector<std::pair<int, kernels::Storage>> outputs;
  /// Accumulator of each channel, exact from the weights. Empty: the source's type says.
  Interval accumulator;
  EvaluationOptions options;
  /// Code is made for a processor with fused multiply-add: integer forms may use it.
  bool fused_multiply_add = false;
  int64_t exhaustive_limit = int64_t{1} << 20;
  /// Of this region; null: nothing is known yet.
  KnownTransitions* known = nullptr;
};

/// The tail, or why there is none.
struct LoweredTail {
  std::optional<kernels::Tail> tail;
  std::string reason;
};

/// Lowers the body of a region to a tail. Each value that is a code function of one integer (or a
/// monotone one of one float) becomes thresholds, or scale and round, found by asking the
/// interpreter; everything else becomes the interpreter's float32 operations in their order. Not
/// verified yet: verify_tail.
[[nodiscard]] LoweredTail lower_tail(const TailRequest& request);

/// Interval of ordinals of the source (integers: codes; floats: up to kLargestFloat).
[[nodiscard]] Interval source_interval(const TailRequest& request);

}  // namespace qloom::passes
