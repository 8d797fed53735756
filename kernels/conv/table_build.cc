// kernels/conv/table_build.cc: tables of a sample's pixels (table_layout.h).
//
// 1. Sixteen channels of neighbouring outputs' pixels stand in the 16-byte parts of a vector, as
//    bytes x; bits are spread first.
// 2. term(v, x) for each value v of the weights are vectors; interleaved they are *menus* of four
//    bytes: of one channel where there are four values, of a pair of channels (sums) where two.
// 3. A table is a byte of one menu, chosen by the lower two bits of the entry's number, plus a byte
//    of the next, chosen by the upper two: two lookups and an addition.

#include <algorithm>
#include <map>

#include "kernels/conv/table_layout.h"
#include "kernels/tail_emit.h"

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
    top_ = e.splat(e.integer(plan.terms.top, Element::i8), plan.vector_bytes());
  }

  /// Tables of `valid` <= plan.pixels pixels, `distance` bytes apart in the input.
  void block(Value to, Value from, int64_t distance, int64_t valid) {
    const Window& w = plan_.window;
    const int64_t unit = plan_.terms.bits ? kWordChannels : kTableChannels;
    const int64_t unit_bytes = plan_.terms.bits ? kWordChannels / 8 : kTableChannels;
    const int64_t unit_tables = unit / plan_.terms.channels;
    const int64_t full = w.c / unit;
    auto at = [&](Value u, int64_t channels) {
      units(e_.offset(to, e_.multiply(u, unit_tables * plan_.pitch * kTableBytes)),
            e_.offset(from, e_.multiply(u, unit_bytes)), distance, valid, channels);
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
  Value gather(Value from, int64_t distance, int64_t valid) const {
    if (!plan_.terms.bits && distance == kTableBytes && valid == plan_.pixels)
      return e_.load(from, Element::i8, plan_.vector_bytes());
    std::vector<Value> parts;
    for (int64_t p = 0; p < plan_.pixels; ++p) {
      const Value pixel = e_.offset(from, std::min(p, valid - 1) * distance);
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
  void units(Value to, Value from, int64_t distance, int64_t valid, int64_t channels) {
    const Value x = gather(from, distance, valid);
    int64_t group = 0;
    for (int64_t done = 0; done < channels; done += kTableChannels) {
      Value part = x;
      if (plan_.terms.bits)
        part = e_.binary(
            Binary::min_unsigned,
            e_.binary(Binary::bit_and, e_.table_lookup(x, spread_[done / kTableChannels]), bit_),
            one_);
      else if (channels < kTableChannels && mask_.valid())
        part = e_.binary(Binary::bit_and, x, mask_);
      const int64_t left = ceil_div(channels - done, plan_.terms.channels);
      int64_t made = 0;
      for (const Value menu : menus(part))
        for (int q = 0; q < 2 && made < left; ++q, ++made, ++group) {
          const Value table =
              e_.add(e_.table_lookup(menu, lower_[q]), e_.table_lookup(menu, upper_[q]));
          const Value place = e_.offset(to, group * plan_.pitch * kTableBytes);
          if (valid == plan_.pixels)
            e_.store(place, table);
          else
            e_.store_first(place, table, static_cast<int>(valid * kTableBytes));
        }
    }
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
  Value lower_[2], upper_[2], first_of_pair_, second_of_pair_, spread_[4], bit_, one_, mask_, top_;
};

/// Fills a row of tables with those of the border.
void fill_row(Emitter& e, const TablePlan& plan, Value to, Value tables) {
  const int64_t group_bytes = plan.pitch * kTableBytes;
  for (int64_t phase = 0; phase < plan.phases; ++phase)
    e.loop("border groups", e.integer(0), e.integer(plan.groups), 1, 0, [&](Value g) {
      const Value table = e.load_table(e.offset(tables, e.multiply(g, kTableBytes)));
      const Value first =
          e.offset(to, e.add(e.multiply(g, group_bytes), phase * plan.groups * group_bytes));
      e.loop("border", e.integer(0), e.integer(group_bytes), plan.vector_bytes(), 0,
             [&](Value at) { e.store(e.offset(first, at), table); });
    });
}

/// Tables of one row of the image.
void emit_row(Emitter& e, const TablePlan& plan, Builder& builder, Value to, Value from) {
  const Window& w = plan.window;
  const Storage storage = plan.terms.bits ? Storage::bits() : Storage::bytes(0);
  const int64_t pixel = run_bytes(storage, w.c);
  for (int64_t phase = 0; phase < plan.phases; ++phase) {
    const int64_t first = std::max<int64_t>(0, ceil_div(w.pad_left - phase, plan.phases));
    const int64_t last = std::min(plan.pitch, ceil_div(w.w + w.pad_left - phase, plan.phases));
    const int64_t n = last - first;
    if (n <= 0) continue;
    const Value phase_to = e.offset(to, plan.place(0, phase, 0, first));
    const Value phase_from = e.offset(from, (first * plan.phases + phase - w.pad_left) * pixel);
    const int64_t distance = plan.phases * pixel;
    auto at = [&](Value i, int64_t valid) {
      builder.block(e.offset(phase_to, e.multiply(i, kTableBytes)),
                    e.offset(phase_from, e.multiply(i, distance)), distance, valid);
    };
    if (n < plan.pixels) {
      at(e.integer(0), n);
      continue;
    }
    e.loop("pixels", e.integer(0), e.integer(n), plan.pixels, 0, [&](Value i) {
      at(e.binary(Binary::min_signed, i, e.integer(n - plan.pixels)), plan.pixels);
    });
  }
}

/// Tables of two outputs from those of one.
void emit_dual_row(Emitter& e, const TablePlan& plan, Value to, Value from) {
  const int lanes = plan.vector_bytes();
  const Value four = e.splat(e.integer(4, Element::i16), lanes / 2);
  e.loop("pairs of tables", e.integer(0), e.integer(plan.row_bytes()), lanes, 0, [&](Value at) {
    const Value first = e.offset(from, at);
    const Value second = e.load(e.offset(first, int64_t{lanes}), Element::i16, lanes / 2);
    const Value upper = e.bitcast(e.binary(Binary::shift_left, second, four), Element::i8);
    e.store(e.offset(to, at), e.add(e.load(first, Element::i8, lanes), upper));
  });
}

}  // namespace

void emit_table_border(Emitter& e, const TablePlan& plan, Value constants, Value scratch) {
  if (plan.halves == 2) {
    fill_row(e, plan, e.offset(scratch, plan.row_at), e.offset(constants, plan.padding_row_at));
    return;
  }
  e.loop("border rows", e.integer(0), e.integer(plan.band_rows), 1, 0, [&](Value row) {
    fill_row(e, plan, e.offset(scratch, e.add(e.multiply(row, plan.row_bytes()), plan.tables_at)),
             e.offset(constants, plan.padding_at));
  });
}

void emit_tables(Emitter& e, const TablePlan& plan, Value constants, Value scratch, Value sample,
                 Value first, Value rows) {
  const Window& w = plan.window;
  const int64_t image_row =
      w.w * run_bytes(plan.terms.bits ? Storage::bits() : Storage::bytes(0), w.c);
  const Value tables = e.offset(scratch, plan.tables_at);
  auto row = [&](Value j) { return e.offset(tables, e.multiply(j, plan.row_bytes())); };
  const Value above = e.subtract(e.integer(w.pad_top), first);
  const Value begin =
      e.binary(Binary::min_signed, rows, e.binary(Binary::max_signed, e.integer(0), above));
  const Value end =
      e.binary(Binary::max_signed, begin, e.binary(Binary::min_signed, rows, e.add(above, w.h)));
  if (w.has_padding()) {
    const Value padding = e.offset(constants, plan.padding_at);
    auto fill = [&](Value j) { fill_row(e, plan, row(j), padding); };
    e.loop("rows above", e.integer(0), begin, 1, 1, fill);
    e.loop("rows below", end, rows, 1, 1, fill);
  }
  Builder builder(e, plan);
  const Value corner =
      e.offset(sample, e.multiply(e.subtract(first, e.integer(w.pad_top)), image_row));
  e.loop("rows of tables", begin, end, 1, 0, [&](Value j) {
    const Value from = e.offset(corner, e.multiply(j, image_row));
    const bool dual = plan.halves == 2;
    emit_row(e, plan, builder, dual ? e.offset(scratch, plan.row_at) : row(j), from);
    if (dual) emit_dual_row(e, plan, row(j), e.offset(scratch, plan.row_at));
  });
}

}  // namespace qloom::kernels
