// Powers of two that move into constants: the same bits, fewer products.
#include "passes/tail/fold_scales.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>

#include "passes/tail/tail_builder.h"

namespace qloom::testing {
namespace {

using kernels::Storage;
using kernels::Tail;
using kernels::TailOp;
using kernels::TailScalar;
using passes::TailBuilder;

constexpr int64_t kChannels = 5;

int64_t products(const Tail& tail) {
  return std::ranges::count_if(tail.steps, [](const auto& s) { return s.op == TailOp::multiply; });
}

/// Batch normalization of a sum with a step, a residual, a clipped code; also stored as f32.
Tail residual(Storage operand, bool also_f32, std::mt19937& rng) {
  std::uniform_real_distribution<float> factor(0.01F, 3.0F), offset(-2.0F, 2.0F);
  std::vector<float> factors, offsets;
  for (int64_t n = 0; n < kChannels; ++n) {
    factors.push_back((n % 2 == 0 ? 1.0F : -1.0F) * factor(rng));
    offsets.push_back(offset(rng));
  }
  TailBuilder b(kChannels);
  const bool f32 = operand.kind == Storage::Kind::f32;
  b.tail().operands.push_back({.type = {{}, Numeric::fixed(4, 3, false), {}}, .storage = operand});
  int x = b.step(TailOp::multiply, b.step(TailOp::to_f32, b.accumulator()), b.real(0x1p-7F));
  x = b.step(TailOp::add, b.step(TailOp::multiply, x, b.constant(factors)), b.constant(offsets));
  int y = b.operand(0);
  if (!f32) y = b.step(TailOp::multiply, b.step(TailOp::to_f32, y), b.real(0x1p-3F));
  x = b.step(TailOp::add, x, y);
  int code = b.step(TailOp::multiply, x, b.real(8.0F));
  code = b.step(TailOp::maximum, code, b.real(0.0F));
  code = b.step(TailOp::minimum, code, b.real(15.0F));
  code = b.step(TailOp::to_int, code);
  b.tail().outputs.push_back({.step = code, .type = {}, .storage = Storage::bytes(0)});
  if (also_f32) b.tail().outputs.push_back({.step = x, .type = {}, .storage = Storage::f32()});
  b.prune();
  return std::move(b.tail());
}

void expect_same(const Tail& before, const Tail& after, std::mt19937& rng) {
  ASSERT_EQ(before.outputs.size(), after.outputs.size());
  std::uniform_int_distribution<int32_t> accumulator(-3000, 3000), code(0, 15);
  for (int i = 0; i < 2000; ++i) {
    const int64_t channel = i % kChannels;
    const bool f32 = before.operands[0].storage.kind == Storage::Kind::f32;
    const int32_t c = code(rng);
    const TailScalar operand =
        f32 ? TailScalar::real(static_cast<float>(c) * 0.37F) : TailScalar::integer(c);
    const int32_t sum = accumulator(rng);
    const auto x = run_tail(before, sum, channel, std::span(&operand, 1));
    const auto y = run_tail(after, sum, channel, std::span(&operand, 1));
    for (size_t k = 0; k < before.outputs.size(); ++k) {
      const TailScalar a = x[static_cast<size_t>(before.outputs[k].step)];
      const TailScalar b = y[static_cast<size_t>(after.outputs[k].step)];
      ASSERT_EQ(a.is_f32, b.is_f32);
      ASSERT_EQ(a.i, b.i) << sum << " " << c;
      ASSERT_EQ(std::bit_cast<uint32_t>(a.f), std::bit_cast<uint32_t>(b.f)) << sum << " " << c;
    }
  }
}

TEST(FoldScales, SameBitsFewerProducts) {
  std::mt19937 rng(7);
  struct Case {
    Storage operand;
    bool also_f32;
    int64_t before, after;
  };
  for (const Case& c : {Case{Storage::bytes(0), false, 4, 1}, Case{Storage::bytes(0), true, 4, 2},
                        Case{Storage::f32(), false, 3, 2}, Case{Storage::f32(), true, 3, 2}})
    for (int round = 0; round < 5; ++round) {
      const Tail tail = residual(c.operand, c.also_f32, rng);
      const Tail folded = passes::fold_scales(tail, kChannels);
      check_tail(folded, kChannels);
      EXPECT_EQ(products(tail), c.before);
      EXPECT_EQ(products(folded), c.after);
      expect_same(tail, folded, rng);
    }
}

/// A factor that could push a sum out of the normal floats stays where it is.
TEST(FoldScales, LeavesWhatIsFarAway) {
  TailBuilder b(1);
  b.tail().operands.push_back({.type = {}, .storage = Storage::bytes(0)});
  int x = b.step(TailOp::multiply, b.step(TailOp::to_f32, b.accumulator()), b.real(0x1p-60F));
  x = b.step(TailOp::add, x, b.step(TailOp::to_f32, b.operand(0)));
  b.tail().outputs.push_back(
      {.step = b.step(TailOp::to_int, x), .type = {}, .storage = Storage::dwords()});
  EXPECT_EQ(products(passes::fold_scales(b.tail(), 1)), 1);
}

}  // namespace
}  // namespace qloom::testing
