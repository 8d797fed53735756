#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/interpret.h"
#include "graph/support/error.h"

/// What the ops share: errors in one form, shapes, grids, and the making of results. Only files of
/// graph/ include this.
namespace qloom::ops {

/// Largest code for which float32 arithmetic on a power-of-two grid is exact.
inline constexpr int64_t kExactCodes = int64_t{1} << 24;

/// Throws UserError: op, node, where it was built, the text, then each operand with its type.
[[noreturn]] void fail(const InferContext& context, const std::string& text);
template <class... Parts>
void check(const InferContext& context, bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(context, join_text(parts...));
}

/// The axis counted from the front; fails naming the op when it is out of range.
[[nodiscard]] int64_t check_axis(const InferContext& context, int64_t axis, int rank);
[[nodiscard]] inline int64_t front_axis(int64_t axis, int64_t rank) {
  return axis < 0 ? axis + rank : axis;
}

/// NumPy broadcasting of shapes; the batch symbol meets itself or 1.
[[nodiscard]] Shape broadcast(const InferContext& context, const Shape& a, const Shape& b);
[[nodiscard]] Extents broadcast_extents(const Extents& a, const Extents& b);

/// Walks a row-major index over `extents`, keeping up to two offsets for given strides.
template <class Visit>
void for_each_offset(const Extents& extents, const std::vector<int64_t>& a,
                     const std::vector<int64_t>& b, Visit&& visit) {
  const int64_t count = element_count(extents);
  std::vector<int64_t> index(extents.size(), 0);
  int64_t ia = 0, ib = 0;
  for (int64_t i = 0; i < count; ++i) {
    visit(i, ia, ib);
    for (size_t axis = extents.size(); axis-- > 0;) {
      ia += a[axis];
      ib += b[axis];
      if (++index[axis] < extents[axis]) break;
      ia -= a[axis] * extents[axis];
      ib -= b[axis] * extents[axis];
      index[axis] = 0;
    }
  }
}

/// Float32 values of a constant operand.
[[nodiscard]] Tensor constant_f32(const Node& constant, const TensorType& type);
/// Value set of f32 data: float32, or the coarsest grid of at most 16 bits that holds all values.
[[nodiscard]] Numeric tightest_numeric(std::span<const float> values);

/// Integers lo..hi × 2^exponent: a type re-expressed on one power-of-two grid for the whole tensor.
struct PowerGrid {
  int64_t lo = 0, hi = 0;
  int exponent = 0;
  [[nodiscard]] Numeric numeric() const { return Numeric::integers(lo, hi, -exponent); }
  [[nodiscard]] bool within(int64_t limit) const { return lo >= -limit && hi <= limit; }
};
/// None unless the type has codes, all scales are powers of two and all codes stay within ±2^62.
[[nodiscard]] std::optional<PowerGrid> power_grid(const TensorType& type);
/// Codes of a value on the grid of 2^exponent, which must be as fine as the value's own.
[[nodiscard]] std::vector<int64_t> codes_on(const RuntimeValue& value, int exponent);
/// Re-expression of a whole interval; none when it leaves ±2^62.
[[nodiscard]] std::optional<PowerGrid> on_exponent(const PowerGrid& grid, int exponent);

/// Value set and scale that hold all operands, where they have codes on one step or on power-of-two
/// grids; else float32. `axis`: operands may differ in what stands along it (concatenation).
[[nodiscard]] TensorType join_types(Shape shape, std::span<const TensorType> operands,
                                    std::optional<int64_t> axis = std::nullopt);
/// Codes of a value on the grid of a type that join_types made of it and others.
[[nodiscard]] std::vector<int64_t> codes_as(const RuntimeValue& value, const TensorType& type);
/// True when every value of `inner` is one of `outer` (float32 holds all).
[[nodiscard]] bool holds(const TensorType& outer, const TensorType& inner);

/// A scale given for each element of `extents`, with every axis along which it does not change
/// reduced to 1.
[[nodiscard]] Scale compressed_scale(Extents extents, std::vector<double> values);
/// The scale's values spread over `extents` (row-major).
[[nodiscard]] std::vector<double> spread(const Tensor& scale, const Extents& extents);
/// True when the scale does not change along these axes of a value of the given rank.
[[nodiscard]] bool constant_along(const Scale& scale, int rank, std::span<const int64_t> axes);
/// True when all scales are positive.
[[nodiscard]] bool is_positive(const Scale& scale);

/// True when result `index` is to be computed as codes.
[[nodiscard]] bool wants_codes(const EvaluateContext& context, size_t index = 0);
[[nodiscard]] RuntimeValue result(const EvaluateContext& context, Extents extents,
                                  std::vector<float> values, size_t index = 0);
/// Checks that each code lies in the declared interval.
[[nodiscard]] RuntimeValue result(const EvaluateContext& context, Extents extents,
                                  std::vector<int64_t> codes, size_t index = 0);
[[nodiscard]] std::vector<RuntimeValue> single(RuntimeValue value);

/// Throws UserError naming the node, the sample and the index of the first NaN or infinity.
void check_finite(const Node& node, const Tensor& x);

/// "conv 'block2/conv' (train.cc:41)" or "conv 'c1' of c1 (QConv2D)".
[[nodiscard]] std::string label(const Node& node);

/// Type of a region's body input that stands for an operand of this type. A scale that is a value
/// of the outer graph means nothing inside: such an operand is plain float32 there.
[[nodiscard]] TensorType body_input_type(const TensorType& operand);

/// Type of one step of a sequence [N, T, …], and of the sequence of such steps.
[[nodiscard]] TensorType step_type(const TensorType& sequence);
[[nodiscard]] TensorType collected_type(const TensorType& step, Dim steps);
/// Sets the types of a scan's body inputs from the types of its operands, and infers the body's:
/// each state gets the smallest type that holds its initial value and what the body makes of it.
void settle_scan(const Graph& graph, const Node& scan);

/// Evaluates a graph on values: what `interpret` does after it has bound its inputs. `variable`
/// gives the value of a variable, `assign` takes what is assigned to one; null for bodies, which
/// have none.
[[nodiscard]] std::vector<RuntimeValue> interpret_values(
    const Graph& graph, std::span<const RuntimeValue> inputs, const EvaluationOptions& options,
    const Observer& observer, const std::function<RuntimeValue(const Node&)>& variable = {},
    const std::function<void(const Node&, const RuntimeValue&)>& assign = {});

}  // namespace qloom::ops
