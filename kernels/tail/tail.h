#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/tensor_type.h"
#include "kernels/storage.h"

namespace qloom::kernels {

/// A region's tail, lowered: what turns the int32 accumulator (or the elements of the first
/// operand, where the root is elementwise) into outputs, as a short straight-line program on one
/// element. Data: kernels emit it on vectors (emit_tail), the verifier runs it on scalars
/// (run_tail).
enum class TailOp : uint8_t {
  accumulator,  ///< int: the sum of products; elementwise root: the input's element, int code, or
                ///< f32 where the input's storage is f32
  operand,      ///< operand[index]: int code (bytes, words, dwords, bits: ±1 or 0/1) or f32
  constant,     ///< table[index]: int or f32, per channel or one for all
  to_f32,       ///< int → f32, nearest even
  to_int,       ///< f32 → int, nearest even
  round_even,   ///< f32 → f32
  square_root,  ///< f32 → f32, correctly rounded
  add,
  subtract,
  multiply,
  divide,
  minimum,
  maximum,             ///< both int (no divide) or both f32
  fused_multiply_add,  ///< f32 a·b + c, one rounding
  bit_xor,
  bit_and,
  shift_left,
  shift_right,    ///< int; shift counts are operand b
  greater_equal,  ///< 1 or 0 (int): a >= b, both int or both f32
  select,         ///< a (int 0/1) ? b : c
  function,       ///< f32 → f32: FloatFunction `index` of a
  count_ge,       ///< int: how many of the thresholds table[index] (rows × channel) are <= a
};

struct TailStep {
  TailOp op;
  int a = -1, b = -1, c = -1;  ///< earlier steps
  int index = -1;              ///< operand, table or function
};

/// Constants of a tail: `rows` × channels (row-major), or rows × 1 when the same for all channels.
struct TailTable {
  bool is_f32 = false;
  bool per_channel = false;
  int rows = 1;
  std::vector<float> f32;
  std::vector<int32_t> i32;
};

struct TailOperand {
  TensorType type;  ///< of the further operand (residual), same shape as the output
  Storage storage;
  /// Bytes from one position (run of channels) to the next; 0: they lie next to each other. A step
  /// of a sequence lies apart from the same step of the next sample.
  int64_t pitch = 0;
};

/// One stored result: codes or values of `step`, in one storage. The same step may be stored twice
/// (packed bits for the next layer, bytes for a residual).
struct TailOutput {
  int step = -1;
  TensorType type;
  Storage storage;
  int value_index = 0;  ///< which result of the region
  /// Bytes from one position to the next; 0: they lie next to each other. Else the channels are a
  /// part of longer runs (those of a concatenation), from byte `offset` of each on; the rest of
  /// them is not touched. Of packed bits `offset` is a whole byte too.
  int64_t pitch = 0, offset = 0;
};

struct Tail {
  std::vector<TailStep> steps;
  std::vector<TailTable> tables;
  std::vector<TailOperand> operands;
  std::vector<TailOutput> outputs;
  std::string
      form;  ///< "thresholds", "scale and round", "float32 in reference order", …; shown by explain
  std::string
      proof;  ///< why it is exact: "bisected, 15 thresholds × 24 channels; verified at 720 points"
};

/// The constant of a step that is the same integer for all channels.
[[nodiscard]] std::optional<int64_t> integer_of(const Tail& tail, int step);
/// A step as factor·x + more, of integers that are the same for all channels; x is another step, or
/// the step itself.
struct ScaledStep {
  int x = -1;
  int64_t factor = 1, more = 0;
  /// Where x is 0 or 1: above 0 just where x is 1.
  [[nodiscard]] bool is_positive_with_x() const { return more <= 0 && factor + more > 0; }
};
[[nodiscard]] ScaledStep scaled_step(const Tail& tail, int step);

/// Whether some output is a part of longer runs.
[[nodiscard]] bool has_parts(const Tail& tail);

/// A scalar during run_tail.
struct TailScalar {
  bool is_f32 = false;
  int32_t i = 0;
  float f = 0;
  [[nodiscard]] static TailScalar integer(int32_t v) { return {false, v, 0}; }
  [[nodiscard]] static TailScalar real(float v) { return {true, 0, v}; }
};
/// Runs the tail for one accumulator of one channel; returns all steps' values. Integers wrap in 32
/// bits.
[[nodiscard]] std::vector<TailScalar> run_tail(const Tail& tail, int32_t accumulator,
                                               int64_t channel,
                                               std::span<const TailScalar> operands);
/// The same for an elementwise root whose elements may be f32.
[[nodiscard]] std::vector<TailScalar> run_tail(const Tail& tail, TailScalar accumulator,
                                               int64_t channel,
                                               std::span<const TailScalar> operands);
/// The same into `values`, whose memory is used again: for many elements in turn.
void run_tail(const Tail& tail, TailScalar accumulator, int64_t channel,
              std::span<const TailScalar> operands, std::vector<TailScalar>& values);
/// Per step: true where it yields f32. Throws InternalError where types do not agree or steps do
/// not refer backwards. `f32_accumulator`: elementwise root with f32 storage.
[[nodiscard]] std::vector<bool> f32_steps(const Tail& tail, bool f32_accumulator = false);
/// Throws InternalError unless steps refer backwards, tables have their sizes and types agree:
/// outputs stored as f32 are f32 steps, all others int steps.
void check_tail(const Tail& tail, int64_t channels, bool f32_accumulator = false);

}  // namespace qloom::kernels
