#include "kernels/conv/lanes_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "graph/support/error.h"
#include "kernels/conv/geometry.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Compare;
using jit::Element;
using jit::Emitter;
using jit::Value;

constexpr int kBlock = 16;                   // bytes: what interleaves act within
constexpr int64_t kMostScratch = 96 * 1024;  // of several samples together
constexpr int64_t kMostSamples = 16;         // unless one has fewer positions than a vector

int64_t align_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

int64_t floor_div(int64_t a, int64_t b) { return (a >= 0 ? a : a - b + 1) / b; }

/// One axis of a grid: phases, and how far windows stick out.
struct Axis {
  struct Phase {
    int64_t first = 0, count = 0;
    int64_t least = std::numeric_limits<int64_t>::max(), most = 0;  ///< distances of its taps
  };
  std::vector<Phase> phases;
  std::vector<std::pair<int64_t, int64_t>> taps;  ///< phase and distance
  int64_t extent = 0, before = 0, after = 0;
};

Axis axis_of(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
             int64_t pad) {
  Axis axis;
  std::vector<int64_t> number(static_cast<size_t>(stride), -1);
  for (int64_t k = 0; k < kernel; ++k) {
    const int64_t at = k * dilation - pad, distance = floor_div(at, stride);
    int64_t& phase = number[static_cast<size_t>(at - distance * stride)];
    if (phase < 0) {
      phase = static_cast<int64_t>(axis.phases.size());
      axis.phases.push_back({.first = at - distance * stride});
    }
    Axis::Phase& p = axis.phases[static_cast<size_t>(phase)];
    p.least = std::min(p.least, distance);
    p.most = std::max(p.most, distance);
    axis.taps.emplace_back(phase, distance);
    axis.before = std::max(axis.before, -distance);
    axis.after = std::max(axis.after, distance);
  }
  axis.extent = out;
  for (Axis::Phase& p : axis.phases) {
    const int64_t all = size > p.first ? (size - p.first + stride - 1) / stride : 0;
    p.count = std::clamp<int64_t>(out + p.most, 0, all);
    const int64_t left = std::max<int64_t>(0, -p.least), right = out + p.most - p.count;
    axis.extent = std::max(axis.extent, p.count + std::max(left, right));
  }
  return axis;
}

/// 16 vectors of 16 elements a block (or 4 of 4) become each other's columns.
void transpose(Emitter& e, std::vector<Value>& v, std::initializer_list<Element> rounds) {
  const size_t half = v.size() / 2;
  const Element element = v[0].element;
  const int lanes = v[0].lanes;
  for (const Element round : rounds) {
    std::vector<Value> next;
    for (size_t i = 0; i < half; ++i) {
      const Value a = round == element ? v[i] : e.bitcast(v[i], round);
      const Value b = round == element ? v[i + half] : e.bitcast(v[i + half], round);
      for (const Value mixed : {e.interleave_low(a, b), e.interleave_high(a, b)})
        next.push_back(round == element ? mixed : e.bitcast(mixed, element));
    }
    v = std::move(next);
  }
  qloom_assert(v[0].lanes == lanes, "transposed ", lanes, " lanes to ", v[0].lanes);
}
void transpose_bytes(Emitter& e, std::vector<Value>& v) {
  transpose(e, v, {Element::i8, Element::i8, Element::i8, Element::i8});
}
void transpose_dwords(Emitter& e, std::vector<Value>& v) {
  transpose(e, v, {v[0].element, v[0].element});
}

/// A loop over rows: of a range that may reach beyond the `rows` that there are, or all.
void emit_rows(Emitter& e, int64_t rows, const std::optional<RowRange>& range,
               const std::function<void(Value)>& body) {
  const Value first = e.integer(0), end = e.integer(rows);
  if (!range) return e.loop("rows", first, end, 1, 0, body);
  e.loop("rows", e.binary(Binary::max_signed, range->begin, first),
         e.binary(Binary::min_signed, range->end, end), 1, static_cast<double>(rows), body);
}

/// 16 channels of the pixel at a pointer, from a channel on, as bytes.
using LoadPixel = std::function<Value(Value, Value)>;

