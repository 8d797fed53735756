// kernels/conv/tables/table_build.cc: tables of a sample's pixels (table_layout.h).
//
// 1. Sixteen channels of the pixels of a vector's outputs stand in its 16-byte parts, as bytes x;
//    bits are spread first.
// 2. term(v, x) for each value v of the weights are vectors; interleaved they are *menus* of four
//    bytes: of one channel where there are four values, of a pair of channels (sums) where two.
// 3. A table is a byte of one menu, chosen by the lower two bits of the entry's number, plus a byte
//    of the next, chosen by the upper two: two lookups and an addition.

#include <algorithm>
#include <map>

#include "kernels/conv/tables/table_layout.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Element;
using jit::Emitter;
using jit::Value;

constexpr int64_t kWordChannels = 64;  ///< packed bits are read by words

int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

/// Emits the tables of pixels; constants are made once.
class Builder {
 public:
  Builder(Emitter& e, const TablePlan& plan) : e_(e), plan_(plan) {
    for (int q = 0; q < 2; ++q) {
      lower_[q] = pattern([q](int i) { return 8 * q + i % 4; });
      upper_[q] = pattern([q](int i) { return 8 * q + 4 + i / 4; });
    }
    if (plan.terms.channels == 4) {
      first_of_pair_ = pattern([](int i) { return i / 4 * 4 + i % 2; });
      second_of_pair_ = pattern([](int i) { return i / 4 * 4 + 2 + i / 2 % 2; });
    }
    if (plan.terms.bits) {
      for (int j = 0; j < 4; ++j) spread_[j] = pattern([j](int i) { return 2 * j + i / 8; });
      bit_ = pattern([](int i) { return 1 << (i % 8); });
      one_ = e.splat(e.integer(1, Element::i8), plan.vector_bytes());
    } else {
      const int64_t in_last = plan.window.c % kTableChannels;
      if (plan.window.c % plan.terms.channels != 0)
        mask_ = pattern([in_last](int i) { return i < in_last ? 255 : 0; });
    }
    if (plan.halves == 2) four_ = e.splat(e.integer(4, Element::i16), plan.vector_bytes() / 2);
    top_ = e.splat(e.integer(plan.terms.top, Element::i8), plan.vector_bytes());
  }

  /// One vector of each group; `from`: the pixel of its first output.
  void block(Value to, Value from) {
    const Window& w = plan_.window;
    const int64_t unit = plan_.terms.bits ? kWordChannels : kTableChannels;
    const int64_t unit_bytes = plan_.terms.bits ? kWordChannels / 8 : kTableChannels;
    const int64_t unit_tables = unit / plan_.terms.channels;
    const int64_t full = w.c / unit;
    auto at = [&](Value u, int64_t channels) {
      units(e_.offset(to, e_.multiply(u, unit_tables * plan_.vector_bytes())),
            e_.offset(from, e_.multiply(u, unit_bytes)), channels);
    };
    constexpr int64_t kUnrolled = 2;
    if (full > kUnrolled)
      e_.loop("units", e_.integer(0), e_.integer(full), 1, 0, [&](Value u) { at(u, unit); });
    else
      for (int64_t u = 0; u < full; ++u) at(e_.integer(u), unit);
    if (w.c % unit != 0) at(e_.integer(full), w.c % unit);
  }

 private:
  template <class F>
  Value pattern(F entry) const {
    std::vector<int64_t> lanes;
    for (int i = 0; i < plan_.vector_bytes(); ++i) lanes.push_back(entry(i % kTableBytes));
    return e_.vector_constant(Element::i8, lanes);
  }

  /// 16 bytes of each pixel side by side; of bits a word, twice.
  Value gather(Value from, int half) const {
    std::vector<Value> parts;
    for (int64_t p = 0; p < plan_.pixels; ++p) {
      const int64_t output = plan_.start(half * plan_.pixels + p);
      const Value pixel = e_.offset(from, output * plan_.phases * plan_.geometry.pixel_bytes);
      parts.push_back(plan_.terms.bits
                          ? e_.bitcast(e_.load_splat(pixel, Element::i64, 2), Element::i8)
                          : e_.load(pixel, Element::i8, kTableBytes));
    }
    while (parts.size() > 1) {
      std::vector<Value> wider;
      for (size_t i = 0; i < parts.size(); i += 2)
        wider.push_back(e_.concat(parts[i], parts[i + 1]));
      parts = wider;
    }
    return parts[0];
  }

