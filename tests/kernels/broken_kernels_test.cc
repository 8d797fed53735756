// Tests of the tests: kernels broken on purpose are caught by the comparison that the sweep uses.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/kernels_table.h"
#include "tests/kernels/problem.h"

namespace qloom::testing {
namespace {

using kernels::KernelDef;
using kernels::Query;
using kernels::Tail;
using kernels::TailTable;
using kernels::Variant;

/// A query with one thing changed, and what it points to.
struct Changed {
  explicit Changed(const Query& q) : query(q), weights(*q.weight_codes), tail(*q.tail) {
    query.weight_codes = &weights;
    query.tail = &tail;
  }
  Query query;
  Tensor weights;
  Tail tail;
};

/// The taps of a kernel row in reverse order.
std::vector<uint8_t> pack_reversed_taps(const Query& q, const Variant& v,
                                        const jit::Target& target) {
  Changed changed(q);
  const auto from = q.weight_codes->i64();
  std::vector<int64_t> to(from.size());
  const auto row = static_cast<size_t>(q.window.c / q.window.groups * q.window.n);
  const auto taps = static_cast<size_t>(q.window.kernel_w);
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t tap = i / row;
    to[(tap / taps * taps + taps - 1 - tap % taps) * row + i % row] = from[i];
  }
  changed.weights = Tensor(q.weight_codes->extents(), std::move(to));
  return kernels::conv_pairs.pack(changed.query, v, target);
}

/// Believes that the input has one bit, and so adds up too long in 16 bits.
std::vector<Variant> late_flush_variants(const Query& q, const jit::Target& target) {
  Changed changed(q);
  changed.query.input.numeric = Numeric::fixed(1, 0, false);
  return kernels::conv_pairs.variants(changed.query, target);
}

/// Tables that begin one channel late.
std::vector<uint8_t> pack_shifted_tables(const Query& q, const Variant& v,
                                         const jit::Target& target) {
  Changed changed(q);
  for (TailTable& table : changed.tail.tables)
    if (table.per_channel) {
      std::rotate(table.i32.begin(), table.i32.begin() + (table.i32.empty() ? 0 : 1),
                  table.i32.end());
      std::rotate(table.f32.begin(), table.f32.begin() + (table.f32.empty() ? 0 : 1),
                  table.f32.end());
    }
  return kernels::conv_pairs.pack(changed.query, v, target);
}

/// Forgets that padding contributes nothing.
std::vector<uint8_t> pack_padding_as_minus_one(const Query& q, const Variant& v,
                                               const jit::Target& target) {
  auto constants = kernels::conv_xnor.pack(q, v, target);
  Changed changed(q);
  changed.query.window.pad_top = changed.query.window.pad_left = 0;
  changed.query.window.h += 2;
  changed.query.window.w += 2;
  const auto unpadded = kernels::conv_xnor.pack(changed.query, v, target);
  // Weights, then one row of initial sums: that of taps that all lie inside, in every row of the
  // original.
  const int64_t weights =
      q.window.kernel_h * q.window.kernel_w * ((q.window.c + 63) / 64) * 8 * q.window.n;
  const int64_t row = q.window.n * 4;
  for (int64_t i = 0; i < 9; ++i)
    std::copy_n(unpadded.begin() + weights, row, constants.begin() + weights + i * row);
  return constants;
}

/// Writes where outputs would begin that are no parts of longer runs, which lie apart.
void emit_without_offsets(const Query& q, const Variant& v, jit::Emitter& e) {
  Changed changed(q);
  for (kernels::TailOutput& output : changed.tail.outputs) output.offset = 0;
  kernels::conv_pairs.emit(changed.query, v, e);
}

/// Takes neighbouring positions' channels for neighbours in memory.
void emit_without_pitches(const Query& q, const Variant& v, jit::Emitter& e) {
  Changed changed(q);
  for (kernels::TailOutput& output : changed.tail.outputs) output.pitch = 0;
  kernels::conv_pairs.emit(changed.query, v, e);
}

/// `without_dots`: what is broken is not part of targets with dot products.
void expect_caught(const KernelDef& good, const KernelDef& broken, const ProblemSpec& spec,
                   bool without_dots = false) {
  Problem problem(spec);
  ASSERT_TRUE(good.match(problem.query())) << good.match(problem.query()).reason();
  const jit::Target target = target_of(Lowering::interpreted);
  const Variant good_variant = good.variants(problem.query_for(good), target).front();
  const Variant broken_variant = broken.variants(problem.query_for(broken), target).front();
  for (const Lowering lowering : lowerings()) {
    if (without_dots && lowering == Lowering::avx512) continue;
    EXPECT_TRUE(run_jobs({{&good, &problem, good_variant}}, lowering).empty())
        << to_string(lowering);
    EXPECT_EQ(run_jobs({{&broken, &problem, broken_variant}}, lowering).size(), 1U)
        << to_string(lowering);
  }
}

ProblemSpec spec(TailKind tail, Numeric input, Numeric weights) {
  ProblemSpec s;
  s.name = "broken";
  s.window = conv_window(6, 7, 16, 16, 3, 3, 1, 1, 1, Pad::same);
  s.tail = tail;
  s.input = input;
  s.weights = weights;
  return s;
}

TEST(BrokenKernels, WrongOrderOfTaps) {
  KernelDef broken = kernels::conv_pairs;
  broken.pack = pack_reversed_taps;
  expect_caught(kernels::conv_pairs, broken,
                spec(TailKind::plain, Numeric::fixed(4, 0, false), Numeric::fixed(4, 0, true)));
}

TEST(BrokenKernels, SumsFlushedTooLate) {
  KernelDef broken = kernels::conv_pairs;
  broken.variants = late_flush_variants;
  expect_caught(kernels::conv_pairs, broken,
                spec(TailKind::plain, Numeric::fixed(8, 0, false), Numeric::integers(3, 7, 0)),
                true);
}

TEST(BrokenKernels, TablesOffByOneChannel) {
  KernelDef broken = kernels::conv_pairs;
  broken.pack = pack_shifted_tables;
  expect_caught(kernels::conv_pairs, broken,
                spec(TailKind::bits, Numeric::fixed(4, 0, true), Numeric::ternary()));
}

TEST(BrokenKernels, PartsOfLongerRunsMisplaced) {
  for (const TailKind tail : {TailKind::thresholds, TailKind::packed}) {
    ProblemSpec parts = spec(tail, Numeric::fixed(4, 0, true), Numeric::ternary());
    parts.parts = true;
    while (Problem(parts).query().tail->outputs[0].offset == 0) ++parts.seed;
    KernelDef broken = kernels::conv_pairs;
    broken.emit = emit_without_offsets;
    expect_caught(kernels::conv_pairs, broken, parts);
    broken.emit = emit_without_pitches;
    expect_caught(kernels::conv_pairs, broken, parts);
  }
}

TEST(BrokenKernels, PaddingTakenForMinusOne) {
  KernelDef broken = kernels::conv_xnor;
  broken.pack = pack_padding_as_minus_one;
  expect_caught(kernels::conv_xnor, broken,
                spec(TailKind::plain, Numeric::binary(), Numeric::binary()));
}

}  // namespace
}  // namespace qloom::testing