/// Bytes of one sample, pixels `step_x` and rows `step_y` bytes apart, into planes: a whole image
/// or one phase of it.
void emit_bytes_to_planes(Emitter& e, const LanesLayout& layout, Value from, int64_t step_y,
                          int64_t step_x, int64_t rows, const std::optional<RowRange>& range,
                          int64_t columns, int64_t channels, Value to, int64_t to_pitch,
                          const LoadPixel& load_pixel) {
  if (rows == 0 || columns == 0) return;
  // Two blocks of columns at once, where there are two.
  const int wide = columns >= 2 * kBlock && layout.vector >= 2 * kBlock ? 2 * kBlock : kBlock;
  const auto block = [&](Value pixels, Value channel, int count, Value at, int valid_channels) {
    std::vector<Value> v;
    for (int i = 0; i < kBlock; ++i) {
      const auto load = [&](int x) {
        return load_pixel(e.offset(pixels, std::min(x, count - 1) * step_x), channel);
      };
      v.push_back(count > kBlock ? e.concat(load(i), load(i + kBlock)) : load(i));
    }
    transpose_bytes(e, v);
    for (int i = 0; i < valid_channels; ++i)
      store_lanes(e, e.offset(at, i * to_pitch), v[static_cast<size_t>(i)], count);
  };
  const auto row = [&](Value y) {
    const Value pixels = e.offset(from, e.multiply(y, step_y));
    const Value line = e.offset(to, e.multiply(y, layout.pitch));
    emit_vectors(e, channels, kBlock, [&](Value c, int valid_channels) {
      const Value t = e.offset(line, e.multiply(c, to_pitch));
      const int64_t whole = columns / wide * wide;
      const auto columns_at = [&](Value x, int count) {
        block(e.offset(pixels, e.multiply(x, step_x)), c, count, e.offset(t, x), valid_channels);
      };
      emit_vectors(e, whole, wide, columns_at, "columns");
      emit_vectors(
          e, columns - whole, kBlock,
          [&](Value x, int count) { columns_at(e.add(x, whole), count); }, "columns");
    });
  };
  if (rows == 1 && !range)
    row(e.integer(0));
  else
    emit_rows(e, rows, range, row);
}

}  // namespace

int64_t LanesLayout::result_pitch() const {
  // An odd number of vectors: planes do not fall on the same lines of a cache.
  return (align_up(tiles(), 2) + 1) * vector;
}

int plane_element(Storage storage) {
  return storage.kind == Storage::Kind::bytes || storage.kind == Storage::Kind::bits ? 1 : 4;
}

int operand_zero(Storage storage) { return storage.kind == Storage::Kind::bits ? 1 : storage.zero; }

