// kernels/tail/tail_emit.h: a region's tail on vectors of channels, for every kernel that has one.
//
//   const TailLayout layout = lay_out_tail(*query.tail, query.window.n, lanes);
//   pack:  append_tail(constants, *query.tail, query.window.n, lanes);
//   emit:  emit_tail(e, *query.tail, layout, accumulators, {tables, channel, {}, {out}, lanes});
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "jit/emitter.h"
#include "kernels/kernel.h"
#include "kernels/tail/tail.h"

namespace qloom::kernels {

/// Channels that one accumulator vector holds: 32-bit lanes of the target's vectors, at least 8, so
/// that packed bits are written by whole bytes.
[[nodiscard]] int channel_lanes(const jit::Target& target);

/// Bytes of one run of the last axis of `n` elements.
[[nodiscard]] int64_t run_bytes(Storage storage, int64_t n);
/// Byte offset of element `channel` (a multiple of 8 for bits) within its run.
[[nodiscard]] int64_t element_bytes(Storage storage);

/// Bytes from one position of an output, or of an operand, to the next; `n`: their channels.
[[nodiscard]] int64_t pitch_of(const TailOutput& output, int64_t n);
[[nodiscard]] int64_t pitch_of(const TailOperand& operand, int64_t n);

/// Where the per-channel tables of a tail lie: rows of `pitch` 32-bit entries, so that a vector
/// that begins at any channel may be loaded. Tables that are the same for all channels are
/// immediates in the code and not stored.
struct TailLayout {
  std::vector<int64_t> offsets;  ///< per table; -1: immediate
  int64_t pitch = 0;             ///< entries per row
  int64_t bytes = 0;
};
[[nodiscard]] TailLayout lay_out_tail(const Tail& tail, int64_t channels, int lanes);
/// Appends the tables (lay_out_tail(...).bytes), after padding `constants` to 64 bytes.
void append_tail(std::vector<uint8_t>& constants, const Tail& tail, int64_t channels, int lanes);

/// One place where a tail runs: `lanes` neighbouring channels of one output position.
struct TailPlace {
  jit::Value tables;   ///< pointer to the tables (TailLayout)
  jit::Value channel;  ///< i64: the first channel; a multiple of 8 where bits are touched
  std::vector<jit::Value> operands;  ///< pointers to channel 0 of this position, per tail operand
  std::vector<jit::Value> outputs;   ///< pointers to channel 0 of this position, per tail output
  int valid_lanes = 0;               ///< lanes that are channels; the others are not written
  /// Its first channel lies in memory right behind the last one of the place before it; at another
  /// position: where outputs are no parts of longer runs.
  bool follows = false;
  /// All lanes are outputs of one channel, `channel`; further operands are values already.
  bool one_channel = false;
  std::vector<jit::Value> operand_values;
};
/// Emits the tail on `accumulators` (i32, or f32 for elementwise roots) and stores its outputs.
void emit_tail(jit::Emitter& e, const Tail& tail, const TailLayout& layout, jit::Value accumulators,
               const TailPlace& place);
/// The same for several places at once: four of them share what it takes to make bytes of their
/// codes.
class TailBatch {
 public:
  TailBatch(jit::Emitter& e, const Tail& tail, const TailLayout& layout)
      : e_(e), tail_(tail), layout_(layout) {}
  void add(jit::Value accumulators, const TailPlace& place) {
    accumulators_.push_back(accumulators);
    places_.push_back(place);
  }
  /// Emits the tails of all places added so far.
  void emit();

 private:
  jit::Emitter& e_;
  const Tail& tail_;
  const TailLayout& layout_;
  std::vector<jit::Value> accumulators_;
  std::vector<TailPlace> places_;
};

/// The values of the outputs' steps, in order, with nothing stored: codes as i32, or f32.
[[nodiscard]] std::vector<jit::Value> emit_tail_values(jit::Emitter& e, const Tail& tail,
                                                       const TailLayout& layout,
                                                       jit::Value accumulators,
                                                       const TailPlace& place);
/// The vector operation of a tail's op on two integers, or on two f32; null where there is none.
[[nodiscard]] std::optional<jit::Binary> binary_of(TailOp op, bool f32);

/// Stores the first `valid` lanes, or all where there are no more.
void store_lanes(jit::Emitter& e, jit::Value pointer, jit::Value v, int valid);
/// Stores `valid` lanes of what an output holds: elements, or a mask of bytes where they are bits.
void store_output(jit::Emitter& e, const TailOutput& output, jit::Value pointer, jit::Value channel,
                  jit::Value stored, int valid);
/// Packed bits at the whole byte `at`: of the first `valid` lanes of a mask (i8, -1 or 0).
void store_bit_run(jit::Emitter& e, jit::Value at, jit::Value mask, int valid);

/// `lanes` elements of a stored value as int codes (i32) or f32; `pointer` is channel 0 of the run.
[[nodiscard]] jit::Value emit_load(jit::Emitter& e, const TensorType& type, Storage storage,
                                   jit::Value pointer, jit::Value channel, int lanes);

/// The channels of a run, or other `n` neighbours, in vectors of `size`, whole ones in a loop of
/// that name: body(first, how many).
template <class Body>
void emit_vectors(jit::Emitter& e, int64_t n, int size, const Body& body,
                  const char* name = "channels") {
  const int64_t whole = n / size * size;
  if (whole == size)
    body(e.integer(0), size);
  else if (whole > 0)
    e.loop(name, e.integer(0), e.integer(whole), size, 0,
           [&](jit::Value first) { body(first, size); });
  if (whole < n) body(e.integer(whole), static_cast<int>(n - whole));
}

/// Whether an output has bytes of packed bits behind the last of `n` channels, which no vector
/// writes. Parts of longer runs have none.
[[nodiscard]] bool needs_clear_bits(const Tail& tail, int64_t n);
/// Clears such bytes, once, for the runs of `n` channels [begin, end) of the outputs (i64).
void emit_clear_bits(jit::Emitter& e, const Tail& tail, std::span<const jit::Value> outputs,
                     jit::Value begin, jit::Value end, int64_t n);
/// The same for all of `count` samples of `positions` runs.
void emit_clear_bits(jit::Emitter& e, const Tail& tail, std::span<const jit::Value> outputs,
                     int64_t positions, int64_t n);

/// Pointers to channel 0 of position `position` (i64) of each operand and output.
[[nodiscard]] TailPlace place_at(jit::Emitter& e, const Tail& tail, jit::Value tables,
                                 std::span<const jit::Value> operands,
                                 std::span<const jit::Value> outputs, jit::Value position,
                                 int64_t n);

/// Buffers of an emitted kernel, in the order that KernelDef promises.
struct KernelBuffers {
  jit::Value input, constants, scratch;
  std::vector<jit::Value> operands, outputs;
};
/// `has_scratch`: the scratch buffer is asked for.
[[nodiscard]] KernelBuffers kernel_buffers(jit::Emitter& e, const Tail& tail, bool has_scratch);

}  // namespace qloom::kernels
