// kernels/conv/winograd/strips.h: what kernels by minimal filtering share: their walk over strips
// of outputs, and transforms of weights.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "jit/emitter.h"
#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"

namespace qloom::kernels {

/// A sample's outputs in strips of `height` rows, some of them a band. What is made of the input,
/// the planes, exists for a band at once; then each tile of channels goes over all of it. The last
/// strip of a call's rows begins earlier where they are no multiple of `height`, and repeats rows.
struct Strips {
  int height = 1;
  int64_t bands = 1, band = 1;  ///< of a sample; strips of a band
  double expected = 1;          ///< strips of a band, on average
};
/// Bands whose planes take `most_bytes`, or hold a single strip.
[[nodiscard]] Strips strips_of(const Window& w, int height, int64_t strip_bytes,
                               int64_t most_bytes);
/// Work items that are whole strips.
[[nodiscard]] Split split_of(const Query& q, const Geometry& g, const Strips& strips);

/// A band while code is emitted.
struct Band {
  jit::Value begin, end;  ///< its rows of outputs
  jit::Value input;       ///< the sample's first pixel
  jit::Value before;      ///< how many outputs the samples before have
  jit::Value last;        ///< row at which the last strip of the call begins
};
/// Emits the walk over samples and bands of a call, with the copies that a border needs, and
/// emit_clear_bits: body(band).
void emit_bands(jit::Emitter& e, const Query& q, const Geometry& g, const Split& split,
                const Strips& strips, const KernelBuffers& buffers,
                const std::function<void(const Band&)>& body);
/// Emits a loop over a band's strips: body(row of outputs where a strip would begin, and where it
/// does).
void emit_strips(jit::Emitter& e, const Window& w, const Strips& strips, const Band& band,
                 const std::function<void(jit::Value, jit::Value)>& body);

/// G g Gᵀ of the 3×3 weights g of one pair of channels, where transform(three numbers) is G on a
/// column: visit(i, row i).
template <class Transform, class Visit>
void transform_weights(const Query& q, int64_t c, int64_t n, const Transform& transform,
                       const Visit& visit) {
  constexpr size_t kTaps = 3;
  using Three = std::array<int64_t, kTaps>;
  const auto codes = q.weight_codes->i64();
  const auto column = [&](size_t x) {
    Three g{};
    for (size_t y = 0; y < kTaps; ++y)
      g[y] = codes[((y * kTaps + x) * static_cast<size_t>(q.window.c) + static_cast<size_t>(c)) *
                       static_cast<size_t>(q.window.n) +
                   static_cast<size_t>(n)];
    return transform(g);
  };
  const std::array columns{column(0), column(1), column(2)};
  for (size_t i = 0; i < columns[0].size(); ++i)
    visit(i, transform(Three{columns[0][i], columns[1][i], columns[2][i]}));
}

}  // namespace qloom::kernels
