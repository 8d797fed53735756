// kernels/tail/tail_words.h: tails that compare sums with thresholds, on sums of 16 bits.
//
// A kernel that counts in words has sums u = 0..most, of which  scale·u + constant(channel)  is
// what the tail is asked about. A threshold T of the tail is then one of u:
//   scale·u + constant >= T   ⟺   u >= ⌈(T − constant) / scale⌉,
// so neither widening nor the constant is left to be done, and a vector compares twice as many
// channels. Kernels with other sums a class (border_classes.h) have thresholds for each class.
//
// A *block* of channels is a vector of bytes in order; even and odd channels stand in words of
// their own, as bytes split by a mask and a shift.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {

class WordTail {
 public:
  /// Null unless every output is made of numbers of thresholds that the accumulator reaches and
  /// small constants, and stored as bytes or bits. `most`: the largest u.
  [[nodiscard]] static std::optional<WordTail> of(const Tail& tail, int64_t most);

  /// Bytes of the rows of a block of `channels`.
  [[nodiscard]] int64_t block_bytes(int channels) const {
    return static_cast<int64_t>(rows_.size()) * channels * 2;
  }
  /// Appends the blocks of all channels; `constants`: one for each channel, or one for all.
  void append(std::vector<uint8_t>& out, int64_t channels, int block, int64_t scale,
              std::span<const int32_t> constants) const;

  /// Emits the tail on the words u of a block of `channels`, which may stand several times side by
  /// side; `rows`: what append made of the block. For each output a vector of bytes in order: what
  /// is stored, or for bits a mask.
  [[nodiscard]] std::vector<jit::Value> emit(jit::Emitter& e, jit::Value even, jit::Value odd,
                                             jit::Value rows, int channels) const;
  /// Stores such bytes of one place.
  void store(jit::Emitter& e, std::span<const jit::Value> bytes, const TailPlace& place) const;

 private:
  enum class Kind : uint8_t { mask, threshold, constant };
  /// A row of words, one a channel.
  struct Row {
    Kind kind = Kind::constant;
    int table = 0, row = 0;  ///< of the tail
    int mask = -1;           ///< of a threshold: the table of the mask that the sum goes through
    bool operator==(const Row&) const = default;
  };
  /// What a step on few small numbers can be.
  struct Range {
    int64_t lo = 0, hi = 0;
  };
  class Words;

  explicit WordTail(const Tail& tail, int64_t most) : tail_(&tail), most_(most) {}
  [[nodiscard]] std::optional<Range> range_of(int ref);
  [[nodiscard]] std::optional<Range> range_of_binary(const TailStep& step);
  /// The table of the mask on the accumulator, -1 where there is none; null where the step is
  /// neither.
  [[nodiscard]] std::optional<int> mask_of(int ref) const;
  [[nodiscard]] bool add_thresholds(int sum, int table);
  void add_row(const Row& row);
  [[nodiscard]] int64_t place_of(const Row& row) const;
  [[nodiscard]] int16_t word_of(const Row& row, int64_t channel, int64_t channels, int64_t scale,
                                int64_t constant) const;

  const Tail* tail_;
  int64_t most_;
  std::vector<Row> rows_;
};

}  // namespace qloom::kernels
