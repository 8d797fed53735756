// The tails of generated problems.
#include <algorithm>
#include <cstdlib>

#include "kernels/functions/float_function.h"
#include "kernels/tail/tail_emit.h"
#include "tests/kernels/problem.h"

namespace qloom::testing {
namespace {

using kernels::Storage;
using kernels::Tail;
using kernels::TailOp;
using kernels::TailOutput;
using kernels::TailTable;
using kernels::Window;

TailTable int_table(std::vector<int32_t> v, bool per_channel, int rows = 1) {
  TailTable t;
  t.per_channel = per_channel;
  t.rows = rows;
  t.i32 = std::move(v);
  return t;
}
TailTable f32_table(std::vector<float> v, bool per_channel) {
  TailTable t;
  t.is_f32 = true;
  t.per_channel = per_channel;
  t.f32 = std::move(v);
  return t;
}

/// Adds steps to a tail.
class Builder {
 public:
  explicit Builder(Tail& tail) : tail_(tail) {}
  int step(TailOp op, int a = -1, int b = -1, int c = -1, int index = -1) {
    tail_.steps.push_back({op, a, b, c, index});
    return static_cast<int>(tail_.steps.size()) - 1;
  }
  int constant(int32_t v) { return constant(int_table({v}, false)); }
  int constant(TailTable table) {
    tail_.tables.push_back(std::move(table));
    return step(TailOp::constant, -1, -1, -1, static_cast<int>(tail_.tables.size()) - 1);
  }
  int count_ge(int a, TailTable table) {
    tail_.tables.push_back(std::move(table));
    return step(TailOp::count_ge, a, -1, -1, static_cast<int>(tail_.tables.size()) - 1);
  }
  int clip(int a, int32_t lo, int32_t hi) {
    return step(TailOp::minimum, step(TailOp::maximum, a, constant(lo)), constant(hi));
  }
  void output(int step, const Shape& shape, Numeric numeric, Storage storage) {
    TailOutput o;
    o.step = step;
    o.type = {shape, numeric, {}};
    o.storage = storage;
    o.value_index = static_cast<int>(tail_.outputs.size());
    tail_.outputs.push_back(o);
  }

