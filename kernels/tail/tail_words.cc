#include "kernels/tail/tail_words.h"

#include <algorithm>

#include "graph/support/error.h"

namespace qloom::kernels {
namespace {

using jit::Binary;
using jit::Compare;
using jit::Element;
using jit::Emitter;
using jit::Value;

constexpr int64_t kMostSum = 32766;  // and its complement are words, and so is the next one

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

int32_t entry(const TailTable& table, int64_t row, int64_t channel, int64_t channels) {
  return table.i32[static_cast<size_t>(table.per_channel ? row * channels + channel : row)];
}

bool is_integer_row(const TailTable& table) { return !table.is_f32 && table.rows == 1; }

}  // namespace

std::optional<WordTail> WordTail::of(const Tail& tail, int64_t most) {
  if (most > kMostSum || tail.outputs.empty()) return std::nullopt;
  WordTail words(tail, most);
  for (const TailOutput& output : tail.outputs) {
    if (output.storage.kind != Storage::Kind::bytes && output.storage.kind != Storage::Kind::bits)
      return std::nullopt;
    if (!words.range_of(output.step)) return std::nullopt;
  }
  return words;
}

std::optional<int> WordTail::mask_of(int ref) const {
  const TailStep& step = tail_->steps[static_cast<size_t>(ref)];
  if (step.op == TailOp::accumulator) return -1;
  if (step.op != TailOp::bit_xor ||
      tail_->steps[static_cast<size_t>(step.a)].op != TailOp::accumulator)
    return std::nullopt;
  const TailStep& mask = tail_->steps[static_cast<size_t>(step.b)];
  if (mask.op != TailOp::constant) return std::nullopt;
  const TailTable& table = tail_->tables[static_cast<size_t>(mask.index)];
  if (!is_integer_row(table) ||
      !std::ranges::all_of(table.i32, [](int32_t v) { return v == 0 || v == -1; }))
    return std::nullopt;
  return mask.index;
}

void WordTail::add_row(const Row& row) {
  if (std::ranges::find(rows_, row) == rows_.end()) rows_.push_back(row);
}

bool WordTail::add_thresholds(int sum, int table) {
  const auto mask = mask_of(sum);
  const TailTable& thresholds = tail_->tables[static_cast<size_t>(table)];
  if (!mask || thresholds.is_f32) return false;
  if (*mask >= 0) add_row({.kind = Kind::mask, .table = *mask});
  for (int row = 0; row < thresholds.rows; ++row)
    add_row({.kind = Kind::threshold, .table = table, .row = row, .mask = *mask});
  return true;
}

std::optional<WordTail::Range> WordTail::range_of(int ref) {
  const TailStep& step = tail_->steps[static_cast<size_t>(ref)];
  switch (step.op) {
    case TailOp::count_ge:
      if (!add_thresholds(step.a, step.index)) return std::nullopt;
      return Range{0, tail_->tables[static_cast<size_t>(step.index)].rows};
    case TailOp::greater_equal: {
      const TailStep& threshold = tail_->steps[static_cast<size_t>(step.b)];
      if (threshold.op != TailOp::constant || !add_thresholds(step.a, threshold.index))
        return std::nullopt;
      return Range{0, 1};
    }
    case TailOp::constant: {
      const TailTable& table = tail_->tables[static_cast<size_t>(step.index)];
      if (!is_integer_row(table)) return std::nullopt;
      if (table.per_channel) add_row({.kind = Kind::constant, .table = step.index});
      const auto [lo, hi] = std::ranges::minmax(table.i32);
      return lo >= INT16_MIN && hi <= INT16_MAX ? std::optional(Range{lo, hi}) : std::nullopt;
    }
    case TailOp::select: {
      const auto a = range_of(step.a), b = range_of(step.b), c = range_of(step.c);
      if (!a || !b || !c) return std::nullopt;
      return Range{std::min(b->lo, c->lo), std::max(b->hi, c->hi)};
    }
    default:
      return range_of_binary(step);
  }
}

std::optional<WordTail::Range> WordTail::range_of_binary(const TailStep& step) {
  if (step.a < 0 || step.b < 0 || step.c >= 0) return std::nullopt;
  const auto a = range_of(step.a), b = range_of(step.b);
  if (!a || !b) return std::nullopt;
  Range range;
  switch (step.op) {
    case TailOp::add:
      range = {a->lo + b->lo, a->hi + b->hi};
      break;
    case TailOp::subtract:
      range = {a->lo - b->hi, a->hi - b->lo};
      break;
    case TailOp::multiply: {
      const auto [lo, hi] =
          std::minmax({a->lo * b->lo, a->lo * b->hi, a->hi * b->lo, a->hi * b->hi});
      range = {lo, hi};
      break;
    }
    case TailOp::minimum:
      range = {std::min(a->lo, b->lo), std::min(a->hi, b->hi)};
      break;
    case TailOp::maximum:
      range = {std::max(a->lo, b->lo), std::max(a->hi, b->hi)};
      break;
    case TailOp::bit_xor:
      if (a->lo < 0 || a->hi > 1 || b->lo < 0 || b->hi > 1) return std::nullopt;
      range = {0, 1};
      break;
    default:
      return std::nullopt;
  }
  return range.lo >= INT16_MIN && range.hi <= INT16_MAX ? std::optional(range) : std::nullopt;
}

int64_t WordTail::place_of(const Row& row) const {
  const auto at = std::ranges::find(rows_, row);
  qloom_assert(at != rows_.end(), "a tail in words has no such row");
  return at - rows_.begin();
}

int16_t WordTail::word_of(const Row& row, int64_t channel, int64_t channels, int64_t scale,
                          int64_t constant) const {
  const int64_t v =
      entry(tail_->tables[static_cast<size_t>(row.table)], row.row, channel, channels);
  if (row.kind != Kind::threshold) return static_cast<int16_t>(v);
  const bool falls = row.mask >= 0 &&
                     entry(tail_->tables[static_cast<size_t>(row.mask)], 0, channel, channels) != 0;
  // Compared with "greater than", hence one less: x > v − 1.
  if (!falls)
    return static_cast<int16_t>(std::clamp<int64_t>(ceil_div(v - constant, scale), 0, most_ + 1) -
                                1);
  // ~(scale·u + constant) >= v  ⟺  u <= ⌊(−1 − v − constant) / scale⌋ = last  ⟺  ~u >= ~last
  const int64_t last = std::clamp<int64_t>(floor_div(-1 - v - constant, scale), -1, most_);
  return static_cast<int16_t>(-last - 2);
}

void WordTail::append(std::vector<uint8_t>& out, int64_t channels, int block, int64_t scale,
                      std::span<const int32_t> constants) const {
  std::vector<int16_t> words;
  for (int64_t first = 0; first < channels; first += block)
    for (const Row& row : rows_)
      for (int64_t parity = 0; parity < 2; ++parity)
        for (int64_t i = parity; i < block; i += 2) {
          const int64_t channel = std::min(first + i, channels - 1);
          const int64_t constant =
              constants[constants.size() == 1 ? 0 : static_cast<size_t>(channel)];
          words.push_back(word_of(row, channel, channels, scale, constant));
        }
  const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
  out.insert(out.end(), bytes, bytes + words.size() * sizeof(int16_t));
}

/// The steps on the words of one parity.
class WordTail::Words {
 public:
  Words(Emitter& e, const WordTail& tail, Value sums, Value rows, int channels, int parity)
      : e_(e),
        tail_(tail),
        sums_(sums),
        rows_(rows),
        channels_(channels),
        parity_(parity),
        values_(tail.tail_->steps.size()) {}

