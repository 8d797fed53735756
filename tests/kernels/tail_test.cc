// Tails on scalars: run_tail and check_tail. Their emission is compared with run_tail by every
// kernel test.
#include "kernels/tail/tail.h"

#include <gtest/gtest.h>

#include <climits>
#include <string>

#include "graph/support/error.h"
#include "kernels/tail/tail_emit.h"

namespace qloom::kernels {
namespace {

TailTable table(std::vector<int32_t> v, bool per_channel, int rows = 1) {
  TailTable t;
  t.per_channel = per_channel;
  t.rows = rows;
  t.i32 = std::move(v);
  return t;
}

Tail with_output(Tail tail, int step, Storage storage) {
  TailOutput output;
  output.step = step;
  output.storage = storage;
  tail.outputs.push_back(output);
  return tail;
}

int32_t run(const Tail& tail, int32_t accumulator, int64_t channel = 0) {
  return run_tail(tail, accumulator, channel, {}).back().i;
}

TEST(Tail, CountsThresholdsPerChannel) {
  Tail tail;
  tail.tables.push_back(table({-5, 10, 0, 20, 5, INT_MAX}, true, 3));  // rows × 2 channels
  tail.steps = {{TailOp::accumulator}, {TailOp::count_ge, 0, -1, -1, 0}};
  check_tail(with_output(tail, 1, Storage::bytes(0)), 2);
  EXPECT_EQ(run(tail, -6, 0), 0);
  EXPECT_EQ(run(tail, -5, 0), 1);
  EXPECT_EQ(run(tail, 4, 0), 2);
  EXPECT_EQ(run(tail, 5, 0), 3);
  EXPECT_EQ(run(tail, 10, 1), 1);
  EXPECT_EQ(run(tail, INT_MAX - 1, 1), 2);
}

TEST(Tail, RoundsHalvesToEven) {
  Tail tail;
  TailTable half;
  half.is_f32 = true;
  half.f32 = {0.5F};
  tail.tables.push_back(half);
  tail.steps = {{TailOp::accumulator},
                {TailOp::to_f32, 0},
                {TailOp::constant, -1, -1, -1, 0},
                {TailOp::multiply, 1, 2},
                {TailOp::to_int, 3}};
  for (const auto& [from, to] :
       {std::pair{1, 0}, {3, 2}, {5, 2}, {7, 4}, {-1, 0}, {-3, -2}, {-5, -2}})
    EXPECT_EQ(run(tail, from), to) << from;
}

TEST(Tail, IntegersWrapAndShiftArithmetically) {
  Tail tail;
  tail.tables.push_back(table({2}, false));
  tail.steps = {
      {TailOp::accumulator}, {TailOp::constant, -1, -1, -1, 0}, {TailOp::shift_right, 0, 1}};
  EXPECT_EQ(run(tail, -5), -2);
  tail.steps[2].op = TailOp::shift_left;
  EXPECT_EQ(run(tail, 0x40000001), 4);
  tail.steps[2].op = TailOp::multiply;
  EXPECT_EQ(run(tail, INT_MAX), -2);
  tail.steps[2].op = TailOp::subtract;
  EXPECT_EQ(run(tail, INT_MIN), INT_MAX - 1);
}

void expect_refused(const Tail& tail, int64_t channels, const std::string& part, bool f32 = false) {
  try {
    check_tail(tail, channels, f32);
    FAIL() << "accepted; expected: " << part;
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Tail, ChecksReferencesTypesAndTables) {
  Tail tail;
  tail.steps = {{TailOp::accumulator}, {TailOp::add, 0, 2}, {TailOp::accumulator}};
  expect_refused(with_output(tail, 1, Storage::dwords()), 4, "refers to step 2");
  tail.steps = {{TailOp::accumulator}, {TailOp::to_f32, 0}, {TailOp::add, 0, 1}};
  expect_refused(with_output(tail, 2, Storage::dwords()), 4, "must be int");
  tail.steps = {{TailOp::accumulator}, {TailOp::divide, 0, 0}};
  expect_refused(with_output(tail, 1, Storage::dwords()), 4, "must be f32");
  tail.steps = {{TailOp::accumulator}};
  expect_refused(tail, 4, "no outputs");
  expect_refused(with_output(tail, 1, Storage::dwords()), 4, "output 0 is step 1");
  expect_refused(with_output(tail, 0, Storage::f32()), 4, "its step is int");
  expect_refused(with_output(tail, 0, Storage::dwords()), 4, "its step is f32", true);
  tail.steps = {{TailOp::operand, -1, -1, -1, 0}};
  expect_refused(with_output(tail, 0, Storage::dwords()), 4, "no operand 0");
  tail.steps = {{TailOp::constant, -1, -1, -1, 0}};
  expect_refused(with_output(tail, 0, Storage::dwords()), 4, "no table 0");
  tail.tables.push_back(table({1, 2, 3}, true));
  expect_refused(with_output(tail, 0, Storage::dwords()), 4, "has 3 entries instead of 4");
  tail.tables[0] = table({1, 2, 3, 4}, true);
  check_tail(with_output(tail, 0, Storage::dwords()), 4);
}

TEST(Tail, TablesArePaddedToWholeVectors) {
  Tail tail;
  tail.tables.push_back(table({7, 8, 9}, true));
  tail.tables.push_back(table({5}, false));
  tail.tables.push_back(table({1, 2, 3, 4, 5, 6}, true, 2));
  const TailLayout layout = lay_out_tail(tail, 3, 8);
  EXPECT_EQ(layout.offsets, (std::vector<int64_t>{0, -1, layout.pitch * 4}));
  EXPECT_GE(layout.pitch, 3 + 8);
  std::vector<uint8_t> constants(3);
  append_tail(constants, tail, 3, 8);
  EXPECT_EQ(static_cast<int64_t>(constants.size()), 64 + layout.bytes);
  EXPECT_EQ(constants[64], 7);
  EXPECT_EQ(constants[64 + 4 * 3], 0);
  EXPECT_EQ(constants[static_cast<size_t>(64 + layout.offsets[2] + layout.pitch * 4)], 4);
}

}  // namespace
}  // namespace qloom::kernels
