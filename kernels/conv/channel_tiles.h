// kernels/conv/channel_tiles.h: output channels in tiles of vectors, for kernels whose tile is so
// many outputs × so many vectors of channels.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/conv/geometry.h"

namespace qloom::kernels {

/// Of each group: `full` tiles of `columns` vectors, then one of `rest_columns`, the last of whose
/// vectors has `rest_lanes` channels.
struct ChannelTiles {
  int lanes = 8, columns = 1;  ///< channels of a vector, vectors of a full tile
  int64_t groups = 1;
  int64_t group_n = 0, group_c = 0;  ///< output and input channels of a group
  int64_t full = 0;
  int rest_columns = 0, rest_lanes = 0;
  int64_t column_bytes = 0;  ///< weights of one vector of channels

  [[nodiscard]] int64_t tile_bytes(int vectors) const { return vectors * column_bytes; }
  [[nodiscard]] int64_t group_bytes() const {
    return full * tile_bytes(columns) + tile_bytes(rest_columns);
  }
  /// Of all packed weights.
  [[nodiscard]] int64_t bytes() const { return groups * group_bytes(); }
  /// Tiles that a sample may be cut into (split_of): groups are not cut.
  [[nodiscard]] int64_t to_cut() const {
    return groups > 1 ? 1 : full + (rest_columns > 0 ? 1 : 0);
  }
  /// Visits tiles in the order of packed weights: group, its first channel, vectors.
  void for_each(const std::function<void(int64_t, int64_t, int)>& visit) const;
};
[[nodiscard]] ChannelTiles channel_tiles(const Window& w, int lanes, int columns,
                                         int64_t column_bytes);

/// One tile of channels while code is emitted.
struct ChannelTile {
  int columns = 1, last_lanes = 0;  ///< vectors; channels of the last one
  jit::Value channel;               ///< the first, over all groups
  jit::Value weights;               ///< where its packed weights begin
};
/// Emits body(tile of channels) for all tiles of a group: `packed` are its weights, `first` its
/// first channel (invalid: 0).
void emit_group_tiles(jit::Emitter& e, const Split& split, const ChannelTiles& tiles,
                      jit::Value packed, jit::Value first,
                      const std::function<void(const ChannelTile&)>& body);
/// Emits emit_walk with the loops over groups and channel tiles inside: body(tiles of outputs, tile
/// of channels). Pixels point to the group's first input channel.
void emit_walk_channels(jit::Emitter& e, const Geometry& g, int rows, const KernelBuffers& buffers,
                        jit::Value pixel_table, jit::Value weights, const ChannelTiles& tiles,
                        const Split& split,
                        const std::function<void(const EmitTiles&, const ChannelTile&)>& body);

/// The tails of `count` neighbouring outputs from number `first` of all samples' on, in one
/// TailBatch: sum(output, vector), in this order.
void emit_batched_tails(jit::Emitter& e, const Query& q, const TailLayout& layout,
                        jit::Value tables, const KernelBuffers& buffers, jit::Value first,
                        int64_t count, const ChannelTile& channels,
                        const std::function<jit::Value(int64_t, int)>& sum);
/// The tail on each sum of a tile, one by one: sum(output, vector), in this order.
void emit_tile_tails(jit::Emitter& e, const Query& q, const TailLayout& layout, jit::Value tables,
                     const KernelBuffers& buffers, const Tile& outputs, const ChannelTile& channels,
                     const std::function<jit::Value(size_t, int)>& sum);

}  // namespace qloom::kernels
