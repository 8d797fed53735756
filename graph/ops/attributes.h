#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/attributes.h"

/// Attribute structs of the ops, one per op, listed by `fields` (graph/support/fields.h). The ops
/// themselves, with their meaning, are in the file of their name.
namespace qloom::ops {

enum class Padding : uint8_t { valid, same, causal };
constexpr std::array<std::string_view, 3> names_of(Padding) { return {"valid", "same", "causal"}; }

/// quantize(x [, key]) → y [, scale]. `quantizer` is a QKeras class name, `arguments` are complete.
/// With the key of a `random` the quantizer draws, where it can, instead of rounding; y is float32.
/// A quantizer whose scale comes from data has a second result, the scale, unless x is constant.
struct Quantize {
  std::string quantizer;
  Attributes arguments;
  void fields(auto&& f) {
    f("quantizer", quantizer);
    f("arguments", arguments);
  }
  bool operator==(const Quantize&) const = default;
};

/// random(counter [n]) → [4]: the key of stream number `counter` of `seed`, as four whole numbers
/// below 2^16. Counters are whole numbers: of the call, of the time step within it, …. Nothing is
/// drawn: who has the key draws (graph/draws.h).
struct Random {
  int64_t seed = 0;
  void fields(auto&& f) { f("seed", seed); }
  bool operator==(const Random&) const = default;
};

/// dense(x [..., C], kernel [C, U]) → [..., U]. The bias is an elementwise add of its own.
struct Dense {
  void fields(auto&&) {}
  bool operator==(const Dense&) const = default;
};

/// conv(x, kernel): x [N, H, W, C], kernel [R, S, C/groups, K] → [N, H', W', K]; or 1-D: x [N, T,
/// C], kernel [S, C/groups, K] → [N, T', K]. Correlation, channels last. Depthwise is groups = C
/// with kernel [R, S, 1, C·multiplier]: output channel c·multiplier + j. `strides` and `dilations`
/// have one entry per spatial axis. Geometry: spec of Keras (same: before = floor(total/2)); causal
/// is 1-D only.
struct Conv {
  std::vector<int64_t> strides{1, 1};
  std::vector<int64_t> dilations{1, 1};
  Padding padding = Padding::valid;
  int64_t groups = 1;
  void fields(auto&& f) {
    f("strides", strides);
    f("dilations", dilations);
    f("padding", padding);
    f("groups", groups);
  }
  bool operator==(const Conv&) const = default;
};

/// conv_transpose(x, kernel): the transpose of a convolution. x [N, H, W, C] or [N, T, C], kernel
/// [(R,) S, C/groups, K]: x[i] adds x[i]·kernel[p] to output i·stride + p·dilation - before.
/// Extents by Keras's rules (graph/ops/geometry.h): same: in·stride; valid: all that is touched,
/// and zeros up to in·stride; with `output_padding` that many elements behind the last window.
struct ConvTranspose {
  std::vector<int64_t> strides{1, 1};
  std::vector<int64_t> dilations{1, 1};
  Padding padding = Padding::valid;  ///< not causal
  int64_t groups = 1;
  std::vector<int64_t> output_padding = {};  ///< one entry per spatial axis, or none
  void fields(auto&& f) {
    f("strides", strides);
    f("dilations", dilations);
    f("padding", padding);
    f("groups", groups);
    f("output_padding", output_padding);
  }
  bool operator==(const ConvTranspose&) const = default;
};

enum class PoolKind : uint8_t { max, average, sum };
constexpr std::array<std::string_view, 3> names_of(PoolKind) { return {"max", "average", "sum"}; }
/// pool(x [N, H, W, C] or [N, T, C]) → pooled. Cells outside x do not count: the maximum ignores
/// them, the average divides by the number of cells inside. Average: sum in float32 order-free
/// (exact where the operand has codes), then one float32 division by the count; sum: without it.
struct Pool {
  PoolKind kind = PoolKind::max;
  std::vector<int64_t> sizes{2, 2};
  std::vector<int64_t> strides{2, 2};
  Padding padding = Padding::valid;
  void fields(auto&& f) {
    f("kind", kind);
    f("sizes", sizes);
    f("strides", strides);
    f("padding", padding);
  }
  bool operator==(const Pool&) const = default;
};

enum class Elementwise : uint8_t { add, subtract, multiply, divide, maximum, minimum };
constexpr std::array<std::string_view, 6> names_of(Elementwise) {
  return {"add", "subtract", "multiply", "divide", "maximum", "minimum"};
}
/// elementwise(a, b) → a ∘ b, one float32 operation per element, NumPy broadcasting. On a common
/// power-of-two grid below 2^24 steps the result has codes. A division by what was a constant when
/// the graph was built (`constant_divisor`, set by the builder) follows the evaluation's `division`
/// switch.
struct ElementwiseOp {
  Elementwise kind = Elementwise::add;
  bool constant_divisor = false;
  void fields(auto&& f) {
    f("kind", kind);
    f("constant_divisor", constant_divisor);
  }
  bool operator==(const ElementwiseOp&) const = default;
};

enum class ReduceKind : uint8_t { sum, mean, max, min };
constexpr std::array<std::string_view, 4> names_of(ReduceKind) {
  return {"sum", "mean", "max", "min"};
}
/// reduce(x) over `axes` (non-negative). mean: sum, then one float32 division by the count, or by
/// max(count - correction, 1). The batch axis may be among the axes where `over_batch` says so:
/// statistics of the training phase.
struct Reduce {
  ReduceKind kind = ReduceKind::sum;
  std::vector<int64_t> axes;
  bool keep_dims = false;
  int64_t correction = 0;
  bool over_batch = false;
  void fields(auto&& f) {
    f("kind", kind);
    f("axes", axes);
    f("keep_dims", keep_dims);
    f("correction", correction);
    f("over_batch", over_batch);
  }
  bool operator==(const Reduce&) const = default;
};

/// concat(x0, x1, …) along `axis` (non-negative).
struct Concat {
  int64_t axis = 0;
  void fields(auto&& f) { f("axis", axis); }
  bool operator==(const Concat&) const = default;
};

/// reshape(x [N, …]) → [N, extents…]: the batch axis stays first. At most one extent is -1.
/// On a constant operand (no batch axis) `extents` is the whole new shape.
struct Reshape {
  std::vector<int64_t> extents;
  void fields(auto&& f) { f("extents", extents); }
  bool operator==(const Reshape&) const = default;
};

/// permute(x): result axis i is operand axis axes[i]; the batch axis stays where it is in value.
struct Permute {
  std::vector<int64_t> axes;
  void fields(auto&& f) { f("axes", axes); }
  bool operator==(const Permute&) const = default;
};

/// pad(x) with zeros: before[i], after[i] elements on axis i (0 for the batch axis).
struct Pad {
  std::vector<int64_t> before, after;
  void fields(auto&& f) {
    f("before", before);
    f("after", after);
  }
  bool operator==(const Pad&) const = default;
};

enum class Interpolation : uint8_t { nearest, bilinear };
constexpr std::array<std::string_view, 2> names_of(Interpolation) {
  return {"nearest", "bilinear"};
}
/// resize(x [N, H, W, C] or [N, T, C]): every spatial axis `scales` times as long. nearest: each
/// element that often. bilinear: output j lies at (j + 1/2)/scale - 1/2 between two elements of x,
/// clamped to the borders; along the last spatial axis first, a + (b - a)·distance in float32.
struct Resize {
  std::vector<int64_t> scales{2, 2};
  Interpolation interpolation = Interpolation::nearest;
  void fields(auto&& f) {
    f("scales", scales);
    f("interpolation", interpolation);
  }
  bool operator==(const Resize&) const = default;
};

/// gather(table [V, …], indices): the rows of the table at the indices, rounded towards 0, → the
/// shape of the indices and then that of a row. An index outside of the table is an error in the
/// interpreter; elsewhere it stands for the nearest row.
struct Gather {
  void fields(auto&&) {}
  bool operator==(const Gather&) const = default;
};

/// Which of Keras's formulas: 4-D batch normalization of Keras 2 (`centered`: rows 1 and 2 of
/// layers.md 6.1) or the other (`affine`: row 3).
enum class BatchNormForm : uint8_t { centered, affine };
constexpr std::array<std::string_view, 2> names_of(BatchNormForm) { return {"centered", "affine"}; }
/// batch_norm(x, gamma, beta, mean, variance), parameters [C] along `axis` (non-negative).
///   r = 1 / sqrt(variance + epsilon), each operation rounded;  inv = r·gamma
///   inverse_quantizer, if any, quantizes inv (affine form only)
///   centered: y = (x - mean)·inv + beta        (or, fused_multiply_add: fma((x - mean)·r, gamma,
///   beta)) affine:   y = x·inv + (beta - mean·inv)
struct BatchNorm {
  double epsilon = 1e-3;
  int64_t axis = -1;
  BatchNormForm form = BatchNormForm::affine;
  std::string inverse_quantizer = {};  ///< class name, "" for none
  Attributes inverse_arguments = {};
  void fields(auto&& f) {
    f("epsilon", epsilon);
    f("axis", axis);
    f("form", form);
    f("inverse_quantizer", inverse_quantizer);
    f("inverse_arguments", inverse_arguments);
  }
  bool operator==(const BatchNorm&) const = default;
};

/// activation(x): a plain function of each element, by name (table in activation.cc):
///   QKeras: hard_sigmoid, smooth_sigmoid, binary_sigmoid, hard_tanh, smooth_tanh, binary_tanh
///   Keras:  linear, relu, elu, selu, softplus, softsign, swish, gelu, exponential, mish, sigmoid,
///   tanh,
///           keras_hard_sigmoid (0.2 slope), leaky_relu
///   for formulas of layers: sqrt, abs, log2, exp2, ceil, round (half to even), is_positive (1 or
///   0)
/// relu: `max_value` where x >= max_value, x where threshold < x, else negative_slope·(x -
/// threshold).
struct Activation {
  std::string function = "linear";
  std::optional<double> max_value = std::nullopt;
  double negative_slope = 0;
  double threshold = 0;
  double alpha = 1;  ///< elu
  void fields(auto&& f) {
    f("function", function);
    f("max_value", max_value);
    f("negative_slope", negative_slope);
    f("threshold", threshold);
    f("alpha", alpha);
  }
  bool operator==(const Activation&) const = default;
};

/// softmax(x) along `axis`: exp(x - max) / sum.
struct Softmax {
  int64_t axis = -1;
  void fields(auto&& f) { f("axis", axis); }
  bool operator==(const Softmax&) const = default;
};

/// masking(x [N, T, …]): time steps whose elements all equal `mask_value` become zeros.
struct Masking {
  double mask_value = 0;
  void fields(auto&& f) { f("mask_value", mask_value); }
  bool operator==(const Masking&) const = default;
};

/// slice(x): `count` elements of `axis` (non-negative, not the batch axis): begin, begin + stride,
/// … A negative stride goes backwards.
struct Slice {
  int64_t axis = 0;
  int64_t begin = 0;
  int64_t count = 1;
  int64_t stride = 1;
  void fields(auto&& f) {
    f("axis", axis);
    f("begin", begin);
    f("count", count);
    f("stride", stride);
  }
  bool operator==(const Slice&) const = default;
};

/// step_mask(x [N, T, F]) → bit [N, T]: 0 for time steps whose elements all equal `mask_value`.
struct StepMask {
  double mask_value = 0;
  void fields(auto&& f) { f("mask_value", mask_value); }
  bool operator==(const StepMask&) const = default;
};

/// scan(sequences…, initial states…, further values…): evaluates its body once for each time step.
/// Body inputs: one step of each sequence ([N, T, …] → [N, …]), the states, the further values;
/// body outputs: the states after the step, then what is collected. Results: the last states, then
/// the collected values of all steps along axis 1, in order of execution.
struct Scan {
  int64_t sequences = 1;
  int64_t states = 0;
  bool reverse = false;  ///< from the last step to the first
  void fields(auto&& f) {
    f("sequences", sequences);
    f("states", states);
    f("reverse", reverse);
  }
  bool operator==(const Scan&) const = default;
};

}  // namespace qloom::ops
