// kernels/conv/tables/binary_tables.h: convolutions of binary inputs by lookups in constant tables,
// two outputs at once: what pack and emit agree on.
//
// 1. Four channels of one pixel are a *state*, a nibble. Weights are one or two *planes* of
// nibbles:
//    of binary weights the one that says where they are 1, of ternary weights those that say where
//    they are 1 and where they are -1.
// 2. For a state s the plane's nibble w looks up how many products are 1:
//      binary weights       4 - popcount(s xor w);
//      weights 1 / -1       popcount(s and w) / popcount(not s and w), together at most 4.
//    With m, the sum of all of them, the dot product is 2·m - (number of weights that are not 0).
// 3. Padding. With binary weights it is a 17th state, which finds 2 whatever w is: 2·2 - 4 = 0.
// Half
//    of other numbers of weights is no integer: there it is state 0, and the constant depends on
//    how the window sticks out (border_classes.h).
// 4. Two neighbouring outputs share their weights. For the pair of states (s0, s1) of their inputs
//    there is a table of 16 bytes, indexed by w:  matches(s0, w) + 16·matches(s1, w).  All of them
//    are constants (4.6 KB; ternary 2 · 4 KB); a lookup instruction reads one for 32 output
//    channels.
// 5. The lookups of three groups are added in bytes: both nibbles stay <= 12. Then, per step of
// three
//    groups,
//      full += sum (modulo 256);  high += sum >> 4,
//    the shift being one of words: the upper nibble of `sum` comes to lie in the lower one of its
//    byte, and in even bytes the lower nibble of the odd neighbour in the upper one, which would
//    cost a mask. Instead, at the end of at most 63 groups (252 matches), with all bytes modulo
//    256:
//      first = full - 16·high             (what else is in `high` is a multiple of 16: 256 here)
//      second = high                      in odd bytes
//             = high - 16·first(odd neighbour)    in even bytes
// 6. Bytes are split into words of even and odd channels, which add up all groups.
// 7. Steps are filled up with weight index 128, which looks up 0.
//
// Input. Bits are spread to states, in a copy with its border, once a sample; then `pairs`, a
// stream of byte offsets into the tables, 16·(states·s[x] + s[x + stride]), for every pixel x and
// group. For stride 1 and dilation 1 a kernel row is one run of the stream.
#pragma once

#include <optional>
#include <vector>

#include "kernels/conv/border_classes.h"
#include "kernels/conv/geometry.h"
#include "kernels/tail/tail_words.h"

namespace qloom::kernels {

/// Two outputs of one row.
struct OutputPair {
  int32_t input = 0;     ///< byte offset in the stream
  int32_t position = 0;  ///< of the first output
};

struct BinaryTablesPlan {
  static constexpr int kTableBytes = 16;
  static constexpr int kGroupsPerStep = 3;
  static constexpr int64_t kStepsInBytes = 21;  // 21 · 3 · 4 = 252 <= 255
  static constexpr int kTailLanes = 8;

  Window window;
  int planes = 1;                 ///< of weights; 2: ternary
  int states = 17, padding = 16;  ///< of a pixel's four channels; the one that stands for padding
  int64_t groups = 0;             ///< of four channels, per pixel
  int64_t rows = 0, columns = 0;  ///< pixels of the copy with its border
  int lanes = 32;                 ///< channels per vector
  int tile_columns = 1;
  int64_t run = 0;  ///< groups that follow each other in the stream
  int64_t steps_per_run = 0, steps = 0, chunk = 0;
  int64_t vectors = 0, full_tiles = 0;
  int rest_columns = 0;
  std::vector<OutputPair> pairs;
  std::optional<BorderClasses> classes;  ///< where constants differ
  std::optional<WordTail> words;         ///< where the tail is one on words
  /// Constants of a class and channel, or rows of the word tail: bytes of a class.
  int64_t class_bytes = 0;
  int64_t tables = 0, weights = 0, step_table = 0, pair_table = 0, class_table = 0, constants = 0,
          tail = 0;
  int64_t state_bytes = 0, stream = 0, scratch_bytes = 0;  ///< parts of scratch

  [[nodiscard]] int64_t table_block() const { return int64_t{states} * states * kTableBytes; }
  [[nodiscard]] int64_t step_bytes(int n) const {
    return int64_t{kGroupsPerStep} * planes * n * lanes;
  }
  [[nodiscard]] int64_t tile_bytes(int n) const { return steps * step_bytes(n); }
  [[nodiscard]] int64_t row_groups() const { return columns * groups; }
  [[nodiscard]] int64_t class_count() const { return classes ? classes->count() : 1; }
  /// Byte offset in the stream of the first group of a tap.
  [[nodiscard]] int64_t tap_offset(int64_t y, int64_t x) const {
    return (y * window.dilation_h * columns + x * window.dilation_w) * groups * 2;
  }
};
[[nodiscard]] BinaryTablesPlan binary_tables_plan(const Query& q, const Variant& v,
                                                  const jit::Target& target);
/// Rows of outputs that each hold a tile of pairs, as KernelDef::work_items; all of them by rows.
[[nodiscard]] Split binary_tables_split(const Query& q, const Variant& v);
void binary_tables_emit(const Query& q, const Variant& v, jit::Emitter& e);

}  // namespace qloom::kernels