LanesLayout lanes_layout(const Query& q, int group, const jit::Target& target) {
  const Window& w = q.window;
  LanesLayout layout;
  layout.window = w;
  layout.vector = target.vector_bytes;
  const Axis y = axis_of(w.h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top);
  const Axis x = axis_of(w.w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left);
  layout.rows = y.extent;
  layout.pitch = x.extent;
  layout.above = y.before;
  layout.below = y.after;
  for (const Axis::Phase& py : y.phases)
    for (const Axis::Phase& px : x.phases)
      layout.phases.push_back({py.first, px.first, py.count, px.count});
  const auto columns = static_cast<int64_t>(x.phases.size());
  for (const auto& [py, dy] : y.taps)
    for (const auto& [px, dx] : x.taps)
      layout.taps.push_back({py * columns + px, dy * layout.pitch + dx});

  const auto place = [&](int64_t samples) {
    layout.samples = samples;
    const int64_t before = y.before * layout.pitch + x.before;
    const int64_t after = y.after * layout.pitch + x.after;
    layout.before = align_up(before, 64);
    layout.plane_bytes = align_up(
        layout.before + std::max(layout.tiles() * layout.vector, samples * layout.grid()) + after,
        64);
    // An odd number of lines, so that planes do not fall on the same lines of a cache.
    if (layout.plane_bytes / 64 % 2 == 0) layout.plane_bytes += 64;
    int64_t at = 0;
    const auto next = [&](int64_t bytes) {
      const int64_t offset = at;
      at = align_up(at + bytes, 64);
      return offset;
    };
    layout.planes = next(static_cast<int64_t>(layout.phases.size()) * w.c * layout.plane_bytes);
    layout.columns = next(layout.tiles() * layout.tile_sums());
    layout.sums = next(group * layout.tiles() * layout.tile_sums());
    int64_t results = 0;
    for (const TailOperand& operand : q.tail->operands)
      results += align_up(layout.result_bytes(plane_element(operand.storage)), 64);
    layout.operands = next(results);
    results = 0;
    for (const TailOutput& output : q.tail->outputs)
      results += align_up(layout.result_bytes(plane_element(output.storage)), 64);
    layout.outputs = next(results);
    layout.bytes = at;
  };
  // The fewest samples that waste few lanes.
  const auto waste = [&] {
    return static_cast<double>(layout.tiles() * layout.vector) /
           static_cast<double>(layout.samples * w.out_h * w.out_w);
  };
  place(1);
  int64_t best = 1;
  double least = waste();
  const int64_t most = std::max(kMostSamples, layout.vector / layout.grid());
  for (int64_t samples = 2; samples <= most; ++samples) {
    place(samples);
    if (layout.bytes > kMostScratch) break;
    if (waste() < least * 0.97) best = samples, least = waste();
  }
  place(best);
  return layout;
}

void emit_clear_planes(Emitter& e, const Query& q, const LanesLayout& layout, Value scratch) {
  const auto fill = [&](int64_t begin, int64_t end, int64_t byte) {
    if (begin == end) return;
    const Value v = byte == 0 ? e.zeros(Element::i8, layout.vector)
                              : e.splat(e.integer(byte, Element::i8), layout.vector);
    e.loop("clear", e.integer(begin), e.integer(align_up(end, layout.vector)), layout.vector, 0,
           [&](Value at) { e.store(e.offset(scratch, at), v); });
  };
  // From the last to the first: a fill may write beyond its end.
  fill(layout.operands, layout.outputs, 0);
  fill(layout.planes, layout.columns, q.input_storage.zero);
}

void emit_planes_of_input(Emitter& e, const Query& q, const LanesLayout& layout, Value scratch,
                          Value sample, Value slot, const std::optional<RowRange>& rows) {
  const Window& w = q.window;
  std::optional<RowRange> read;
  if (rows) read = {e.add(rows->begin, -layout.above), e.add(rows->end, layout.below)};
  const Value grid = e.offset(scratch, e.multiply(slot, layout.grid()));
  for (size_t i = 0; i < layout.phases.size(); ++i) {
    const LanesLayout::Phase& phase = layout.phases[i];
    emit_bytes_to_planes(
        e, layout, e.offset(sample, (phase.y * w.w + phase.x) * w.c), w.stride_h * w.w * w.c,
        w.stride_w * w.c, phase.rows, read, phase.columns, w.c,
        e.offset(grid, layout.plane(static_cast<int64_t>(i), 0)), layout.plane_bytes,
        [&](Value pixel, Value c) { return e.load(e.offset(pixel, c), Element::i8, kBlock); });
  }
}

