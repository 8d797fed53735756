#include "kernels/conv/geometry.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "graph/ops_table.h"
#include "graph/support/error.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Value;

int64_t align_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

/// Four bytes that stand for code 0 in every element.
uint32_t border_of(Storage storage) {
  return storage.kind == Storage::Kind::bytes ? static_cast<uint32_t>(storage.zero) * 0x01010101U
                                              : 0;
}

Element element_of_bytes(int64_t bytes) {
  return bytes == 8   ? Element::i64
         : bytes == 4 ? Element::i32
         : bytes == 2 ? Element::i16
                      : Element::i8;
}

/// Splits `n` bytes (a multiple of 8) into the bits of each plane.
void emit_split(Emitter& e, const Geometry& g, Value to, Value from, int64_t n) {
  auto part = [&](Value at, int lanes) {
    const Value bytes = e.bitcast(e.load(e.offset(from, at), Element::i8, lanes), Element::i16);
    const Value target = e.offset(to, e.binary(Binary::shift_right_arithmetic, at, e.integer(3)));
    for (int plane = 0; plane < g.planes; ++plane) {
      // The bit goes to the top of its byte; what comes from the byte below does not matter.
      const Value top = e.binary(Binary::shift_left, bytes, e.integer(7 - plane));
      const Value bits = e.sign_bits(e.bitcast(top, Element::i8));
      e.store(e.offset(target, plane * g.plane_bytes), e.narrow(bits, element_of_bytes(lanes / 8)));
    }
  };
  const int vector = e.bytes();
  const int64_t whole = n / vector * vector;
  e.loop("split", e.integer(0), e.integer(whole), vector, 0, [&](Value at) { part(at, vector); });
  int64_t done = whole;
  for (int lanes = vector / 2; lanes >= 8; lanes /= 2)
    for (; n - done >= lanes; done += lanes) part(e.integer(done), lanes);
}

}  // namespace

void emit_copy(Emitter& e, Value to, Value from, int64_t bytes) {
  const int64_t vector = e.bytes();
  int64_t done = 0;
  if (bytes >= 2 * vector) {
    const int64_t whole = bytes / vector * vector;
    e.loop("copy", e.integer(0), e.integer(whole), vector, 0, [&](Value at) {
      e.store(e.offset(to, at), e.load(e.offset(from, at), Element::i8, static_cast<int>(vector)));
    });
    done = whole;
  }
  for (int64_t part = vector; part > 0; part /= 2) {
    while (bytes - done >= part) {
      const Value source = e.offset(from, done), target = e.offset(to, done);
      if (part > 8)
        e.store(target, e.load(source, Element::i8, static_cast<int>(part)));
      else
        e.store(target, e.load(source, element_of_bytes(part)));
      done += part;
    }
  }
}

int64_t Geometry::pixel_offset(int64_t position) const {
  const int64_t y = position / window.out_w, x = position % window.out_w;
  return (y * window.stride_h * columns + x * window.stride_w) * pixel_bytes;
}

int64_t Geometry::tap_offset(int64_t kernel_y, int64_t kernel_x) const {
  return (kernel_y * window.dilation_h * columns + kernel_x * window.dilation_w) * pixel_bytes;
}