  /// Tables of up to one unit of channels.
  void units(Value to, Value from, int64_t channels) {
    std::vector<Value> x;
    for (int half = 0; half < plan_.halves; ++half) x.push_back(gather(from, half));
    int64_t group = 0;
    for (int64_t done = 0; done < channels; done += kTableChannels) {
      std::vector<std::vector<Value>> all;
      for (const Value v : x) all.push_back(menus(sixteen(v, done, channels)));
      const int64_t left = ceil_div(channels - done, plan_.terms.channels);
      int64_t made = 0;
      for (size_t m = 0; m < all[0].size(); ++m)
        for (int q = 0; q < 2 && made < left; ++q, ++made, ++group) {
          Value table = table_of(all[0][m], q);
          if (plan_.halves == 2) {
            const Value second = e_.bitcast(table_of(all[1][m], q), Element::i16);
            table = e_.add(table,
                           e_.bitcast(e_.binary(Binary::shift_left, second, four_), Element::i8));
          }
          e_.store(e_.offset(to, group * plan_.vector_bytes()), table);
        }
    }
  }

  Value table_of(Value menu, int q) {
    return e_.add(e_.table_lookup(menu, lower_[q]), e_.table_lookup(menu, upper_[q]));
  }

  /// Channels from `done` on of a unit of `channels`, as bytes x.
  Value sixteen(Value x, int64_t done, int64_t channels) {
    if (plan_.terms.bits) {
      const Value spread = e_.table_lookup(x, spread_[done / kTableChannels]);
      return e_.binary(Binary::min_unsigned, e_.binary(Binary::bit_and, spread, bit_), one_);
    }
    if (channels < kTableChannels && mask_.valid()) return e_.binary(Binary::bit_and, x, mask_);
    return x;
  }

  std::vector<Value> menus(Value x) {
    std::map<int64_t, Value> terms;
    for (const int64_t v : plan_.terms.levels)
      if (!terms.contains(v)) terms[v] = term(v, x);
    std::vector<Value> f;
    for (const int64_t v : plan_.terms.levels) f.push_back(terms[v]);
    const Value low = e_.interleave_low(f[0], f[1]), high = e_.interleave_high(f[0], f[1]);
    if (plan_.terms.channels == 4) {
      auto pairs = [&](Value v) {
        return e_.add(e_.table_lookup(v, first_of_pair_), e_.table_lookup(v, second_of_pair_));
      };
      return {pairs(low), pairs(high)};
    }
    auto words = [&](Value v) { return e_.bitcast(v, Element::i16); };
    auto bytes = [&](Value v) { return e_.bitcast(v, Element::i8); };
    const Value low2 = e_.interleave_low(f[2], f[3]), high2 = e_.interleave_high(f[2], f[3]);
    return {bytes(e_.interleave_low(words(low), words(low2))),
            bytes(e_.interleave_high(words(low), words(low2))),
            bytes(e_.interleave_low(words(high), words(high2))),
            bytes(e_.interleave_high(words(high), words(high2)))};
  }

  Value term(int64_t v, Value x) {
    if (v == 0) return e_.zeros(Element::i8, plan_.vector_bytes());
    const Value one = v > 0 ? x : e_.subtract(top_, x);
    Value sum = one;
    for (int64_t i = 1; i < (v < 0 ? -v : v); ++i) sum = e_.add(sum, one);
    return sum;
  }

  Emitter& e_;
  const TablePlan& plan_;
  Value lower_[2], upper_[2], first_of_pair_, second_of_pair_, spread_[4], bit_, one_, mask_, top_,
      four_;
};

}  // namespace

void emit_tables(Emitter& e, const TablePlan& plan, Value tables, Value from, Value rows) {
  const Geometry& g = plan.geometry;
  Builder builder(e, plan);
  e.loop("rows of tables", e.integer(0), rows, 1, 0, [&](Value row) {
    const Value row_to = e.offset(tables, e.multiply(row, plan.row_bytes()));
    const Value row_from =
        e.offset(from, e.multiply(row, plan.row_step * g.columns * g.pixel_bytes));
    for (int64_t phase = 0; phase < plan.phases; ++phase) {
      const Value to = e.offset(row_to, plan.place(0, phase, 0, 0));
      const Value first = e.offset(row_from, phase * g.pixel_bytes);
      e.loop("vectors", e.integer(0), e.integer(plan.reached(phase)), 1, 0, [&](Value i) {
        builder.block(e.offset(to, e.multiply(i, plan.groups * plan.vector_bytes())),
                      e.offset(first, e.multiply(i, plan.phases * g.pixel_bytes)));
      });
    }
  });
}

}  // namespace qloom::kernels
