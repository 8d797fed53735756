#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/op.h"
#include "graph/support/error.h"
#include "graph/support/status.h"
#include "graph/tensor_type.h"
#include "jit/emitter.h"
#include "jit/halide_emit.h"
#include "kernels/storage.h"
#include "kernels/tail/tail.h"

namespace qloom::kernels {

/// Geometry of a convolution (or a dense layer: 1×1 on a 1×1 image, or on rows × 1) with explicit
/// padding. One-dimensional layers have h = kernel_h = 1.
struct Window {
  int64_t h = 1, w = 1, c = 1;          ///< input
  int64_t out_h = 1, out_w = 1, n = 1;  ///< output
  int64_t kernel_h = 1, kernel_w = 1;
  int64_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;  ///< zeros before; after follows from the output size
  int64_t groups = 1;
  [[nodiscard]] bool is_dense() const { return h == 1 && w == 1 && kernel_h == 1 && kernel_w == 1; }
  [[nodiscard]] bool has_padding() const;  ///< some tap of some output lies outside
  [[nodiscard]] int64_t macs() const {
    return out_h * out_w * n * kernel_h * kernel_w * (c / groups);
  }
};

/// Where the elements of a result lie in x, in elements: what a slice, a permutation, a repetition
/// or zeros around come to. Element i of an axis lies at (i - before) · stride from the axis's
/// first; outside of before ≤ i < before + inside it is 0.
struct Move {
  struct Axis {
    int64_t extent = 1, stride = 1;
    int64_t before = 0, inside = 1;
  };
  std::vector<Axis> axes;  ///< of the result without the batch, the last one last; empty: no move
  int64_t first = 0;       ///< where element 0 of a sample lies, or would without zeros before
};

/// What kernels ask of constant weights again and again.
struct WeightFacts {
  int64_t lo = 0, hi = 0;       ///< least and greatest code, and 0
  std::vector<int64_t> levels;  ///< distinct codes in order; where there are more than 4, just 5
};
[[nodiscard]] WeightFacts weight_facts(const Tensor& codes);

/// What a pool or reduce root makes of the elements of a window.
enum class Pooling : uint8_t { none, maximum, sum };

struct ReferenceSpec;

/// What a kernel is asked to do: one region (or single node), types known, tail lowered.
struct Query {
  std::string name;  ///< node, for messages and symbols
  const OpDef* root =
      nullptr;  ///< ops::conv, dense, pool, …; null: elementwise, the tail is all there is
  const Node* node = nullptr;  ///< the node (region or single op) for reference kernels
  /// Of a root; groups = c = n where it pools. Else n = last axis, out_h·out_w = the rest.
  Window window;
  Pooling pooling = Pooling::none;  ///< root pool or reduce; cells outside of x do not count
  Move move;                        ///< of a root that moves elements; else without axes
  TensorType input,
      weights;  ///< weights: shape as in the op (kernel [R, S, C/groups, K], dense [C, U])
  const Tensor* weight_codes = nullptr;  ///< i64, null when weights are no constant with codes
  /// weight_facts(*weight_codes), or null: they are then found when asked for.
  std::shared_ptr<const WeightFacts> facts;
  /// Constant weights as f32 values, of a conv or dense whose sum is a float: products of f32,
  /// added in f64 in ascending order of (row, column, input channel), rounded once to f32.
  std::optional<Tensor> weight_values;
  std::vector<int64_t> accumulator_lo,
      accumulator_hi;  ///< per output channel, exact from the weights; pooling: one for all
  bool f32_accumulator = false;  ///< the root yields a float32, not an int32
  const Tail* tail = nullptr;    ///< null for reference kernels
  Storage input_storage;         ///< as the kernel asked for (KernelDef::input_storage)
  std::shared_ptr<const ReferenceSpec> spec;  ///< of an emitted kernel of a single node; else null
  /// What code is made for, where that decides what a kernel takes; null: any target.
  const jit::Target* target = nullptr;
  /// Sums of products of any bytes are exact there, so nothing needs to be proved.
  [[nodiscard]] bool has_dot() const { return target != nullptr && target->has_dot(); }
};

/// A way to run one algorithm: tile sizes, order. Numbers mean what the kernel says.
struct Variant {
  int rows = 1, columns = 1;  ///< tile: outputs × vectors of channels
  int option = 0;
  bool without_avx512 = false;  ///< emitted for Target::without_avx512
  [[nodiscard]] std::string to_string() const;
  /// What it is emitted for where a kernel is to run on `target`.
  [[nodiscard]] jit::Target target_on(const jit::Target& target) const {
    return without_avx512 ? target.without_avx512() : target;
  }
};

/// A call prepared to run: reference kernels and primitives. run never throws, allocates, locks or
/// starts threads.
class ReferenceCall {
 public:
  virtual ~ReferenceCall() = default;
  virtual void run(void* const* buffers, int64_t count) const noexcept = 0;
  [[nodiscard]] virtual int64_t scratch_bytes() const { return 0; }
};

/// Everything a kernel of a single node needs (reference, pipeline, primitive), as data that a
/// Program can hold and restore.
struct ReferenceSpec {
  std::string kernel;     ///< name in the kernel table
  Attributes attributes;  ///< of the op
  std::vector<TensorType> operands, results;
  std::vector<Storage> operand_storages;
  std::vector<std::pair<int, Storage>> outputs;  ///< (result index, storage), in buffer order
  /// Constant operands by position (f32 values or i64 codes per type).
  std::vector<std::pair<int, Tensor>> constants;
  /// Switches of the evaluation that was compiled for: to_attributes(EvaluationOptions).
  Attributes options;
};

/// Measured time over counted time, the middle of many layers (qloom-bench-choice): what the
/// counter does not see, such as chains of dependent operations. With vectors of 64 bytes, by the
/// family of processors that measured it (PortRates::family); others take Zen 4's.
struct OverCounted {
  double zen4 = 1, zen5 = 1;
  double avx2 = 0;  ///< by the AVX2 lowering, on any processor (Zen 4 measured it); 0: as above
  [[nodiscard]] double on(const jit::Target&) const;
};

/// An algorithm. One constant per file, one line in the list. It fills `emit`, or `pipeline`, or
/// `primitive`, or `reference`. Buffers of the emitted function, in order: input, [tail operands…],
/// constants (what pack made), outputs in the order of tail.outputs, scratch. Of a reference call
/// or primitive: non-constant operands in order, outputs, scratch. Of a pipeline: non-constant
/// operands in order, one that is not used, outputs. Of an emitted kernel of a single node:
/// non-constant operands in order, constants (where pack made any), outputs, scratch.
struct KernelDef {
  std::string_view name;  ///< op and method, never the target: "conv_pairs", "conv_xnor"
  std::string_view doc, source;
  bool experimental = false;  ///< tested and benchmarked, chosen only when asked for
  /// Yes, or no with the reason. Looks at root, window, value sets, intervals; never at names.
  Verdict (*match)(const Query&) = nullptr;
  /// Storage in which it wants its input (match was yes).
  Storage (*input_storage)(const Query&) = nullptr;
  /// Variants worth considering, best guess first; never empty.
  std::vector<Variant> (*variants)(const Query&, const jit::Target&) = nullptr;
  /// Packed weights followed by the tail's tables.
  std::vector<uint8_t> (*pack)(const Query&, const Variant&, const jit::Target&) = nullptr;
  int64_t (*scratch_bytes)(const Query&, const Variant&, const jit::Target&) = nullptr;
  void (*emit)(const Query&, const Variant&, jit::Emitter&) = nullptr;
  /// Work items of a sample: what several workers can compute at once, each with a scratch of its
  /// own. emit then computes items [e.begin(), e.end()) of each sample, reads no more of scratch
  /// than it has written itself, and writes nothing of other items. Null: 1, a sample is not cut
  /// and emit need not look at the range. See Split (conv/geometry.h).
  int64_t (*work_items)(const Query&, const Variant&, const jit::Target&) = nullptr;
  /// Whether it reads nothing around the samples of its first buffer, which may then be a caller's
  /// memory; null: it may read up to kSlackBytes.
  bool (*reads_exactly)(const Query&, const Variant&, const jit::Target&) = nullptr;
  /// Whether it stores each run of channels where place_at says, and not a byte besides: only then
  /// may outputs be parts of longer runs (TailOutput::pitch).
  bool stores_parts = false;
  OverCounted over_counted = {};
  /// Bytes that inner loops read again and again, which decide from what cache they come. Null or
  /// 0: all of a sample's activations, the scratch and the weights.
  int64_t (*swept_bytes)(const Query&, const Variant&, const jit::Target&) = nullptr;
  double weight_bits = 8;  ///< of a weight in what pack makes, for the cache that it is read from
  /// Reference kernels instead: the op it stands for, and how to prepare a call. Their cost is a
  /// constant per element or MAC, far above any emitted kernel's.
  const OpDef* reference_op = nullptr;
  std::unique_ptr<ReferenceCall> (*reference)(const ReferenceSpec&) = nullptr;
  double (*reference_ns)(const Query&) = nullptr;
  [[nodiscard]] bool is_reference() const { return reference != nullptr; }

