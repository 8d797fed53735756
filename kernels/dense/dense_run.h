// kernels/dense/dense_run.h: dense layers one behind the other as one function, a tile of samples
// at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/kernel.h"

namespace qloom::kernels {

/// What each layer is asked to do, with its tail and input storage; in front of them may be the
/// quantizer of float32 inputs (an elementwise chain).
using DenseRun = std::vector<std::shared_ptr<const Query>>;

/// A run made ready for a target. The queries must live as long.
class DenseFunction {
 public:
  virtual ~DenseFunction() = default;
  /// Samples of a tile: the function takes whole tiles only.
  [[nodiscard]] virtual int64_t tile() const = 0;
  /// Packed weights and tables of all layers.
  [[nodiscard]] virtual std::vector<uint8_t> pack() const = 0;
  [[nodiscard]] virtual int64_t scratch_bytes() const = 0;
  /// Buffers: input, constants, output, scratch.
  virtual void emit(jit::Emitter& e) const = 0;
  [[nodiscard]] virtual OverCounted over_counted() const { return {}; }
};

/// A way to compute runs. One constant per file, one line in dense_run.cc.
struct DenseRunDef {
  std::string_view name, doc;
  std::string_view where;  ///< samples lie, for explain: "lanes"
  /// Yes, or no with the reason. Of a run that check_dense_run takes.
  Verdict (*match)(const DenseRun& run, const jit::Target& target) = nullptr;
  /// A function for each size of tile; none where only the work itself shows that it cannot be
  /// done (match was yes).
  std::vector<std::unique_ptr<DenseFunction>> (*prepare)(const DenseRun& run,
                                                         const jit::Target& target) = nullptr;
};
[[nodiscard]] std::span<const DenseRunDef* const> all_dense_runs();
/// Null where there is none of that name.
[[nodiscard]] const DenseRunDef* find_dense_run(std::string_view name);

/// No, with the reason, unless at least two dense layers on whole samples feed each other and
/// nothing else, and the last one's result is stored as float32.
[[nodiscard]] Verdict check_dense_run(const DenseRun& run);

// --- what they share ----------------------------------------------------------------------------

[[nodiscard]] bool is_quantizer(const Query& q);
/// Of a sample of the result.
[[nodiscard]] int64_t elements_of(const Query& q);

/// 4 × 4 dwords within 16-byte lanes.
[[nodiscard]] std::array<jit::Value, 4> emit_transpose(jit::Emitter& e,
                                                       const std::array<jit::Value, 4>& x);
/// Stores dwords of samples, a vector a unit, row by row at `to`; sample(p, i) is the place of that
/// which lane 4·i + p holds, ascending in p, then i, or in i, then p: rows are stored in the order
/// of samples, since up to three dwords too many are stored behind each.
void emit_store_samples(jit::Emitter& e, std::vector<jit::Value> units, jit::Value to,
                        const std::function<int64_t(int p, int i)>& sample);

}  // namespace qloom::kernels
