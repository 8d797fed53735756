// kernels/conv/tables/table_layout.h: convolutions by lookups in tables that are made from the
// input: what pack and emit agree on.
//
// 1. Activations are a = scale·x - zero with x = 0..top: bytes as stored, or bits (scale 2, zero 1
//    for -1 and 1).
// 2. Weights take at most four values. A *lookup* covers four channels where there are two values,
//    else two channels; its index is a nibble that names the value of each. The table of a pixel's
//    group of channels has 16 entries, Σ over its channels of term(v, x), with
//      term(v, x) = v·x for v >= 0,  |v|·(top - x) for v < 0,
//    so entries are >= 0 and Σ v·x = Σ entries - top·Σ max(0, -v), the last sum a constant.
// 3. A table fills 16 bytes. A vector holds the tables of several outputs of a row, and one index
//    vector of 16 channels is repeated in each part: a lookup instruction serves 16 channels of all
//    these outputs. They are `distance` apart, part p of vector i being output start(p) + i, so
//    that every tap of a block of outputs is a whole vector, aligned.
// 4. Entries are added in bytes while that is proved to fit, then split into words, exactly.
//    `dual`: a byte holds two outputs' entries in its nibbles, 16·second + first; a few lookups are
//    added, then  full += sum (modulo 256), high += sum >> 4;  the shift is one of words, and what
//    is made of it at the end stands in binary_tables.h, 5.
// 5. Padding. The border of the copied input holds x = zero for bytes, which is exact. For -1 and 1
//    it holds 0 bits, a = -1: the constants add that again, a row of them for each way in which a
//    window can stick out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"
#include "kernels/tail/tail_words.h"

namespace qloom::kernels {

inline constexpr int kTableBytes = 16;
inline constexpr int kTableChannels = 16;  ///< output channels of an index vector

/// How entries are added.
enum class TableSums : uint8_t {
  bytes,  ///< whole chunks of lookups in bytes
  words,  ///< a step of few lookups, then words
  dual,   ///< a step of few lookups of two outputs, then split
};

/// The arithmetic of one query: a function of its types and weights.
struct TableTerms {
  std::vector<int64_t> levels;  ///< values of weights, two or four
  int channels = 4;             ///< of a lookup
  bool bits = false;            ///< input storage
  int64_t top = 1;              ///< x is 0..top
  int64_t scale = 1, zero = 0;  ///< a = scale·x - zero
  bool excludes_padding = false;
  int64_t largest = 0;  ///< entry of a table
  [[nodiscard]] int64_t term(int64_t v, int64_t x) const { return v >= 0 ? v * x : -v * (top - x); }
};
[[nodiscard]] TableTerms table_terms(const Query& q);

/// No, with the reason, unless tables can compute the query at all.
[[nodiscard]] Verdict takes_tables(const Query& q);
[[nodiscard]] Storage table_storage(const Query& q);

/// `parts` outputs of a row.
struct TableBlock {
  int32_t input = 0;     ///< byte offset in the tables of a band
  int32_t position = 0;  ///< of the first output, in the band
};

struct TablePlan {
  Window window;
  TableTerms terms;
  TableSums sums = TableSums::bytes;
  // --- lookups ---
  int lookups_per_step = 1;
  bool follow = false;  ///< the tables of a step lie one behind the other
  int64_t lookups = 0;  ///< of an output, with those that fill up the last step
  int64_t steps = 0, chunk = 0, chunks = 0;
  // --- outputs ---
  int pixels = 4;  ///< 16-byte parts of a vector
  int halves = 1;  ///< 2: dual
  int rows = 1, columns = 1;
  int64_t distance = 1;  ///< blocks of a row
  int64_t full_tiles = 0;
  int rest_columns = 0;
  int64_t vectors = 0;  ///< of 16 output channels
  std::vector<TableBlock> blocks;
  // --- tables ---
  Geometry geometry;     ///< of the image that tables are made from
  int64_t groups = 0;    ///< tables of a pixel
  int64_t phases = 1;    ///< columns modulo the stride
  int64_t pitch = 0;     ///< vectors of a group in a row of a phase
  int64_t row_step = 1;  ///< only every so many rows of the image have tables
  int64_t band = 1;      ///< rows of outputs whose tables are in scratch together
  int64_t band_rows = 0;
  // --- constants per channel ---
  std::optional<WordTail> words;  ///< a tail on words; index vectors hold channels in order
  int64_t classes = 1;
  std::vector<int32_t> class_offsets;  ///< per position, bytes
  // --- parts of constants and of scratch ---
  int64_t weights_at = 0, offsets_at = 0, blocks_at = 0, constants_at = 0, classes_at = 0,
          tail_at = 0;
  int64_t copy_at = 0, tables_at = 0, sums_at = 0, scratch_bytes = 0;

