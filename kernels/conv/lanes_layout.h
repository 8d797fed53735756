// kernels/conv/lanes_layout.h: images as planes, a byte for each pixel of one channel, so that
// neighbouring outputs lie in neighbouring lanes. What conv_lanes and its transposes agree on.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/conv/geometry.h"
#include "kernels/kernel.h"

namespace qloom::kernels {

/// Where things lie in the scratch of conv_lanes.
///
/// All planes share one grid of `rows` × `pitch` positions a sample, that of the outputs with what
/// windows stick out by: position (y, x) of the outputs and of every phase of the input is
/// y·pitch + x. A phase holds the pixels whose row and column leave the same rest by the stride, so
/// that a tap is a phase and a distance for all outputs at once, and loads are of neighbours. What
/// sticks out on the left of a row is what sticks out on the right of the row above. `samples`
/// grids lie one behind the other; positions that are no output compute what nobody reads.
struct LanesLayout {
  struct Tap {
    int64_t phase = 0;     ///< index of the phase
    int64_t distance = 0;  ///< positions from the output to the phase's pixel
  };
  struct Phase {
    int64_t y = 0, x = 0;           ///< of the first pixel, in the image
    int64_t rows = 0, columns = 0;  ///< pixels that outputs read
  };
  Window window;
  int64_t rows = 1, pitch = 1;
  int64_t samples = 1;
  int vector = 64;  ///< bytes: positions of a tile
  std::vector<Phase> phases;
  std::vector<Tap> taps;            ///< in the kernel's order
  int64_t above = 0, below = 0;     ///< rows of the grid that windows reach from an output's
  int64_t before = 0;               ///< bytes of a plane in front of the first position
  int64_t plane_bytes = 0;          ///< from one plane of bytes to the next
  int64_t planes = 0, columns = 0;  ///< offsets in scratch: of the input's; of the window's sums
  int64_t sums = 0;                 ///< of one group of channels
  int64_t operands = 0, outputs = 0;
  int64_t bytes = 0;  ///< of scratch

  [[nodiscard]] int64_t grid() const { return rows * pitch; }
  /// Positions up to the last output of `used` samples are used·grid() - unused().
  [[nodiscard]] int64_t unused() const {
    return grid() - (window.out_h - 1) * pitch - window.out_w;
  }
  [[nodiscard]] int64_t tiles() const {
    return (samples * grid() - unused() + vector - 1) / vector;
  }
  /// Bytes of a tile's sums: words of even and of odd positions.
  [[nodiscard]] int64_t tile_sums() const { return int64_t{2} * vector; }
  /// Offset in scratch of position 0 of an input plane.
  [[nodiscard]] int64_t plane(int64_t phase, int64_t channel) const {
    return planes + (phase * window.c + channel) * plane_bytes + before;
  }
  /// Bytes of the planes of an operand or output with elements of so many bytes.
  [[nodiscard]] int64_t result_bytes(int64_t element) const {
    return window.n * result_pitch() * element;
  }
  /// Elements from one plane of a result to the next.
  [[nodiscard]] int64_t result_pitch() const;
};

/// Bytes of an element in the planes of an operand or output: 1 or 4.
[[nodiscard]] int plane_element(Storage storage);
/// What the bytes of an operand's planes are above its codes.
[[nodiscard]] int operand_zero(Storage storage);
/// `group`: channels that are summed at the same time. As many samples as waste few lanes.
[[nodiscard]] LanesLayout lanes_layout(const Query& q, int group, const jit::Target& target);

/// Fills the input's planes with the byte of code 0 and the operands' with zeros: once a call.
void emit_clear_planes(jit::Emitter& e, const Query& q, const LanesLayout& layout,
                       jit::Value scratch);
/// Pixels of one sample into the planes: `slot` is its number in the grid (i64). Here and below:
/// only what outputs of these rows need; nothing: of all.
void emit_planes_of_input(jit::Emitter& e, const Query& q, const LanesLayout& layout,
                          jit::Value scratch, jit::Value sample, jit::Value slot,
                          const std::optional<RowRange>& rows);
/// The same for tail operand `index`, whose planes begin at `planes`.
void emit_planes_of_operand(jit::Emitter& e, const Query& q, const LanesLayout& layout,
                            size_t index, jit::Value planes, jit::Value sample, jit::Value slot,
                            const std::optional<RowRange>& rows);
/// Output `index` of one sample from its planes.
void emit_output_of_planes(jit::Emitter& e, const Query& q, const LanesLayout& layout, size_t index,
                           jit::Value planes, jit::Value sample, jit::Value slot,
                           const std::optional<RowRange>& rows);

}  // namespace qloom::kernels
