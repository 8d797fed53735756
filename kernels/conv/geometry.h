// kernels/conv/geometry.h: where a convolution finds its input, shared by the direct kernels.
//
// A direct kernel reads one sample in place, or, where some tap lies outside, a copy of it in
// scratch with a border of zeros; then every tap of every output is an ordinary address:
//   base(sample) + pixel_offset(output) + tap_offset(tap)
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "jit/emitter.h"
#include "kernels/kernel.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {

/// Addresses of one convolution on one input storage. Offsets are in bytes.
struct Geometry {
  Window window;
  Storage storage;
  int repeat = 1;  ///< each input channel stands `repeat` times side by side (depthwise multiplier)
  int64_t pixel_bytes = 0;   ///< one pixel as the kernel reads it
  int64_t sample_bytes = 0;  ///< one sample of the input buffer
  bool copied = false;       ///< read from a copy in scratch, which has a border of zeros
  int64_t rows = 0,
          columns = 0;  ///< pixels of the image that is read (with its border where copied)
  int64_t scratch_bytes = 0;
  /// Not 0: scratch holds so many images, one per bit of the input's bytes, a bit a channel.
  int planes = 0;
  int64_t plane_bytes = 0;  ///< from one image to the next
  uint32_t border = 0;  ///< of what the border is made, 4 bytes: by default what stands for code 0
  /// Outputs of all samples are one row with equal distances: pointwise, nothing copied.
  bool linear = false;

  [[nodiscard]] int64_t positions() const { return window.out_h * window.out_w; }
  /// Outputs of a row. Where there is but one row, each output counts as one.
  [[nodiscard]] int64_t row() const { return window.out_h > 1 ? window.out_w : 1; }
  [[nodiscard]] int64_t pixel_offset(int64_t position) const;
  [[nodiscard]] int64_t tap_offset(int64_t kernel_y, int64_t kernel_x) const;
};
[[nodiscard]] Geometry geometry_of(const Window& window, Storage storage, int repeat = 1);
/// Always copied: `planes` bit images of an input stored as bytes. Channels must be whole bytes of
/// bits.
[[nodiscard]] Geometry plane_geometry_of(const Window& window, Storage storage, int planes);

/// How a sample is cut into work items (KernelDef::work_items): by rows of outputs, or by tiles of
/// channels. Item 0 holds `first` rows, the others `step`, so that each holds a whole tile of
/// outputs.
struct Split {
  enum class By : uint8_t { nothing, rows, channels };
  By by = By::nothing;
  int64_t items = 1;
  int64_t first = 1, step = 1;  ///< rows (Geometry::row)
};
/// `rows`: outputs of a tile. `channel_tiles`: of the kernel's loop over channels; 1: do not cut
/// there. By rows, except where there are too few of them to share evenly and channel tiles do
/// better.
[[nodiscard]] Split split_of(const Query& q, const Geometry& g, int rows, int64_t channel_tiles);
/// Emits loops over the channel tiles of this call's items: body(tile) for `full` tiles in a loop,
/// and rest() for one more, if `has_rest`.
void emit_channel_tiles(jit::Emitter& e, const Split& split, int64_t full,
                        const std::function<void(jit::Value)>& body, bool has_rest,
                        const std::function<void()>& rest);
/// Rows of outputs [begin, end) that this call computes of each sample; all, unless cut by rows.
struct RowRange {
  jit::Value begin, end;
};
[[nodiscard]] RowRange emit_row_range(jit::Emitter& e, const Geometry& g, const Split& split);
/// Rows of the image that is read (with its border where copied) that outputs of `range` need.
[[nodiscard]] RowRange emit_rows_read(jit::Emitter& e, const Geometry& g, const RowRange& range);
/// emit_clear_bits for the outputs of this call.
void emit_clear_bits(jit::Emitter& e, const Query& q, const Geometry& g, const Split& split,
                     std::span<const jit::Value> outputs);

/// Copies exactly `bytes` bytes.
void emit_copy(jit::Emitter& e, jit::Value to, jit::Value from, int64_t bytes);