void emit_planes_of_operand(Emitter& e, const Query& q, const LanesLayout& layout, size_t index,
                            Value planes, Value sample, Value slot,
                            const std::optional<RowRange>& rows) {
  const Window& w = q.window;
  const TailOperand& operand = q.tail->operands[index];
  const int64_t element = plane_element(operand.storage), pitch = layout.result_pitch() * element;
  const Value grid = e.offset(planes, e.multiply(slot, layout.grid() * element));
  const int64_t pixel = pitch_of(operand, w.n);
  if (element == 1) {
    const auto load = [&](Value at, Value c) {
      if (operand.storage.kind == Storage::Kind::bytes)
        return e.load(e.offset(at, c), Element::i8, kBlock);
      const Value codes = emit_load(e, operand.type, operand.storage, at, c, kBlock);
      const Value zero = e.splat(e.integer(operand_zero(operand.storage), Element::i32), kBlock);
      return e.narrow(e.add(codes, zero), Element::i8);
    };
    emit_bytes_to_planes(e, layout, sample, w.out_w * pixel, pixel, w.out_h, rows, w.out_w, w.n,
                         grid, pitch, load);
    return;
  }
  constexpr int kFour = 4;
  emit_rows(e, w.out_h, rows, [&](Value y) {
    const Value pixels = e.offset(sample, e.multiply(y, w.out_w * pixel));
    const Value line = e.offset(grid, e.multiply(y, layout.pitch * element));
    emit_vectors(e, w.n, kFour, [&](Value c, int valid) {
      const auto columns = [&](Value x, int count) {
        std::vector<Value> v;
        for (int i = 0; i < kFour; ++i)
          v.push_back(emit_load(
              e, operand.type, operand.storage,
              e.offset(e.offset(pixels, e.multiply(x, pixel)), std::min(i, count - 1) * pixel), c,
              kFour));
        transpose_dwords(e, v);
        const Value to = e.offset(e.offset(line, e.multiply(c, pitch)), e.multiply(x, element));
        for (int i = 0; i < valid; ++i)
          store_lanes(e, e.offset(to, i * pitch), v[static_cast<size_t>(i)], count);
      };
      emit_vectors(e, w.out_w, kFour, columns, "columns");
    });
  });
}

void emit_output_of_planes(Emitter& e, const Query& q, const LanesLayout& layout, size_t index,
                           Value planes, Value sample, Value slot,
                           const std::optional<RowRange>& rows) {
  const Window& w = q.window;
  const Storage storage = q.tail->outputs[index].storage;
  const int64_t element = plane_element(storage), pitch = layout.result_pitch() * element;
  const int block = element == 1 ? kBlock : 4;
  const int64_t pixel = pitch_of(q.tail->outputs[index], w.n);
  const Value grid = e.offset(planes, e.multiply(slot, layout.grid() * element));
  const auto store = [&](Value to, Value v, Value c, int valid) {
    if (storage.kind == Storage::Kind::bits) {
      const Value at = e.offset(to, e.binary(Binary::shift_right_logical, c, e.integer(3)));
      store_bit_run(e, at, e.compare(Compare::greater_signed, v, e.zeros(Element::i8, v.lanes)),
                    valid);
      return;
    }
    if (storage.kind == Storage::Kind::words) v = e.narrow(v, Element::i16);
    store_lanes(e, e.offset(to, e.multiply(c, element_bytes(storage))), v, valid);
  };
  const bool wide = element == 1 && w.out_w >= 2 * block && layout.vector >= 2 * block;
  const int together = wide ? 2 * block : block;
  emit_rows(e, w.out_h, rows, [&](Value y) {
    const Value line = e.offset(grid, e.multiply(y, layout.pitch * element));
    const Value pixels = e.offset(sample, e.multiply(y, w.out_w * pixel));
    emit_vectors(e, w.n, block, [&](Value c, int valid) {
      const auto columns = [&](Value x, int count) {
        const int lanes = count > block ? 2 * block : block;
        std::vector<Value> v;
        for (int i = 0; i < block; ++i) {
          // Beyond the last channel: any plane.
          const Value from =
              e.offset(e.offset(line, e.multiply(c, pitch)), std::min(i, valid - 1) * pitch);
          const Element kind = element == 1                         ? Element::i8
                               : storage.kind == Storage::Kind::f32 ? Element::f32
                                                                    : Element::i32;
          v.push_back(e.load(e.offset(from, e.multiply(x, element)), kind, lanes));
        }
        if (element == 1)
          transpose_bytes(e, v);
        else
          transpose_dwords(e, v);
        for (int i = 0; i < count; ++i) {
          const Value to = e.offset(e.offset(pixels, e.multiply(x, pixel)), i * pixel);
          const Value column = v[static_cast<size_t>(i % block)];
          store(to, lanes == block ? column : e.slice(column, i / block * block, block), c, valid);
        }
      };
      emit_vectors(e, w.out_w, together, columns, "columns");
    });
  });
}

}  // namespace qloom::kernels
