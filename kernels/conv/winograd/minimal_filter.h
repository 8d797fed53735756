// kernels/conv/winograd/minimal_filter.h: Winograd's minimal filtering along one axis, four outputs
// of a filter of three taps, in integers. See minimal_filter.cc for the formulas.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "jit/emitter.h"

namespace qloom::kernels {

/// Y = Aᵀ [(G g) ⊙ (Bᵀ d)] with G and A multiplied by what makes them integers: output i comes as
/// 3·2^shift[i] times itself, modulo the width of the sums.
struct MinimalFilter {
  static constexpr int kOutputs = 4, kTaps = 3;
  int stride = 1;  ///< from the inputs of one output to those of the next
  int points = 0;  ///< products; also inputs
  int growth = 0;  ///< sum of the absolute values of a row of G, at most
  int reach = 0;   ///< the same of Bᵀ
  /// Transformed weights that come from memory cost what they gain beyond so many.
  int64_t most_bytes = 0;
  std::array<int, kOutputs> shift{};
  /// G g.
  std::vector<int64_t> (*weights)(std::span<const int64_t>) = nullptr;
  /// Bᵀ d.
  std::vector<jit::Value> (*inputs)(jit::Emitter&, std::span<const jit::Value>) = nullptr;
  /// Aᵀ m.
  std::vector<jit::Value> (*outputs)(jit::Emitter&, std::span<const jit::Value>) = nullptr;

  [[nodiscard]] int most_shift() const;
};

/// Of stride 1 or 2; null for others.
[[nodiscard]] const MinimalFilter* minimal_filter(int64_t stride);

}  // namespace qloom::kernels