 private:
  Tail& tail_;
};

}  // namespace

void Problem::make_tail(std::mt19937_64& rng) {
  const Window& w = spec_.window;
  const Shape shape{Dim::batch(), w.out_h, w.out_w, w.n};
  Builder b(tail_);
  int acc = b.step(TailOp::accumulator);
  auto sample = [&] {  // an accumulator that occurs, so that thresholds and clips matter
    if (spec_.f32_input)
      return static_cast<int32_t>(f32_accumulators_[rng() % f32_accumulators_.size()] * 16);
    return static_cast<int32_t>(accumulators_[rng() % accumulators_.size()]);
  };
  const bool special = spec_.f32_input && spec_.tail == TailKind::plain;
  if (spec_.f32_input && (special || !spec_.elementwise)) {
    b.output(acc, shape, Numeric::float32(), Storage::f32());
    if (special) return;
  }
  int32_t spread = 1;
  for (int i = 0; i < 64; ++i) spread = std::max(spread, std::abs(sample() / 2));
  if (spec_.f32_input) {
    const int scaled = b.step(TailOp::multiply, acc, b.constant(f32_table({16.0F}, false)));
    acc = b.step(TailOp::to_int, scaled);
  }
  const auto channels = static_cast<size_t>(w.n);
  // Channels that fall: thresholds of ~x, as the passes lower them.
  auto oriented = [&] {
    if (uniform(rng, 0, 1) == 0) return acc;
    std::vector<int32_t> masks;
    for (size_t i = 0; i < channels; ++i)
      masks.push_back(static_cast<int32_t>(-uniform(rng, 0, 1)));
    return b.step(TailOp::bit_xor, acc, b.constant(int_table(std::move(masks), true)));
  };
  switch (spec_.tail) {
    case TailKind::plain:
      if (spec_.pooling == kernels::Pooling::maximum ||
          query_.move.axes.size() > 0) {  // stored as it is read
        b.output(acc, shape, spec_.input, kernels::plain_storage(query_.input));
        break;
      }
      b.output(acc, shape, Numeric::fixed(32, 0, true), Storage::dwords());
      break;
    case TailKind::thresholds: {
      std::vector<int32_t> table;
      for (size_t i = 0; i < 7 * channels; ++i) table.push_back(sample());
      b.output(b.count_ge(oriented(), int_table(std::move(table), true, 7)), shape,
               Numeric::fixed(3, 0, false), Storage::bytes(0));
      break;
    }
    case TailKind::scale_round: {
      std::vector<int32_t> scales, offsets;
      int shift = 0;
      while ((spread >> shift) > 64) ++shift;
      for (size_t i = 0; i < channels; ++i) {
        scales.push_back(static_cast<int32_t>(uniform(rng, 1, 5)));
        offsets.push_back(static_cast<int32_t>(uniform(rng, -spread, spread)));
      }
      // The promise of integer steps is that they do not overflow; keep far away.
      int r = acc;
      if (shift > 2) r = b.step(TailOp::shift_right, r, b.constant(shift - 2));
      r = b.step(TailOp::multiply, r, b.constant(int_table(std::move(scales), true)));
      for (int32_t& o : offsets) o >>= std::max(0, shift - 2);
      r = b.step(TailOp::add, r, b.constant(int_table(std::move(offsets), true)));
      r = b.step(TailOp::shift_right, r, b.constant(2));
      r = b.clip(r, -100, 90);
      b.output(r, shape, Numeric::integers(-100, 90, 0), Storage::bytes(100));
      break;
    }
    case TailKind::float_chain: {
      std::vector<float> scales, offsets;
      for (size_t i = 0; i < channels; ++i) {
        scales.push_back(static_cast<float>(uniform(rng, 1, 1000)) / 300.0F /
                         static_cast<float>(spread));
        offsets.push_back(static_cast<float>(uniform(rng, -1000, 1000)) / 777.0F);
      }
      int r = b.step(TailOp::to_f32, acc);
      r = b.step(TailOp::multiply, r, b.constant(f32_table(std::move(scales), true)));
      r = b.step(TailOp::add, r, b.constant(f32_table(std::move(offsets), true)));
      const int raw = r;
      r = b.step(TailOp::multiply, r, b.constant(f32_table({100.0F}, false)));
      r = b.step(TailOp::maximum, r, b.constant(f32_table({-300.0F}, false)));
      r = b.step(TailOp::minimum, r, b.constant(f32_table({255.5F}, false)));
      r = b.step(TailOp::to_int, b.step(TailOp::round_even, r));
      b.output(r, shape, Numeric::integers(-300, 256, 0), Storage::words());
      b.output(raw, shape, Numeric::float32(), Storage::f32());
      break;
    }
    case TailKind::residual: {
      tail_.operands.push_back({{shape, Numeric::fixed(5, 0, true), {}}, Storage::bytes(16)});
      tail_.operands.push_back({{shape, Numeric::binary(), {}}, Storage::bits()});
      int shift = 0;
      while ((spread >> shift) > 50) ++shift;
      int r = b.step(TailOp::shift_right, acc, b.constant(shift));
      r = b.step(TailOp::add, r, b.step(TailOp::operand, -1, -1, -1, 0));
      const int sign = b.step(TailOp::operand, -1, -1, -1, 1);
      r = b.step(TailOp::add, r, b.step(TailOp::multiply, sign, b.constant(7)));
      r = b.clip(r, -60, 60);
      const int bit = b.step(TailOp::greater_equal, r, b.constant(0));
      b.output(r, shape, Numeric::integers(-60, 60, 0), Storage::bytes(60));
      b.output(bit, shape, Numeric::bit(), Storage::bits());
      break;
    }
    case TailKind::functions: {
      // Arguments around 0, where the functions bend, and some far out.
      const float scale = 6.0F / static_cast<float>(spread);
      const int x =
          b.step(TailOp::multiply, b.step(TailOp::to_f32, acc),
                 b.constant(f32_table({uniform(rng, 0, 3) == 0 ? 20 * scale : scale}, false)));
      for (int i = 0; i < 2; ++i)
        b.output(b.step(TailOp::function, x, -1, -1,
                        static_cast<int>(uniform(rng, 0, kernels::kFloatFunctions - 1))),
                 shape, Numeric::float32(), Storage::f32());
      break;
    }
    case TailKind::every_operation: {
      tail_.operands.push_back({{shape, Numeric::fixed(12, 0, true), {}}, Storage::words()});
      tail_.operands.push_back({{shape, Numeric::fixed(20, 0, true), {}}, Storage::dwords()});
      std::vector<int32_t> shifts;
      for (size_t i = 0; i < channels; ++i)
        shifts.push_back(static_cast<int32_t>(uniform(rng, 0, 7)));
      const int words = b.step(TailOp::operand, -1, -1, -1, 0);
      const int dwords = b.step(TailOp::operand, -1, -1, -1, 1);
      const int per_channel = b.constant(int_table(std::move(shifts), true));
      int r = b.step(TailOp::subtract, acc, words);
      r = b.step(TailOp::bit_xor, r, b.step(TailOp::shift_left, dwords, per_channel));
      r = b.step(TailOp::bit_and, r, b.constant(0x7FFFF0FF));
      r = b.step(TailOp::minimum, r, b.step(TailOp::multiply, acc, acc));  // wraps
      r = b.step(TailOp::shift_right, r, per_channel);
      r = b.step(TailOp::maximum, r, b.constant(-70000));
      const int x = b.step(TailOp::to_f32, r), y = b.step(TailOp::to_f32, words);
      const int third = b.constant(f32_table({1.0F / 3.0F}, false));
      const int quotient = b.step(TailOp::divide, x, b.step(TailOp::add, y, third));
      int f = b.step(TailOp::fused_multiply_add, quotient, third, y);
      f = b.step(TailOp::subtract, f, third);
      f = b.step(TailOp::minimum, f, b.step(TailOp::multiply, x, third));
      f = b.step(TailOp::maximum, f, b.step(TailOp::round_even, quotient));
      const int larger = b.step(TailOp::greater_equal, f, y);
      f = b.step(TailOp::select, larger, f, x);
      const int rank = b.count_ge(r, int_table({-50000, 0, 3, 1000}, false, 4));
      const int most = b.step(TailOp::greater_equal, r, words);
      const int whole = b.step(TailOp::to_int, b.step(TailOp::multiply, y, third));
      const int chosen = b.step(TailOp::select, most, b.step(TailOp::add, r, rank), whole);
      b.output(chosen, shape, Numeric::fixed(32, 0, true), Storage::dwords());
      b.output(f, shape, Numeric::float32(), Storage::f32());
      break;
    }
    case TailKind::bits:
    case TailKind::packed: {
      if (spec_.tail == TailKind::packed && spec_.pooling == kernels::Pooling::maximum &&
          kernels::fits(query_.input, Storage::bits())) {
        b.output(acc, shape, spec_.input, Storage::bits());
        break;
      }
      std::vector<int32_t> thresholds, flips;
      for (size_t i = 0; i < channels; ++i) {
        thresholds.push_back(sample());
        flips.push_back(static_cast<int32_t>(uniform(rng, 0, 1)));
      }
      int r = -1;
      if (uniform(rng, 0, 1) == 0) {  // as the passes lower it
        r = b.count_ge(oriented(), int_table(std::move(thresholds), true, 1));
        r = b.step(TailOp::add, b.step(TailOp::multiply, r, b.constant(2)), b.constant(-1));
      } else {
        r = b.step(TailOp::greater_equal, acc, b.constant(int_table(std::move(thresholds), true)));
        r = b.step(TailOp::bit_xor, r, b.constant(int_table(std::move(flips), true)));
        r = b.step(TailOp::select, r, b.constant(1), b.constant(-1));
      }
      b.output(r, shape, Numeric::binary(), Storage::bits());
      if (spec_.tail == TailKind::bits) b.output(r, shape, Numeric::binary(), Storage::words());
      break;
    }
  }
  for (const kernels::TailOperand& operand : tail_.operands) {
    std::vector<int64_t> codes;
    for (int64_t i = 0; i < spec_.count * w.out_h * w.out_w * w.n; ++i)
      codes.push_back(random_code(operand.type.numeric, rng));
    operands_.push_back(std::move(codes));
  }
}

void Problem::make_parts(std::mt19937_64& rng) {
  for (TailOutput& output : tail_.outputs) {
    if (uniform(rng, 0, 4) == 0) continue;
    const bool bits = output.storage.kind == Storage::Kind::bits;
    const int64_t element = bits ? 1 : kernels::element_bytes(output.storage);
    const int64_t used = bits ? (spec_.window.n + 7) / 8 : spec_.window.n * element;
    output.offset = uniform(rng, 0, 20) * element;
    output.pitch = output.offset + used + uniform(rng, 0, 20) * element;
  }
}

}  // namespace qloom::testing
