// kernels/dense/sliced_layout.h: dense layers as sums of bit planes, a sample in each bit: what
// pack and emit agree on.
//
// 1. Activations are a = scale·x - zero with x = 0..top, top = 2^bits - 1: as bytes are stored, or
//    bits (scale 2, zero 1 for -1 and 1). A plane is bit b of x of one channel in all samples; each
//    channel has its planes, then their complements, which are those of top - x.
// 2. Weights are sums of few powers of two:
//      Σ w·x = Σ |w|·y - top·Σ max(0, -w),  y = x for w > 0, top - x for w < 0.
//    What is held is Σ |w|·y. Which planes a unit adds, and whether complements, is a table; units
//    with fewer terms than others add planes of zeros.
// 3. Bit j of a unit's result changes at some values of what is held, which are found by asking the
//    tail. The bit is the parity of  held >= change  over all of them, whatever the tail does.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/dense/dense_run.h"

namespace qloom::kernels {

/// Elements of a layer's input.
struct Elements {
  int64_t bits = 1, scale = 1, zero = 0;
  bool packed = false;  ///< lie as bits where they come from memory
  [[nodiscard]] int64_t top() const { return (int64_t{1} << bits) - 1; }
};

/// Weights of a layer whose magnitude has bit `place`.
struct Digit {
  size_t place = 0;
  int64_t terms = 0;  ///< of the unit that has most
  int64_t at = 0;     ///< offsets of planes among the constants, [unit][term]
};

/// What is held of a unit, and the accumulator that it stands for.
struct Held {
  int64_t scale = 1, constant = 0;
  int64_t largest = 0;
  [[nodiscard]] int64_t accumulator(int64_t held) const { return scale * held + constant; }
};

/// Values of what is held at which a bit of a unit's result changes, from its value at 0.
struct Changes {
  bool first = false;
  std::vector<int64_t> at;
};

struct SlicedLayer {
  const Query* q = nullptr;
  Elements in;
  std::vector<Digit> digits;
  std::vector<Held> held;  ///< per unit
  int64_t planes = 0;      ///< of what is held
  int64_t out_bits = 0;    ///< of the next layer's input; 0: the last layer
  /// [bit][unit], and how many of them each bit's units are given.
  std::vector<std::vector<Changes>> changes;
  std::vector<int64_t> changes_given;
  int64_t limits = 0, sums = 0, tail = 0;  ///< in the constants

  [[nodiscard]] int64_t limits_of_bit(size_t j) const { return 1 + changes_given[j] * planes; }
  [[nodiscard]] int64_t limits_of_unit() const {
    int64_t n = 0;
    for (size_t j = 0; j < changes_given.size(); ++j) n += limits_of_bit(j);
    return n;
  }
};

struct SlicedPlan {
  int vector = 32;  ///< bytes of a plane
  int lanes = 8;
  bool quantizes = false;
  std::vector<SlicedLayer> layers;
  int64_t constants = 0;
  int64_t rows = 0, regions[2] = {0, 0}, sums = 0, scratch = 0;  ///< in scratch

  [[nodiscard]] int64_t tile() const { return int64_t{8} * vector; }
  /// Channels of a layer's input that have planes.
  [[nodiscard]] static int64_t channels(const SlicedLayer& layer) {
    return (layer.q->window.c + 7) / 8 * 8;
  }
  /// First plane of a channel, or of its complement.
  [[nodiscard]] int64_t plane(const SlicedLayer& layer, int64_t channel, bool complement) const {
    return (channel * 2 + (complement ? 1 : 0)) * layer.in.bits * vector;
  }
  /// Planes of zeros, in front of all others.
  [[nodiscard]] int64_t zeros() const { return int64_t{-8} * vector; }
};

[[nodiscard]] Verdict match_sliced(const DenseRun& run);
/// For planes of 16, 32 or 64 bytes. Nothing where results change too often.
[[nodiscard]] std::optional<SlicedPlan> sliced_plan(const DenseRun& run, const jit::Target& target,
                                                    int plane_bytes);
[[nodiscard]] std::vector<uint8_t> pack_sliced(const SlicedPlan& plan);

}  // namespace qloom::kernels
