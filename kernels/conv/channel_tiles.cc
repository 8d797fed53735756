#include "kernels/conv/channel_tiles.h"

#include <vector>

namespace qloom::kernels {

using jit::Emitter;
using jit::Value;

ChannelTiles channel_tiles(const Window& w, int lanes, int columns, int64_t column_bytes) {
  ChannelTiles t;
  t.lanes = lanes;
  t.columns = columns;
  t.groups = w.groups;
  t.group_n = w.n / w.groups;
  t.group_c = w.c / w.groups;
  const int64_t whole = t.group_n / lanes, partial = t.group_n % lanes;
  t.full = whole / columns;
  t.rest_columns = static_cast<int>(whole % columns) + (partial > 0 ? 1 : 0);
  t.rest_lanes = static_cast<int>(partial > 0 ? partial : lanes);
  t.column_bytes = column_bytes;
  return t;
}

void ChannelTiles::for_each(const std::function<void(int64_t, int64_t, int)>& visit) const {
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t t = 0; t < full; ++t) visit(group, t * columns * lanes, columns);
    if (rest_columns > 0) visit(group, full * columns * lanes, rest_columns);
  }
}

void emit_group_tiles(Emitter& e, const Split& split, const ChannelTiles& tiles, Value packed,
                      Value first, const std::function<void(const ChannelTile&)>& body) {
  const int64_t width = int64_t{tiles.columns} * tiles.lanes;
  auto at = [&](Value channel) { return first.valid() ? e.add(first, channel) : channel; };
  emit_channel_tiles(
      e, split, tiles.full,
      [&](Value t) {
        body({tiles.columns, tiles.lanes, at(e.multiply(t, width)),
              e.offset(packed, e.multiply(t, tiles.tile_bytes(tiles.columns)))});
      },
      tiles.rest_columns > 0,
      [&] {
        body({tiles.rest_columns, tiles.rest_lanes, at(e.integer(tiles.full * width)),
              e.offset(packed, tiles.full * tiles.tile_bytes(tiles.columns))});
      });
}

void emit_walk_channels(Emitter& e, const Geometry& g, int rows, const KernelBuffers& buffers,
                        Value pixel_table, Value weights, const ChannelTiles& tiles,
                        const Split& split,
                        const std::function<void(const EmitTiles&, const ChannelTile&)>& body) {
  auto group_tiles = [&](const EmitTiles& emit_tiles, Value packed, Value first) {
    emit_group_tiles(e, split, tiles, packed, first,
                     [&](const ChannelTile& tile) { body(emit_tiles, tile); });
  };
  auto all = [&](const EmitTiles& emit_tiles) {
    if (tiles.groups == 1) return group_tiles(emit_tiles, weights, Value{});
    const int64_t channel_bytes = g.pixel_bytes / g.window.c;
    e.loop("groups", e.integer(0), e.integer(tiles.groups), 1, 0, [&](Value group) {
      const Value input = e.multiply(group, tiles.group_c * channel_bytes);
      const EmitTiles of_group = [&](const TileBody& tile_body) {
        emit_tiles([&](const Tile& tile) {
          Tile moved = tile;
          for (Value& pixel : moved.pixels) pixel = e.offset(pixel, input);
          tile_body(moved);
        });
      };
      group_tiles(of_group, e.offset(weights, e.multiply(group, tiles.group_bytes())),
                  e.multiply(group, tiles.group_n));
    });
  };
  emit_walk(e, g, rows, buffers.input, buffers.scratch, pixel_table, all, split);
}

void emit_batched_tails(Emitter& e, const Query& q, const TailLayout& layout, Value tables,
                        const KernelBuffers& buffers, Value first, int64_t count,
                        const ChannelTile& channels,
                        const std::function<Value(int64_t, int)>& sum) {
  const Tail& tail = *q.tail;
  TailBatch batch(e, tail, layout);
  for (int64_t r = 0; r < count; ++r) {
    TailPlace place =
        place_at(e, tail, tables, buffers.operands, buffers.outputs, e.add(first, r), q.window.n);
    for (int c = 0; c < channels.columns; ++c) {
      const Value value = sum(r, c);
      const int64_t lanes = value.lanes;
      place.channel = e.add(channels.channel, c * lanes);
      place.valid_lanes = c == channels.columns - 1 ? channels.last_lanes : value.lanes;
      place.follows = c > 0 || (r > 0 && q.window.n == channels.columns * lanes);
      batch.add(value, place);
    }
  }
  batch.emit();
}

void emit_tile_tails(Emitter& e, const Query& q, const TailLayout& layout, Value tables,
                     const KernelBuffers& buffers, const Tile& outputs, const ChannelTile& channels,
                     const std::function<Value(size_t, int)>& sum) {
  const Tail& tail = *q.tail;
  for (size_t r = 0; r < outputs.pixels.size(); ++r) {
    TailPlace place = place_at(e, tail, tables, buffers.operands, buffers.outputs,
                               e.add(outputs.first, static_cast<int64_t>(r)), q.window.n);
    for (int c = 0; c < channels.columns; ++c) {
      const Value value = sum(r, c);
      place.channel = e.add(channels.channel, int64_t{c} * value.lanes);
      place.valid_lanes = c == channels.columns - 1 ? channels.last_lanes : value.lanes;
      emit_tail(e, tail, layout, value, place);
    }
  }
}

}  // namespace qloom::kernels