  /// Faster ways to run a single node: of this op. With `emit`, which finds everything in
  /// Query::spec, only `takes` is asked besides, and costs are counted.
  const OpDef* node_op = nullptr;
  /// Why there is no such kernel in this installation; empty if there is.
  std::string (*missing)() = nullptr;
  /// Yes, or no with the reason.
  Verdict (*takes)(const ReferenceSpec&) = nullptr;
  /// Nanoseconds per sample, from a table of measured times.
  double (*node_ns)(const ReferenceSpec&) = nullptr;
  /// A Halide pipeline: which, and for what.
  jit::PipelineSource (*pipeline)(const ReferenceSpec&, std::string symbol) = nullptr;
  /// A primitive of oneDNN, prepared.
  std::unique_ptr<ReferenceCall> (*primitive)(const ReferenceSpec&) = nullptr;
  /// Adds floats in another order than the reference: only where float_mode is fast.
  bool reorders_sums = false;

  /// How a call is prepared that is no function of compiled code: reference or primitive.
  [[nodiscard]] auto prepare() const { return reference != nullptr ? reference : primitive; }
  /// Emitted for regions, with tails, as most are.
  [[nodiscard]] bool is_for_regions() const { return emit != nullptr && node_op == nullptr; }
  /// True where a function is compiled: emitted kernels and pipelines.
  [[nodiscard]] bool is_compiled() const { return emit != nullptr || pipeline != nullptr; }
};

/// Emitted function of a kernel for a query, ready for the counter or the compiler.
[[nodiscard]] jit::FunctionSource source_of(const KernelDef&, const Query&, const Variant&,
                                            std::string symbol);
/// KernelDef::pack, scratch_bytes and reads_exactly, of a variant on a target; nothing, 0 and no
/// where the kernel has none.
[[nodiscard]] std::vector<uint8_t> packed(const KernelDef&, const Query&, const Variant&,
                                          const jit::Target&);
[[nodiscard]] int64_t scratch_bytes(const KernelDef&, const Query&, const Variant&,
                                    const jit::Target&);
[[nodiscard]] bool reads_exactly(const KernelDef&, const Query&, const Variant&,
                                 const jit::Target&);
/// KernelDef::work_items, 1 where there is none; at least 1.
[[nodiscard]] int64_t work_items(const KernelDef&, const Query&, const Variant&,
                                 const jit::Target&);
/// Predicted nanoseconds per sample, assuming calls with `count` samples.
[[nodiscard]] double predicted_ns(const KernelDef&, const Query&, const Variant&,
                                  const jit::Target&, int64_t count = 16);

[[nodiscard]] const KernelDef* find_kernel(std::string_view name);

/// Makes a kernel from outside the library one of `all_kernels()`: it is matched, costed, chosen,
/// explained and benchmarked like the others. The definition must live as long as the program.
/// Throws UserError when the name is taken, or a member that its way of running needs is missing.
void register_kernel(const KernelDef& def);

}  // namespace qloom::kernels
