#include "kernels/conv/geometry.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "graph/ops_table.h"
#include "graph/support/error.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Value;

int64_t align_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

/// The byte that stands for code 0 when repeated over an element.
int border_byte(Storage storage) { return storage.kind == Storage::Kind::bytes ? storage.zero : 0; }

Element element_of_bytes(int64_t bytes) {
  return bytes == 8   ? Element::i64
         : bytes == 4 ? Element::i32
         : bytes == 2 ? Element::i16
                      : Element::i8;
}

/// Copies exactly `bytes` bytes.
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

}  // namespace

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

void emit_border(Emitter& e, const Geometry& g, Value scratch) {
  if (!g.copied) return;
  const int lanes = e.bytes();
  const Value fill = e.splat(e.integer(border_byte(g.storage), Element::i8), lanes);
  e.loop("border", e.integer(0), e.integer(align_up(g.scratch_bytes, lanes)), lanes, 0,
         [&](Value at) { e.store(e.offset(scratch, at), fill); });
}

void emit_copy_sample(Emitter& e, const Geometry& g, Value scratch, Value sample) {
  if (!g.copied) return;
  const Window& w = g.window;
  const int64_t rows = std::min(w.h, g.rows - w.pad_top);
  const int64_t columns = std::min(w.w, g.columns - w.pad_left);
  if (rows <= 0 || columns <= 0) return;
  const int64_t from_pitch = w.w * run_bytes(g.storage, w.c), to_pitch = g.columns * g.pixel_bytes;
  const Value corner = e.offset(scratch, (w.pad_top * g.columns + w.pad_left) * g.pixel_bytes);
  e.loop("copy rows", e.integer(0), e.integer(rows), 1, 0, [&](Value row) {
    const Value to = e.offset(corner, e.multiply(row, to_pitch));
    const Value from = e.offset(sample, e.multiply(row, from_pitch));
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

void emit_walk(Emitter& e, const Geometry& g, int rows, Value input, Value scratch, Value table,
               const std::function<void(const EmitTiles&)>& per_sample) {
  const int64_t positions = g.positions();

  // Tiles over outputs 0..total of one base; `shift` is added to give the index over all samples.
  auto tiles = [&](const TileBody& body, Value base, Value total, std::optional<int64_t> known,
                   Value shift) {
    auto tile = [&](int n, Value first) {
      std::vector<Value> pixels;
      for (int r = 0; r < n; ++r) {
        if (g.linear) {
          if (r == 0)
            pixels.push_back(e.offset(base, e.multiply(first, g.pixel_bytes)));
          else
            pixels.push_back(e.offset(pixels[0], r * g.pixel_bytes));
        } else {
          const Value entry = e.offset(e.offset(table, e.multiply(first, 4)), int64_t{4} * r);
          pixels.push_back(
              e.offset(base, e.widen_signed(e.load(entry, Element::i32), Element::i64)));
        }
      }
      body({pixels, shift.valid() ? e.add(first, shift) : first, first});
    };
    const double expected = known ? 0 : static_cast<double>(positions) * 16;
    auto full = [&] {
      const Value last = e.subtract(total, e.integer(rows));
      e.loop("outputs", e.integer(0), total, rows, expected / rows, [&](Value at) {
        tile(rows, rows == 1 ? at : e.binary(Binary::min_signed, at, last));
      });
    };
    auto single = [&] {
      e.loop("single outputs", e.integer(0), total, 1, known ? 0 : rows / 2.0,
             [&](Value at) { tile(1, at); });
    };
    if (rows == 1 || (known && *known >= rows) || (!known && positions >= rows)) {
      full();
    } else if (known) {
      single();
    } else {
      e.if_less(e.integer(rows - 1), total, full);
      e.if_less(total, e.integer(rows), single);
    }
  };

  if (g.linear) {
    per_sample([&](const TileBody& body) {
      tiles(body, input, e.multiply(e.count(), positions), std::nullopt, Value{});
    });
    return;
  }
  emit_border(e, g, scratch);
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](Value sample) {
    Value base = e.offset(input, e.multiply(sample, g.sample_bytes));
    emit_copy_sample(e, g, scratch, base);
    if (g.copied) base = scratch;
    const Value shift = e.multiply(sample, positions);
    per_sample(
        [&](const TileBody& body) { tiles(body, base, e.integer(positions), positions, shift); });
  });
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

CodeRange weight_range(const Query& q) {
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
  const Geometry g = geometry_of(q.window, Storage::words());
  constexpr int64_t kLargestSample = std::numeric_limits<int32_t>::max() / 4;
  if (g.rows * g.columns * q.window.c > kLargestSample || g.positions() > kLargestSample)
    return Verdict::no("a sample of ", g.rows, "×", g.columns, "×", q.window.c,
                       " is beyond the 32-bit offsets of this kernel");
  return Verdict::yes();
}

}  // namespace qloom::kernels
