// kernels/bit_planes.h: sums of bits as planes: plane k holds bit k of as many sums as a word has
// bits.
#pragma once

#include <functional>
#include <vector>

#include "jit/emitter.h"

namespace qloom::kernels {

/// Adds words bit by bit with full adders, as soon as three of the same weight are there, so that
/// few live at a time. Source: Harley and Seal's population count.
class PlaneAdder {
 public:
  explicit PlaneAdder(jit::Emitter& e) : e_(e) {}
  /// Adds 2^weight where a bit of `word` (integers, any lanes) is set.
  void add(size_t weight, jit::Value word);
  /// The lowest `count` planes of the sums. Nothing may be added after.
  [[nodiscard]] std::vector<jit::Value> planes(size_t count);

 private:
  jit::Emitter& e_;
  std::vector<std::vector<jit::Value>> columns_;  ///< at most two words of each weight
};

/// Bits set where the sum is at least a threshold; limit(k): all ones where bit k of the threshold
/// is 0, else zero.
[[nodiscard]] jit::Value emit_at_least(jit::Emitter& e, const std::vector<jit::Value>& planes,
                                       const std::function<jit::Value(size_t)>& limit);

}  // namespace qloom::kernels