Geometry geometry_of(const Window& w, Storage storage, int repeat) {
  Geometry g;
  g.window = w;
  g.storage = storage;
  g.border = border_of(storage);
  g.repeat = repeat;
  g.pixel_bytes = run_bytes(storage, w.c * repeat);
  g.sample_bytes = w.h * w.w * run_bytes(storage, w.c);
  g.copied = w.has_padding() || repeat > 1;
  g.rows = w.h;
  g.columns = w.w;
  if (g.copied) {
    g.rows =
        std::max((w.out_h - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1, w.pad_top + 1);
    g.columns =
        std::max((w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1, w.pad_left + 1);
    g.scratch_bytes = align_up(g.rows * g.columns * g.pixel_bytes, 64);
  }
  g.linear = !g.copied && w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 &&
             w.stride_w == 1 && w.out_h == w.h && w.out_w == w.w;
  return g;
}

Geometry plane_geometry_of(const Window& w, Storage storage, int planes) {
  qloom_assert(storage.kind == Storage::Kind::bytes && w.c % 8 == 0, "no bit images of ", w.c,
               " channels as ", storage);
  Geometry g = geometry_of(w, storage);
  g.copied = true;
  g.linear = false;
  g.rows =
      std::max((w.out_h - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1, w.pad_top + 1);
  g.columns =
      std::max((w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1, w.pad_left + 1);
  g.pixel_bytes = w.c / 8;
  g.planes = planes;
  // A border is filled, and a word of bits read, beyond the last pixel.
  g.plane_bytes = align_up(g.rows * g.columns * g.pixel_bytes + 64, 64);
  g.scratch_bytes = planes * g.plane_bytes;
  return g;
}

Split split_of(const Query& q, const Geometry& g, int rows, int64_t channel_tiles) {
  constexpr int64_t kEnough = 8;  // what is left over of eight is at most an eighth
  Split split;
  const int64_t all = g.positions() / g.row();
  split.step = (rows + g.row() - 1) / g.row();
  const int64_t by_rows = std::max<int64_t>(1, all / split.step);
  split.first = all - (by_rows - 1) * split.step;
  // Packed bits behind the last channel are cleared by whole runs.
  const int64_t by_channels = needs_clear_bits(*q.tail, q.window.n) ? 1 : channel_tiles;
  // Of few items, those that two threads share best.
  const auto largest_share = [](int64_t n) {
    return static_cast<double>((n + 1) / 2) / static_cast<double>(n);
  };
  const double rows_share = largest_share(by_rows), channels_share = largest_share(by_channels);
  const bool rows_win = by_rows >= kEnough || rows_share < channels_share ||
                        (rows_share == channels_share && by_rows >= by_channels);
  split.items = rows_win ? by_rows : by_channels;
  split.by = split.items == 1 ? Split::By::nothing
             : rows_win       ? Split::By::rows
                              : Split::By::channels;
  return split;
}

void emit_channel_tiles(Emitter& e, const Split& split, int64_t full,
                        const std::function<void(Value)>& body, bool has_rest,
                        const std::function<void()>& rest) {
  const bool cut = split.by == Split::By::channels;
  if (full > 0) {
    Value begin = e.integer(0), end = e.integer(full);
    if (cut) begin = e.begin(), end = e.binary(Binary::min_signed, e.end(), end);
    e.loop("channels", begin, end, 1, 0, body);
  }
  if (!has_rest) return;
  if (cut)
    e.if_less(e.integer(full), e.end(), rest);
  else
    rest();
}

RowRange emit_row_range(Emitter& e, const Geometry& g, const Split& split) {
  if (split.by != Split::By::rows) return {e.integer(0), e.integer(g.positions() / g.row())};
  const int64_t more = split.first - split.step;
  // Row at which item i begins: more + i·step, but 0 for i = 0.
  const Value begin = e.add(e.multiply(e.begin(), split.step), more);
  return {
      more == 0 ? begin : e.binary(Binary::min_signed, e.multiply(e.begin(), split.first), begin),
      e.add(e.multiply(e.end(), split.step), more)};
}

void emit_clear_bits(Emitter& e, const Query& q, const Geometry& g, const Split& split,
                     std::span<const Value> outputs) {
  if (!needs_clear_bits(*q.tail, q.window.n)) return;
  const RowRange range = emit_row_range(e, g, split);
  const Value before = e.multiply(e.add(e.count(), -1), g.positions());
  emit_clear_bits(e, *q.tail, outputs, e.multiply(range.begin, g.row()),
                  e.add(before, e.multiply(range.end, g.row())), q.window.n);
}

RowRange emit_rows_read(Emitter& e, const Geometry& g, const RowRange& range) {
  const Window& w = g.window;
  const int64_t reach = (w.kernel_h - 1) * w.dilation_h + 1;
  if (w.out_h == 1) return {e.integer(0), e.integer(reach)};  // the range counts outputs
  return {e.multiply(range.begin, w.stride_h),
          e.add(e.multiply(range.end, w.stride_h), reach - w.stride_h)};
}

void emit_border(Emitter& e, const Geometry& g, Value scratch, const RowRange& range) {
  if (!g.copied) return;
  const int lanes = e.bytes();
  const int64_t row_bytes = g.columns * g.pixel_bytes;
  const RowRange rows = emit_rows_read(e, g, range);
  const auto byte = static_cast<int>(g.border & 0xff);
  for (int plane = 0; plane < std::max(1, g.planes); ++plane) {
    const uint32_t pattern = g.planes == 0 ? g.border : (byte >> plane & 1) != 0 ? ~0U : 0U;
    const Value fill = e.splat(e.integer(static_cast<int32_t>(pattern), Element::i32), lanes / 4);
    const Value image = e.offset(scratch, plane * g.plane_bytes);
    e.loop("border", e.multiply(rows.begin, row_bytes), e.multiply(rows.end, row_bytes), lanes, 0,
           [&](Value at) { e.store(e.offset(image, at), fill); });
  }
}

void emit_copy_sample(Emitter& e, const Geometry& g, Value scratch, Value sample,
                      const RowRange& range) {
  if (!g.copied) return;
  const Window& w = g.window;
  const int64_t rows = std::min(w.h, g.rows - w.pad_top);
  const int64_t columns = std::min(w.w, g.columns - w.pad_left);
  if (rows <= 0 || columns <= 0) return;
  const int64_t from_pitch = w.w * run_bytes(g.storage, w.c), to_pitch = g.columns * g.pixel_bytes;
  const Value corner = e.offset(scratch, (w.pad_top * g.columns + w.pad_left) * g.pixel_bytes);
  const RowRange read = emit_rows_read(e, g, range);
  const Value begin = e.binary(Binary::max_signed, e.integer(0), e.add(read.begin, -w.pad_top));
  const Value end = e.binary(Binary::min_signed, e.integer(rows), e.add(read.end, -w.pad_top));
  e.loop("copy rows", begin, end, 1, 0, [&](Value row) {
    const Value to = e.offset(corner, e.multiply(row, to_pitch));
    const Value from = e.offset(sample, e.multiply(row, from_pitch));
    if (g.planes > 0) {
      emit_split(e, g, to, from, columns * w.c);
      return;
    }
    if (g.repeat == 1) {
      emit_copy(e, to, from, columns * g.pixel_bytes);
      return;
    }
    const int64_t size = element_bytes(g.storage);
    const Element element = element_of_bytes(size);
    e.loop("repeat", e.integer(0), e.integer(columns * w.c), 1, 0, [&](Value i) {
      const Value v = e.load(e.offset(from, e.multiply(i, size)), element);
      const Value first = e.offset(to, e.multiply(i, size * g.repeat));
      for (int k = 0; k < g.repeat; ++k) e.store(e.offset(first, k * size), v);
    });
  });
}

bool walks_rows(const Geometry& g, int rows) {
  const int64_t width = g.window.out_w;
  if (g.linear || g.window.out_h == 1 || rows == 1 || rows > width) return false;
  const int64_t computed = (width + rows - 1) / rows * rows;
  return computed * 8 <= width * 9;
}

int64_t pitch_of(const Geometry& g, int rows) {
  const bool even = g.linear || g.window.out_h == 1 || walks_rows(g, rows);
  return even ? g.window.stride_w * g.pixel_bytes : 0;
}

void emit_walk(Emitter& e, const Geometry& g, int rows, Value input, Value scratch, Value table,
               const std::function<void(const EmitTiles&)>& per_sample, const Split& split) {
  const int64_t positions = g.positions(), pitch = pitch_of(g, rows);
  // Neighbours from the first output's input on.
  auto neighbours = [&](Value first, int n) {
    std::vector<Value> pixels = {first};
    for (int r = 1; r < n; ++r) pixels.push_back(e.offset(first, r * pitch));
    return pixels;
  };

  // Tiles over outputs begin..end of one base; `shift` is added to give the index over all samples.
  // `fewest`: there are at least so many; `most`: at most, 0 where only the caller knows.
  auto tiles = [&](const TileBody& body, Value base, Value begin, Value end, int64_t fewest,
                   int64_t most, Value shift) {
    auto tile = [&](int n, Value first) {
      std::vector<Value> pixels;
      if (pitch > 0) {
        pixels = neighbours(e.offset(base, e.multiply(first, pitch)), n);
      } else {
        for (int r = 0; r < n; ++r) {
          const Value entry = e.offset(e.offset(table, e.multiply(first, 4)), int64_t{4} * r);
          pixels.push_back(
              e.offset(base, e.widen_signed(e.load(entry, Element::i32), Element::i64)));
        }
      }
      body({pixels, shift.valid() ? e.add(first, shift) : first, first});
    };
    const double expected = static_cast<double>(positions) * (most > 0 ? 1 : 16);
    auto full = [&] {
      const Value last = e.subtract(end, e.integer(rows));
      e.loop("outputs", begin, end, rows, expected / rows, [&](Value at) {
        tile(rows, rows == 1 ? at : e.binary(Binary::min_signed, at, last));
      });
    };
    auto single = [&] {
      e.loop("single outputs", begin, end, 1, rows / 2.0, [&](Value at) { tile(1, at); });
    };
    if (fewest >= rows) {
      full();
    } else if (most > 0 && most < rows) {
      single();
    } else {
      const Value total = e.subtract(end, begin);
      e.if_less(e.integer(rows - 1), total, full);
      e.if_less(total, e.integer(rows), single);
    }
  };

  // Each item has a whole tile, unless the sample has not.
  const RowRange range = emit_row_range(e, g, split);
  const int64_t fewest =
      split.by == Split::By::rows ? std::min(split.first, split.step) * g.row() : positions;
  const Value begin = e.multiply(range.begin, g.row()), end = e.multiply(range.end, g.row());
  if (g.linear) {
    const Value before = e.multiply(e.add(e.count(), -1), positions);
    per_sample([&](const TileBody& body) {
      tiles(body, input, begin, e.add(before, end), fewest, 0, Value{});
    });
    return;
  }
  // Tiles within image rows.
  auto row_tiles = [&](const TileBody& body, Value base, Value shift) {
    const int64_t width = g.window.out_w, row_pitch = g.pixel_offset(width);
    const double expected = static_cast<double>(g.window.out_h);
    e.loop("rows", range.begin, range.end, 1, expected, [&](Value y) {
      const Value row = e.offset(base, e.multiply(y, row_pitch)), before = e.multiply(y, width);
      e.loop("outputs", e.integer(0), e.integer(width), rows, 0, [&](Value x) {
        if (width % rows != 0) x = e.binary(Binary::min_signed, x, e.integer(width - rows));
        const Value local = e.add(before, x);
        body({neighbours(e.offset(row, e.multiply(x, pitch)), rows), e.add(local, shift), local});
      });
    });
  };
  emit_border(e, g, scratch, range);
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](Value sample) {
    Value base = e.offset(input, e.multiply(sample, g.sample_bytes));
    emit_copy_sample(e, g, scratch, base, range);
    if (g.copied) base = scratch;
    const Value shift = e.multiply(sample, positions);
    per_sample([&](const TileBody& body) {
      if (walks_rows(g, rows)) return row_tiles(body, base, shift);
      tiles(body, base, begin, end, fewest, positions, shift);
    });
  });
}

std::vector<Variant> row_variants(const Query& q) {
  const int64_t outputs = q.window.out_h * q.window.out_w;
  std::vector<Variant> list;
  for (const int rows : {4, 2, 1})
    if (rows == 1 || rows <= outputs) list.push_back({rows, 1, 0});
  return list;
}

std::vector<int32_t> pixel_table(const Geometry& g) {
  std::vector<int32_t> table;
  if (g.linear) return table;
  for (int64_t p = 0; p < g.positions(); ++p)
    table.push_back(static_cast<int32_t>(g.pixel_offset(p)));
  return table;
}

int64_t append_bytes(std::vector<uint8_t>& out, const void* data, size_t bytes) {
  const int64_t at = align_up(static_cast<int64_t>(out.size()), 64);
  out.resize(static_cast<size_t>(at) + bytes);
  if (bytes != 0) std::memcpy(out.data() + at, data, bytes);
  return at;
}

std::vector<int64_t> weight_levels(const Query& q) {
  return q.facts != nullptr ? q.facts->levels : weight_facts(*q.weight_codes).levels;
}

CodeRange weight_range(const Query& q) {
  if (q.facts != nullptr) return {q.facts->lo, q.facts->hi};
  CodeRange range;
  for (const int64_t code : q.weight_codes->i64()) {
    range.lo = std::min(range.lo, code);
    range.hi = std::max(range.hi, code);
  }
  return range;
}

int64_t largest_byte(const Query& q, Storage storage) {
  return q.input.numeric.grid()->hi + storage.zero;
}

std::vector<int32_t> initial_sums(const Query& q, int64_t pitch) {
  std::vector<int64_t> sums(static_cast<size_t>(q.window.n), 0);
  const auto codes = q.weight_codes->i64();
  for (size_t i = 0; i < codes.size(); ++i) sums[i % sums.size()] += codes[i];
  std::vector<int32_t> initial(static_cast<size_t>(pitch), 0);
  for (size_t n = 0; n < sums.size(); ++n)  // modulo 2^32, as the sums are
    initial[n] = static_cast<int32_t>(-q.input_storage.zero * sums[n]);
  return initial;
}

Verdict fits_int32(const Query& q) {
  constexpr int64_t kLo = std::numeric_limits<int32_t>::min(),
                    kHi = std::numeric_limits<int32_t>::max();
  for (size_t i = 0; i < q.accumulator_lo.size(); ++i)
    if (q.accumulator_lo[i] < kLo || q.accumulator_hi[i] > kHi)
      return Verdict::no("accumulator of channel ", i, " reaches [", q.accumulator_lo[i], ", ",
                         q.accumulator_hi[i], "], this kernel sums in int32");
  return Verdict::yes();
}

Verdict has_constant_codes(const Query& q) {
  if (q.root != &ops::conv && q.root != &ops::dense)
    return Verdict::no("root is ",
                       q.root == nullptr ? std::string_view("elementwise") : q.root->name,
                       ", this kernel computes conv and dense");
  if (!q.input.has_codes()) return Verdict::no("input is ", q.input, ", this kernel needs codes");
  if (!q.input.scale.is_per_tensor())
    return Verdict::no("input is ", q.input, ", this kernel needs one scale for all channels");
  if (q.weight_codes == nullptr)
    return Verdict::no("weights are ", q.weights, ", this kernel needs constant codes");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  return has_near_samples(q);
}

Verdict has_float_weights(const Query& q) {
  if (q.root != &ops::conv && q.root != &ops::dense)
    return Verdict::no("root is ",
                       q.root == nullptr ? std::string_view("elementwise") : q.root->name,
                       ", this kernel computes conv and dense");
  if (!q.f32_accumulator)
    return Verdict::no("the sum of ", q.input, " times ", q.weights,
                       " is an integer, this kernel sums floats");
  if (!q.weight_values) return Verdict::no("weights are ", q.weights, ", not constant");
  const auto values = q.weight_values->f32();
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    return Verdict::no("weights hold infinities or NaN, which zeros of the border would meet");
  if (!fits(q.input, Storage::f32()))
    return Verdict::no("input is ", q.input, ", this kernel reads float32");
  if (q.tail == nullptr) return Verdict::no("the tail is not lowered");
  return has_near_samples(q);
}

Verdict has_near_samples(const Query& q) {
  const Geometry g = geometry_of(q.window, Storage::words());
  constexpr int64_t kLargestSample = std::numeric_limits<int32_t>::max() / 4;
  if (g.rows * g.columns * q.window.c > kLargestSample || g.positions() > kLargestSample)
    return Verdict::no("a sample of ", g.rows, "×", g.columns, "×", q.window.c,
                       " is beyond the 32-bit offsets of this kernel");
  return Verdict::yes();
}

}  // namespace qloom::kernels
