// Counted operations against counts by hand.
#include "jit/count_emit.h"

#include <gtest/gtest.h>

#include <functional>

namespace qloom::jit {
namespace {

/// The reference machine of the port table, whatever this one is.
Target avx2() {
  Target t;
  t.triple = "x86_64-unknown-linux-gnu";
  t.lowering = Lowering::avx2;
  t.vector_bytes = 32;
  return t;
}

Counts count(const std::function<void(Emitter&)>& emit, int64_t samples = 1) {
  return count_operations({"kernel", emit}, avx2(), samples);
}

constexpr Element b = Element::i8, h = Element::i16, w = Element::i32;

TEST(Count, StraightCode) {
  const Counts c = count([](Emitter& e) {
    const Value x = e.load(e.buffer(0), b, 32);
    const Value s = e.multiply_add_pairs_u8s8(x, e.load(e.buffer(1), b, 32), Pairs::proven);
    e.store(e.buffer(2), e.table_lookup(e.bitcast(e.add(s, s), b), x));
  });
  EXPECT_EQ(c.loads, 2);
  EXPECT_EQ(c.load_bytes, 64);
  EXPECT_EQ(c.multiply, 1);
  EXPECT_EQ(c.vector_alu, 1);
  EXPECT_EQ(c.shuffle, 1);
  EXPECT_EQ(c.stores, 1);
  EXPECT_EQ(c.store_bytes, 32);
  EXPECT_EQ(c.scalar, 3);  // addresses of three buffers
}

TEST(Count, WideValuesAreSeveralRegisters) {
  const Counts c = count([](Emitter& e) {
    const Value x = e.load(e.buffer(0), b, 128);
    e.store(e.buffer(0), e.add(x, x));
  });
  EXPECT_EQ(c.loads, 4);
  EXPECT_EQ(c.vector_alu, 4);
  EXPECT_EQ(c.stores, 4);
  EXPECT_EQ(c.load_bytes, 128);
}

TEST(Count, NestedLoopsMultiplyOut) {
  const Counts c = count(
      [](Emitter& e) {
        const Value p = e.buffer(0), zero = e.integer(0);
        const Variable sum = e.variable(e.zeros(h, 16));
        e.loop("sample", zero, e.count(), 1, 1, [&](Value) {
          e.loop("i", zero, e.multiply(e.integer(5), 4), 4, 99, [&](Value i) {  // five rounds
            const Value at = e.offset(p, i);
            e.set(sum, e.add(e.get(sum), e.load(at, h, 16)));
          });
        });
        e.store(p, e.get(sum));
      },
      7);
  EXPECT_EQ(c.loads, 35);
  EXPECT_EQ(c.vector_alu, 35);
  EXPECT_EQ(c.stores, 1);
  // The buffer, two for each round of both loops, one address for each round of the inner.
  EXPECT_EQ(c.scalar, 1 + 2 * 7 + 2 * 35 + 35);
}

TEST(Count, UnknownTripCountsAreAssumed) {
  const Counts c = count([](Emitter& e) {
    const Value n = e.load(e.buffer(0), Element::i64);
    e.loop("i", e.integer(0), n, 1, 12.5, [&](Value) { e.store(e.buffer(1), e.zeros(w, 8)); });
  });
  EXPECT_EQ(c.stores, 12.5);
}

TEST(Count, WhatDoesNotChangeCountsOnce) {
  const Counts c = count([](Emitter& e) {
    const Value p = e.buffer(0), x = e.load(p, w, 8);
    e.loop("i", e.integer(0), e.integer(100), 1, 1, [&](Value i) {
      const Value square = e.multiply(x, x);                        // once
      const Value y = e.add(square, e.load(e.offset(p, i), w, 8));  // in each round
      e.store(p, y);
    });
  });
  EXPECT_EQ(c.multiply, 1);
  EXPECT_EQ(c.vector_alu, 100);
}

TEST(Count, ConstantsAreFree) {
  const Counts c = count([](Emitter& e) {
    const Value three = e.splat(e.integer(3, b), 32);
    e.store(e.buffer(0), e.add(three, e.zeros(b, 32)));
  });
  EXPECT_EQ(c.vector_alu + c.shuffle + c.multiply, 0);
  EXPECT_EQ(c.stores, 1);
}

TEST(Count, WideningFoldsIntoLoads) {
  const Counts from_memory = count(
      [](Emitter& e) { e.store(e.buffer(1), e.widen_signed(e.load(e.buffer(0), b, 32), h)); });
  EXPECT_EQ(from_memory.loads, 2);  // vpmovsxbw from memory, twice
  EXPECT_EQ(from_memory.shuffle, 0);
  Target wide = avx2();
  wide.lowering = Lowering::avx512;
  wide.vector_bytes = 64;
  const FunctionSource once{"kernel", [](Emitter& e) {
                              const Value x = e.load(e.buffer(0), b, 64);
                              e.store(e.buffer(1), e.widen_signed(x, h));
                            }};
  EXPECT_EQ(count_operations(once, wide, 1).shuffle, 2);  // 64 bytes pass a shuffle
  const Counts from_register = count([](Emitter& e) {
    const Value x = e.load(e.buffer(0), b, 32);
    e.store(e.buffer(1), e.widen_signed(e.add(x, x), h));
  });
  EXPECT_GT(from_register.shuffle, 2);
}

TEST(Count, FalseConditionsCostNothing) {
  const auto body = [](int64_t limit) {
    return [limit](Emitter& e) {
      e.if_less(e.count(), e.integer(limit), [&] { e.store(e.buffer(0), e.zeros(b, 32)); });
    };
  };
  EXPECT_EQ(count(body(10), 3).stores, 1);
  EXPECT_EQ(count(body(3), 3).stores, 0);
}

TEST(Count, StoreFirstCountsPieces) {
  const Counts c =
      count([](Emitter& e) { e.store_first(e.buffer(0), e.load(e.buffer(1), b, 32), 13); });
  EXPECT_EQ(c.stores, 3);  // 8 + 4 + 1
  EXPECT_EQ(c.store_bytes, 13);
}

TEST(Count, PortableLookupsCostMore) {
  const FunctionSource f{"lookup", [](Emitter& e) {
                           const Value x = e.load(e.buffer(0), b, e.bytes());
                           e.store(e.buffer(1), e.table_lookup(x, x));
                         }};
  Target portable = avx2();
  portable.lowering = Lowering::portable;
  portable.vector_bytes = 16;
  const double fast = predicted_ns(count_operations(f, avx2(), 1), avx2(), 1000);
  const double slow = predicted_ns(count_operations(f, portable, 1), portable, 1000);
  EXPECT_GT(slow, 10 * fast);
}

/// NEON multiplies bytes of equal signedness only: what is made of an operand serves all its uses.
TEST(Count, ProductsOfUnlikeSignsShareWhatTheyPrepare) {
  const auto dots = [](int rows) {
    return FunctionSource{"dots", [rows](Emitter& e) {
                            const Value weights = e.load(e.buffer(0), b, 16);
                            for (int r = 0; r < rows; ++r) {
                              const Value x = e.load(e.offset(e.buffer(1), 16 * r), b, 16);
                              const Value sum =
                                  e.add_dot_u8s8(e.load(e.buffer(2), Element::i32, 4), x, weights);
                              e.store(e.offset(e.buffer(3), 16 * r), sum);
                            }
                          }};
  };
  const Target neon = Target::named("neoverse-n1");
  const double one = count_operations(dots(1), neon, 1).vector_alu;
  EXPECT_EQ(one, 4);                                                      // 2, and 1 an operand
  EXPECT_EQ(count_operations(dots(4), neon, 1).vector_alu, 4 * one - 3);  // the weights once
  EXPECT_EQ(count_operations(dots(4), Target::named("icelake"), 1).vector_alu, 0);
}

TEST(Predict, BusiestPortDecides) {
  const Target t = avx2();
  const double ns = 1 / t.rates.clock_ghz;
  Counts c;
  c.shuffle = 200;
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, 0), 100 * ns);
  c.vector_alu = 470;  // (200 + 470) / 3.35
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, 0), 200 * ns);
  c.stores = 300;
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, 0), 300 * ns);
  c.store_bytes = 400 * t.rates.store_width;
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, 0), 400 * ns);
}

TEST(Predict, BytesComeFromTheLevelThatHoldsThem) {
  const Target t = avx2();
  Counts c;
  c.loads = 1;
  c.load_bytes = 58 * 28 * 16 * 6;
  const double ns = 1 / t.rates.clock_ghz;
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, t.l1_bytes / 2), 28 * 16 * 6 * ns);
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, t.l1_bytes * 2), 58 * 16 * 6 * ns);
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, t.l2_bytes * 2), 58 * 28 * 6 * ns);
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, t.l3_bytes * 2), 58 * 28 * 16 * ns);
  // Half of what is as large as a cache is found in the next one.
  EXPECT_DOUBLE_EQ(predicted_ns(c, t, t.l2_bytes), (58 * 16 * 6 + 58 * 28 * 6) / 2.0 * ns);
}

TEST(Predict, CountsAddAndScale) {
  Counts a;
  a.loads = 2;
  a.scalar = 1;
  Counts c = a.scaled(3);
  c += a;
  EXPECT_EQ(c.loads, 8);
  EXPECT_EQ(c.scalar, 4);
}

}  // namespace
}  // namespace qloom::jit