  Value at(int ref) {
    const auto i = static_cast<size_t>(ref);
    if (!values_[i].valid()) values_[i] = evaluate(tail_.tail_->steps[i]);
    return values_[i];
  }
  /// All ones where the code is above 0.
  Value mask(int ref) {
    // The usual code of a threshold: above 0 just where it is reached.
    const ScaledStep scaled = scaled_step(*tail_.tail_, ref);
    const TailStep& counted = tail_.tail_->steps[static_cast<size_t>(scaled.x)];
    if (counted.op == TailOp::count_ge && scaled.is_positive_with_x() &&
        table(counted.index).rows == 1)
      return reached(counted.a, counted.index, 0);
    return e_.compare(Compare::greater_signed, at(ref), splat(0));
  }

 private:
  [[nodiscard]] const TailTable& table(int index) const {
    return tail_.tail_->tables[static_cast<size_t>(index)];
  }
  Value splat(int64_t v) {
    return v == 0 ? e_.zeros(Element::i16, sums_.lanes)
                  : e_.splat(e_.integer(v, Element::i16), sums_.lanes);
  }
  Value load(const Row& row) {
    const Value at = e_.offset(rows_, (tail_.place_of(row) * 2 + parity_) * channels_);
    if (sums_.lanes * 2 == channels_) return e_.load(at, Element::i16, sums_.lanes);
    constexpr int kTable = 16;
    qloom_assert(channels_ == kTable, "a tail in words on blocks of ", channels_, " channels");
    return e_.bitcast(e_.load_table(at), Element::i16);
  }
  Value reached(int sum_ref, int index, int row) {
    const int mask = *tail_.mask_of(sum_ref);
    Value& sum = values_[static_cast<size_t>(sum_ref)];
    if (!sum.valid())
      sum = mask < 0 ? sums_
                     : e_.binary(Binary::bit_xor, sums_, load({.kind = Kind::mask, .table = mask}));
    return e_.compare(Compare::greater_signed, sum,
                      load({.kind = Kind::threshold, .table = index, .row = row, .mask = mask}));
  }