  [[nodiscard]] int vector_bytes() const { return pixels * kTableBytes; }
  [[nodiscard]] int64_t parts() const { return int64_t{pixels} * halves; }
  /// Output of part `p` in the first block of a row; the last parts repeat outputs.
  [[nodiscard]] int64_t start(int64_t p) const {
    return std::min(p * distance, window.out_w - distance);
  }
  [[nodiscard]] int64_t row_bytes() const { return phases * pitch * groups * vector_bytes(); }
  [[nodiscard]] int64_t tile_bytes(int n) const { return lookups * n * kTableChannels; }
  [[nodiscard]] int64_t constants_pitch() const {
    return words ? vectors * words->block_bytes(kTableChannels) : vectors * kTableChannels * 4;
  }
  [[nodiscard]] int64_t place(int64_t row, int64_t phase, int64_t at, int64_t group) const {
    return (((row * phases + phase) * pitch + at) * groups + group) * vector_bytes();
  }
  /// Vectors of a phase that some tap reads.
  [[nodiscard]] int64_t reached(int64_t phase) const;
};
[[nodiscard]] TablePlan table_plan(const Query& q, const Variant& v, const jit::Target& target,
                                   bool dual);
/// Lookups of two outputs that fit a nibble.
[[nodiscard]] int64_t dual_lookups(const TableTerms& terms);

// --- what the kernels share
[[nodiscard]] std::vector<Variant> table_variants(const Query& q, const jit::Target& target,
                                                  bool dual);
[[nodiscard]] std::vector<uint8_t> table_pack(const Query& q, const Variant& v,
                                              const jit::Target& target, bool dual);
[[nodiscard]] int64_t table_items(const Query& q, const Variant& v, const jit::Target& target,
                                  bool dual);
/// KernelDef::swept_bytes: what a tile reads, where vectors are narrow. Tables that the next tile
/// reads again and weights that stream by are then in the first cache.
[[nodiscard]] int64_t table_swept_bytes(const Query& q, const Variant& v, const jit::Target& target,
                                        bool dual);
void table_emit(const Query& q, const Variant& v, jit::Emitter& e, bool dual);
/// The members of a KernelDef that are the same with one output a byte and with two.
template <bool kDual>
struct TableKernel {
  static std::vector<Variant> variants(const Query& q, const jit::Target& target) {
    return table_variants(q, target, kDual);
  }
  static std::vector<uint8_t> pack(const Query& q, const Variant& v, const jit::Target& target) {
    return table_pack(q, v, target, kDual);
  }
  static int64_t scratch_bytes(const Query& q, const Variant& v, const jit::Target& target) {
    return table_plan(q, v, target, kDual).scratch_bytes;
  }
  static void emit(const Query& q, const Variant& v, jit::Emitter& e) {
    table_emit(q, v, e, kDual);
  }
  static int64_t work_items(const Query& q, const Variant& v, const jit::Target& target) {
    return table_items(q, v, target, kDual);
  }
  static int64_t swept_bytes(const Query& q, const Variant& v, const jit::Target& target) {
    return table_swept_bytes(q, v, target, kDual);
  }
};
/// Tables of `rows` (i64) rows, `row_step` apart; `from`: the image's first of them.
void emit_tables(jit::Emitter& e, const TablePlan& plan, jit::Value tables, jit::Value from,
                 jit::Value rows);

}  // namespace qloom::kernels