/// Fills the border of the copy in scratch (once a call); only what outputs of `range` read.
void emit_border(jit::Emitter& e, const Geometry& g, jit::Value scratch, const RowRange& range);
/// Copies one sample into scratch; only what outputs of `range` read.
void emit_copy_sample(jit::Emitter& e, const Geometry& g, jit::Value scratch, jit::Value sample,
                      const RowRange& range);

/// True where emit_walk keeps tiles of `rows` outputs within image rows, the last one of a row
/// beginning earlier: where that repeats few outputs.
[[nodiscard]] bool walks_rows(const Geometry& g, int rows);
/// Bytes between the inputs of a tile's neighbouring outputs; 0 where they differ.
[[nodiscard]] int64_t pitch_of(const Geometry& g, int rows);

/// One tile of outputs: neighbours in order, up to the ends of image rows and (unless walks_rows)
/// beyond.
struct Tile {
  std::vector<jit::Value> pixels;  ///< pointers to the input of each output
  jit::Value first;                ///< index of the first output over all samples
  jit::Value local;                ///< the same within its sample; not where the geometry is linear
};
using TileBody = std::function<void(const Tile&)>;
using EmitTiles = std::function<void(const TileBody&)>;
/// Emits the walk over samples and outputs in tiles of `rows` outputs. `per_sample` is called
/// inside the loop over samples (once, where the geometry is linear) with a function that emits the
/// loop over tiles; it calls that function in its loops over channels. The last tile of a sample
/// begins earlier and repeats outputs; samples with fewer outputs than `rows` go one by one. Where
/// `split` cuts by rows, only those of this call's items.
void emit_walk(jit::Emitter& e, const Geometry& g, int rows, jit::Value input, jit::Value scratch,
               jit::Value pixel_table, const std::function<void(const EmitTiles&)>& per_sample,
               const Split& split = {});

/// Variants of tiles of four, two and one outputs, as far as there are so many.
[[nodiscard]] std::vector<Variant> row_variants(const Query& q);

/// The table of pixel offsets (i32 per output) that emit_walk reads; empty where linear.
[[nodiscard]] std::vector<int32_t> pixel_table(const Geometry& g);

/// Appends plain data aligned to 64 bytes; returns its offset.
int64_t append_bytes(std::vector<uint8_t>& out, const void* data, size_t bytes);
template <class T>
int64_t append(std::vector<uint8_t>& out, const std::vector<T>& data) {
  return append_bytes(out, data.data(), data.size() * sizeof(T));
}

/// Distinct weight codes in order; where there are more than 4, just 5.
[[nodiscard]] std::vector<int64_t> weight_levels(const Query& q);
/// Least and greatest weight code, and 0.
struct CodeRange {
  int64_t lo = 0, hi = 0;
};
[[nodiscard]] CodeRange weight_range(const Query& q);
/// Largest stored byte of an input that goes as bytes.
[[nodiscard]] int64_t largest_byte(const Query& q, Storage storage);
/// Initial accumulators -zero·Σw per channel of an input stored as bytes with a zero: `pitch`
/// entries.
[[nodiscard]] std::vector<int32_t> initial_sums(const Query& q, int64_t pitch);
/// Offsets of the parts of a kernel's constants, 64-byte aligned, in order.
class Places {
 public:
  int64_t next(int64_t bytes) {
    const int64_t offset = at_;
    at_ = (at_ + bytes + 63) / 64 * 64;
    return offset;
  }

 private:
  int64_t at_ = 0;
};

/// No, with the reason, unless every accumulator of the query fits int32.
[[nodiscard]] Verdict fits_int32(const Query& q);
/// No unless the root is conv or dense and its weights are constant codes.
[[nodiscard]] Verdict has_constant_codes(const Query& q);
/// No unless the root is conv or dense with a float32 sum over constant, finite weights, and the
/// input can be read as f32.
[[nodiscard]] Verdict has_float_weights(const Query& q);
/// No where a sample is beyond 32-bit offsets in elements of up to 4 bytes.
[[nodiscard]] Verdict has_near_samples(const Query& q);

}  // namespace qloom::kernels
