#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "graph/interpret.h"

namespace qloom::passes {

/// Values of a body seen as functions of one other value, its source, element by element: what the
/// interpreter says for chosen points. The reference for every lowering of a tail.
///
/// Points of a source are *ordinals*, integers in the order of the values: codes as they are; of
/// float32 the bits, ordered (-0 is -1, +0 is 0), so that neighbours differ by 1. ~ordinal is the
/// ordinal of the negated float.
class BodyFunction {
 public:
  /// `source` and `value` belong to the body. Evaluates canonically.
  BodyFunction(const Graph& body, ValueId source, const EvaluationOptions& options);
  /// The same with any float32 for the source, also where it has codes: what a quantizer makes of
  /// numbers between them.
  [[nodiscard]] BodyFunction over_floats() const;

  /// True when `value` depends on the source and constants alone.
  [[nodiscard]] bool is_function(ValueId value) const;
  /// True when no constant between source and value, nor the source's step, differs between
  /// channels.
  [[nodiscard]] bool is_uniform(ValueId value) const;
  [[nodiscard]] ValueId source() const { return source_; }
  [[nodiscard]] const TensorType& type(ValueId value) const { return body_.type(value); }
  [[nodiscard]] bool source_is_f32() const { return !type_.has_codes(); }
  [[nodiscard]] int64_t channels() const { return type_.shape.back().extent(); }

  /// Per channel (one element where uniform): +1 the value's code never falls as the source grows,
  /// -1 never rises, 0 does not depend on it; none where that is not proved for every channel.
  [[nodiscard]] std::optional<std::vector<int>> directions(ValueId value) const;

  /// Values at `ordinals`, points × columns row-major; columns is 1 (uniform values only) or
  /// channels(). `further`: values of other body inputs at the same points.
  struct Further {
    ValueId input;
    std::vector<int64_t> ordinals;
  };
  [[nodiscard]] std::vector<RuntimeValue> evaluate(std::span<const ValueId> values,
                                                   std::span<const int64_t> ordinals,
                                                   int64_t columns,
                                                   std::span<const Further> further = {}) const;
  /// Codes of one value.
  [[nodiscard]] std::vector<int64_t> codes(ValueId value, std::span<const int64_t> ordinals,
                                           int64_t columns) const;

 private:
  const Graph& body_;
  ValueId source_;
  TensorType type_;  ///< of the source
  EvaluationOptions options_;
  std::vector<NodeId> order_;
};

[[nodiscard]] int64_t ordinal_of(float value);
[[nodiscard]] float float_of(int64_t ordinal);

}  // namespace qloom::passes
