#include "kernels/conv/winograd/strips.h"

#include <algorithm>

namespace qloom::kernels {

using jit::Binary;
using jit::Emitter;
using jit::Value;

Strips strips_of(const Window& w, int height, int64_t strip_bytes, int64_t most_bytes) {
  Strips s{.height = height};
  const int64_t strips = (w.out_h + height - 1) / height;
  s.bands = (strips - 1) / std::max<int64_t>(1, most_bytes / strip_bytes) + 1;
  s.band = (strips - 1) / s.bands + 1;
  s.expected = static_cast<double>(w.out_h) / static_cast<double>(height * s.bands);
  return s;
}

Split split_of(const Query& q, const Geometry& g, const Strips& strips) {
  return split_of(q, g, static_cast<int>(strips.height * q.window.out_w), 1);
}

void emit_bands(Emitter& e, const Query& q, const Geometry& g, const Split& split,
                const Strips& strips, const KernelBuffers& buffers,
                const std::function<void(const Band&)>& body) {
  const RowRange range = emit_row_range(e, g, split);
  emit_clear_bits(e, q, g, split, buffers.outputs);
  emit_border(e, g, buffers.scratch, range);
  Band band;
  band.last = e.add(range.end, -strips.height);
  e.loop("samples", e.integer(0), e.count(), 1, 16, [&](Value sample) {
    const Value input = e.offset(buffers.input, e.multiply(sample, g.sample_bytes));
    emit_copy_sample(e, g, buffers.scratch, input, range);
    band.input = g.copied ? buffers.scratch : input;
    band.before = e.multiply(sample, g.positions());
    const int64_t rows = strips.height * strips.band;
    e.loop("bands", range.begin, range.end, rows, static_cast<double>(strips.bands),
           [&](Value begin) {
             band.begin = begin;
             band.end = e.binary(Binary::min_signed, range.end, e.add(begin, rows));
             body(band);
           });
  });
}

void emit_strips(Emitter& e, const Window& w, const Strips& strips, const Band& band,
                 const std::function<void(Value, Value)>& body) {
  e.loop("strips", band.begin, band.end, strips.height, strips.expected, [&](Value row) {
    body(row, w.out_h % strips.height == 0 ? row : e.binary(Binary::min_signed, row, band.last));
  });
}

}  // namespace qloom::kernels