  Value evaluate(const TailStep& step) {
    switch (step.op) {
      case TailOp::count_ge: {
        Value count;  // masks are -1
        for (int row = 0; row < table(step.index).rows; ++row) {
          const Value one = reached(step.a, step.index, row);
          count = row == 0 ? one : e_.add(count, one);
        }
        return e_.negate(count);
      }
      case TailOp::greater_equal:
        return e_.negate(reached(step.a, tail_.tail_->steps[static_cast<size_t>(step.b)].index, 0));
      case TailOp::constant:
        return table(step.index).per_channel ? load({.kind = Kind::constant, .table = step.index})
                                             : splat(table(step.index).i32[0]);
      case TailOp::select: {
        const Value zero = e_.compare(Compare::equal, at(step.a), splat(0));
        return e_.select(zero, at(step.c), at(step.b));
      }
      default: {
        const Value b = at(step.b), a = at(step.a);
        const auto op = binary_of(step.op, false);
        qloom_assert(op, "a tail in words: not an operation on two operands");
        return e_.binary(*op, a, b);
      }
    }
  }

  Emitter& e_;
  const WordTail& tail_;
  Value sums_, rows_;
  int channels_, parity_;
  std::vector<Value> values_;
};

std::vector<Value> WordTail::emit(Emitter& e, Value even, Value odd, Value rows,
                                  int channels) const {
  Words words[2] = {Words(e, *this, even, rows, channels, 0),
                    Words(e, *this, odd, rows, channels, 1)};
  std::vector<Value> all;
  for (const TailOutput& output : tail_->outputs) {
    if (output.storage.kind == Storage::Kind::bits) {
      std::vector<int64_t> pattern;
      for (int i = 0; i < even.bytes(); ++i) pattern.push_back(i % 2 == 0 ? -1 : 0);
      all.push_back(e.select(e.vector_constant(Element::i8, pattern),
                             e.bitcast(words[0].mask(output.step), Element::i8),
                             e.bitcast(words[1].mask(output.step), Element::i8)));
      continue;
    }
    // Codes + zero are bytes, so that they fit side by side.
    const Value upper = e.binary(Binary::shift_left, words[1].at(output.step),
                                 e.splat(e.integer(8, Element::i16), even.lanes));
    Value bytes = e.add(words[0].at(output.step), upper);
    const int64_t zero = output.storage.zero;
    if (zero != 0)
      bytes = e.add(bytes,
                    e.splat(e.integer(static_cast<int16_t>(zero * 257), Element::i16), even.lanes));
    all.push_back(e.bitcast(bytes, Element::i8));
  }
  return all;
}

void WordTail::store(Emitter& e, std::span<const Value> bytes, const TailPlace& place) const {
  for (size_t k = 0; k < bytes.size(); ++k)
    store_output(e, tail_->outputs[k], place.outputs[k], place.channel, bytes[k],
                 place.valid_lanes);
}

}  // namespace qloom::kernels
