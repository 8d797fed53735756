// How tails go with the sum: what direction_of says of each op, against run_tail at every sum; the
// places where for_changes finds monotone functions to change, against all of them.
#include "kernels/tail/tail_direction.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/tail/tail.h"
#include "tests/kernels/sweep.h"
#include "tests/support/random_graph.h"

namespace qloom::kernels {

void PrintTo(TailDirection d, std::ostream* out) {
  constexpr const char* kNames[] = {"constant", "rises", "falls", "unknown"};
  *out << kNames[static_cast<int>(d)];
}

namespace {

using testing::Random;

constexpr int32_t kLo = -40, kHi = 40;  // sums that are tried: all of them
constexpr int64_t kChannels = 3;

TailTable integers(std::vector<int32_t> v, int rows = 1) {
  TailTable table;
  table.rows = rows;
  table.per_channel = static_cast<int64_t>(v.size()) == rows * kChannels;
  table.i32 = std::move(v);
  return table;
}

TailTable reals(std::vector<float> v) {
  TailTable table;
  table.is_f32 = true;
  table.per_channel = static_cast<int64_t>(v.size()) == kChannels;
  table.f32 = std::move(v);
  return table;
}

/// A tail that is written step by step. Step 0 is the accumulator.
class Writer {
 public:
  Writer() { step({.op = TailOp::accumulator}); }
  int constant(TailTable table) {
    tail.tables.push_back(std::move(table));
    return step({.op = TailOp::constant, .index = static_cast<int>(tail.tables.size()) - 1});
  }
  int count(int of, TailTable table) {
    tail.tables.push_back(std::move(table));
    return step(
        {.op = TailOp::count_ge, .a = of, .index = static_cast<int>(tail.tables.size()) - 1});
  }
  int op(TailOp op, int a, int b = -1, int c = -1) {
    return step({.op = op, .a = a, .b = b, .c = c});
  }
  int step(const TailStep& s) {
    tail.steps.push_back(s);
    return static_cast<int>(tail.steps.size()) - 1;
  }

  Tail tail;
};

/// The values of each step at all sums: [step][sum].
std::vector<std::vector<double>> values_of(const Tail& tail, int64_t channel) {
  std::vector<std::vector<double>> values(tail.steps.size());
  for (int32_t sum = kLo; sum <= kHi; ++sum) {
    const std::vector<TailScalar> at = run_tail(tail, sum, channel, {});
    for (size_t s = 0; s < values.size(); ++s)
      values[s].push_back(at[s].is_f32 ? static_cast<double>(at[s].f) : at[s].i);
  }
  return values;
}

/// What is seen of a step by trying: constant where all values are equal.
TailDirection seen(const std::vector<double>& values) {
  bool up = false, down = false;
  for (size_t i = 1; i < values.size(); ++i) {
    up = up || values[i] > values[i - 1];
    down = down || values[i] < values[i - 1];
  }
  return up && down ? TailDirection::unknown
         : up       ? TailDirection::rises
         : down     ? TailDirection::falls
                    : TailDirection::constant;
}

/// What may be said of values that are seen to go so: a promise that they keep.
bool holds(TailDirection said, TailDirection found) {
  return said == TailDirection::unknown || said == found || found == TailDirection::constant;
}

TEST(TailDirection, IsThatOfEachOp) {
  using D = TailDirection;
  struct Case {
    const char* what;
    D expected;
    int (*write)(Writer&);
  };
  const Case cases[] = {
      {"the sum", D::rises, [](Writer&) { return 0; }},
      {"a constant", D::constant, [](Writer& w) { return w.constant(integers({1, 2, 3})); }},
      {"sum + c", D::rises,
       [](Writer& w) { return w.op(TailOp::add, 0, w.constant(integers({7}))); }},
      {"sum - c", D::rises,
       [](Writer& w) { return w.op(TailOp::subtract, 0, w.constant(integers({7}))); }},
      {"c - sum", D::falls,
       [](Writer& w) { return w.op(TailOp::subtract, w.constant(integers({7})), 0); }},
      {"sum + sum", D::rises, [](Writer& w) { return w.op(TailOp::add, 0, 0); }},
      {"sum - (c - sum)", D::rises,
       [](Writer& w) {
         return w.op(TailOp::subtract, 0, w.op(TailOp::subtract, w.constant(integers({7})), 0));
       }},
      {"3 sum", D::rises,
       [](Writer& w) { return w.op(TailOp::multiply, 0, w.constant(integers({3}))); }},
      {"-3 sum", D::falls,
       [](Writer& w) { return w.op(TailOp::multiply, w.constant(integers({-3})), 0); }},
      {"min(sum, c)", D::rises,
       [](Writer& w) { return w.op(TailOp::minimum, 0, w.constant(integers({7}))); }},
      {"max(c - sum, c)", D::falls,
       [](Writer& w) {
         const int c = w.constant(integers({7}));
         return w.op(TailOp::maximum, w.op(TailOp::subtract, c, 0), c);
       }},
      {"sum >= c", D::rises,
       [](Writer& w) { return w.op(TailOp::greater_equal, 0, w.constant(integers({7}))); }},
      {"c >= sum", D::falls,
       [](Writer& w) { return w.op(TailOp::greater_equal, w.constant(integers({7})), 0); }},
      {"thresholds", D::rises, [](Writer& w) { return w.count(0, integers({-5, 0, 9}, 3)); }},
      {"thresholds of ~sum", D::falls,
       [](Writer& w) {
         return w.count(w.op(TailOp::bit_xor, 0, w.constant(integers({-1}))),
                        integers({-5, 0, 9}, 3));
       }},
      {"sum << c", D::rises,
       [](Writer& w) { return w.op(TailOp::shift_left, 0, w.constant(integers({3}))); }},
      {"~sum >> c", D::falls,
       [](Writer& w) {
         return w.op(TailOp::shift_right, w.op(TailOp::bit_xor, 0, w.constant(integers({-1}))),
                     w.constant(integers({2})));
       }},
      {"sum ^ 0", D::rises,
       [](Writer& w) { return w.op(TailOp::bit_xor, 0, w.constant(integers({0}))); }},
      {"int(round(0.3 float(sum)))", D::rises,
       [](Writer& w) {
         const int scaled =
             w.op(TailOp::multiply, w.op(TailOp::to_f32, 0), w.constant(reals({0.3F})));
         return w.op(TailOp::to_int, w.op(TailOp::round_even, scaled));
       }},
      {"float(sum) / -2", D::falls,
       [](Writer& w) {
         return w.op(TailOp::divide, w.op(TailOp::to_f32, 0), w.constant(reals({-2})));
       }},
      {"sqrt(max(float(sum), 0))", D::rises,
       [](Writer& w) {
         return w.op(TailOp::square_root,
                     w.op(TailOp::maximum, w.op(TailOp::to_f32, 0), w.constant(reals({0}))));
       }},
      {"fma(float(sum), -0.5, c)", D::falls,
       [](Writer& w) {
         return w.op(TailOp::fused_multiply_add, w.op(TailOp::to_f32, 0),
                     w.constant(reals({-0.5F})), w.constant(reals({2})));
       }},
      // What goes both ways, or is not looked into.
      {"sum · sum", D::unknown, [](Writer& w) { return w.op(TailOp::multiply, 0, 0); }},
      {"sum + thresholds of -sum", D::unknown,
       [](Writer& w) {
         const int turned = w.op(TailOp::multiply, 0, w.constant(integers({-1})));
         return w.op(TailOp::add, 0, w.count(turned, integers({-5, 0, 9}, 3)));
       }},
      {"max(sum, -sum)", D::unknown,
       [](Writer& w) {
         return w.op(TailOp::maximum, 0, w.op(TailOp::multiply, 0, w.constant(integers({-1}))));
       }},
      {"sum ^ 5", D::unknown,
       [](Writer& w) { return w.op(TailOp::bit_xor, 0, w.constant(integers({5}))); }},
      {"sum & 7", D::unknown,
       [](Writer& w) { return w.op(TailOp::bit_and, 0, w.constant(integers({7}))); }},
      {"c / float(sum)", D::unknown,
       [](Writer& w) {
         return w.op(TailOp::divide, w.constant(reals({2})), w.op(TailOp::to_f32, 0));
       }},
      {"float(sum) / 0", D::unknown,
       [](Writer& w) {
         return w.op(TailOp::divide, w.op(TailOp::to_f32, 0), w.constant(reals({0})));
       }},
  };
  for (const Case& c : cases) {
    Writer w;
    const int step = c.write(w);
    for (int64_t channel = 0; channel < kChannels; ++channel) {
      EXPECT_EQ(direction_of(w.tail, step, channel), c.expected) << c.what;
      const auto found = seen(values_of(w.tail, channel)[static_cast<size_t>(step)]);
      EXPECT_TRUE(holds(c.expected, found)) << c.what << " is " << ::testing::PrintToString(found);
    }
  }
}

TEST(TailDirection, IsThatOfTheChannel) {
  Writer w;
  const int product = w.op(TailOp::multiply, 0, w.constant(integers({-2, 0, 5})));
  const int flipped = w.op(TailOp::bit_xor, 0, w.constant(integers({0, -1, 1})));
  EXPECT_EQ(direction_of(w.tail, product, 0), TailDirection::falls);
  EXPECT_NE(direction_of(w.tail, product, 1), TailDirection::unknown);
  EXPECT_EQ(direction_of(w.tail, product, 2), TailDirection::rises);
  EXPECT_EQ(direction_of(w.tail, flipped, 0), TailDirection::rises);
  EXPECT_EQ(direction_of(w.tail, flipped, 1), TailDirection::falls);
  EXPECT_EQ(direction_of(w.tail, flipped, 2), TailDirection::unknown);
}

/// A random tail whose integers do not wrap and whose floats are no NaN: as direction_of presumes.
class RandomTail {
 public:
  explicit RandomTail(uint64_t seed) : random_(seed) {}

  Tail make() {
    reach_ = {-kLo};
    is_real_ = {false};
    for (int i = 0; i < 10; ++i) add();
    return writer_.tail;
  }

 private:
  int64_t reach(int step) const { return reach_[static_cast<size_t>(step)]; }
  int keep(int step, bool is_real, int64_t reach) {
    is_real_.resize(static_cast<size_t>(step) + 1, is_real);
    reach_.resize(static_cast<size_t>(step) + 1, reach);
    return step;
  }
  int constant(bool is_real, int32_t lo, int32_t hi, bool zero = true) {
    const size_t n = random_.chance(50) ? kChannels : 1;
    std::vector<int32_t> values(n);
    for (int32_t& v : values) {
      v = static_cast<int32_t>(random_.integer(lo, hi));
      if (v == 0 && !zero) v = 1;
    }
    if (!is_real) return keep(writer_.constant(integers(values)), false, std::max(-lo, hi));
    std::vector<float> real;
    for (const int32_t v : values) real.push_back(static_cast<float>(v) / 4);
    return keep(writer_.constant(reals(real)), true, std::max(-lo, hi));
  }
  /// A step that is already there.
  int any(bool is_real) {
    std::vector<int> of_kind;
    for (size_t s = 0; s < is_real_.size(); ++s)
      if (is_real_[s] == is_real) of_kind.push_back(static_cast<int>(s));
    if (of_kind.empty()) return keep(writer_.op(TailOp::to_f32, 0), true, reach(0));
    return random_.pick(of_kind);
  }
  int any_or_constant(bool is_real) {
    return random_.chance(60) ? constant(is_real, -9, 9) : any(is_real);
  }

  void add() {
    const bool real = random_.chance(40);
    int a = any(real), b = any_or_constant(real);
    if (random_.chance(50)) std::swap(a, b);
    constexpr int64_t kMost = 1 << 20;
    switch (random_.integer(0, 9)) {
      case 0:
      case 1: {
        constexpr TailOp kSums[] = {TailOp::add, TailOp::subtract};
        if (reach(a) + reach(b) > kMost) return;
        keep(writer_.op(random_.pick(kSums), a, b), real, reach(a) + reach(b));
        return;
      }
      case 2:
      case 3:
        if (reach(a) * reach(b) > kMost) return;
        keep(writer_.op(TailOp::multiply, a, b), real, reach(a) * reach(b));
        return;
      case 4: {
        constexpr TailOp kBounds[] = {TailOp::minimum, TailOp::maximum};
        keep(writer_.op(random_.pick(kBounds), a, b), real, std::max(reach(a), reach(b)));
        return;
      }
      case 5:
        keep(writer_.op(TailOp::greater_equal, a, b), false, 1);
        return;
      case 6:
        if (real && 4 * reach(a) <= kMost) {
          keep(writer_.op(TailOp::divide, a, constant(true, -9, 9, false)), true, 4 * reach(a));
        } else if (!real) {
          constexpr TailOp kBits[] = {TailOp::bit_xor, TailOp::bit_and};
          const int mask = random_.chance(60) ? constant(false, -1, 0) : constant(false, -7, 7);
          const auto wide = static_cast<int64_t>(
              std::bit_ceil(static_cast<uint64_t>(std::max(reach(a), reach(mask)) + 1)));
          keep(writer_.op(random_.pick(kBits), a, mask), false, wide);
        }
        return;
      case 7:
        if (real) {
          keep(writer_.op(TailOp::round_even, a), true, reach(a) + 1);
        } else if (reach(a) * 8 <= kMost) {
          constexpr TailOp kShifts[] = {TailOp::shift_left, TailOp::shift_right};
          keep(writer_.op(random_.pick(kShifts), a, constant(false, 0, 3)), false, reach(a) * 8);
        }
        return;
      case 8:
        if (real)
          keep(writer_.op(TailOp::to_int, a), false, reach(a) + 1);
        else
          keep(writer_.op(TailOp::to_f32, a), true, reach(a));
        return;
      default: {
        const int x = any(false);
        std::vector<int32_t> thresholds(3 * kChannels);
        for (int32_t& t : thresholds) t = static_cast<int32_t>(random_.integer(-30, 30));
        keep(writer_.count(x, integers(thresholds, 3)), false, 3);
      }
    }
  }

  Random random_;
  Writer writer_;
  std::vector<int64_t> reach_;  ///< of each step: the largest magnitude, at most
  std::vector<bool> is_real_;
};

TEST(TailDirection, IsKeptByRandomTails) {
  const uint64_t first = testing::sweep_seed();
  int said[4] = {};
  for (uint64_t seed = first; seed < first + 2000; ++seed) {
    const Tail tail = RandomTail(seed).make();
    for (int64_t channel = 0; channel < kChannels; ++channel) {
      const auto values = values_of(tail, channel);
      for (size_t s = 0; s < tail.steps.size(); ++s) {
        const TailDirection direction = direction_of(tail, static_cast<int>(s), channel);
        ++said[static_cast<int>(direction)];
        ASSERT_TRUE(holds(direction, seen(values[s])))
            << "QLOOM_TEST_SEED=" << seed << ", step " << s << " of channel " << channel << " is "
            << ::testing::PrintToString(seen(values[s])) << ", was said to be "
            << ::testing::PrintToString(direction);
      }
    }
  }
  for (const int count : said) EXPECT_GT(count, 1000);
}

TEST(ForChanges, FindsAllOfMonotoneFunctions) {
  Random random(testing::sweep_seed());
  for (int round = 0; round < 500; ++round) {
    const int64_t lo = random.integer(-50, 50), hi = lo + random.integer(0, 300);
    const int64_t sign = random.chance(50) ? 1 : -1;
    const int64_t step = random.integer(1, 100);
    std::vector<int64_t> values{random.integer(-5, 5)}, expected;
    for (int64_t i = lo + 1; i <= hi; ++i) {
      const bool changes = random.integer(1, 100) <= step;
      values.push_back(values.back() + (changes ? sign * random.integer(1, 3) : 0));
      if (changes) expected.push_back(i);
    }
    int64_t calls = 0;
    std::vector<int64_t> found;
    for_changes(
        lo, hi,
        [&](int64_t i) {
          EXPECT_TRUE(i >= lo && i <= hi) << i;
          ++calls;
          return values[static_cast<size_t>(i - lo)];
        },
        [&](int64_t i) { found.push_back(i); });
    EXPECT_EQ(found, expected);
    const auto depth = static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(hi - lo)));
    EXPECT_LE(calls, 2 + std::ssize(expected) * depth);
  }
}

TEST(ForChanges, AsksLittleOfWideRanges) {
  int64_t calls = 0;
  std::vector<int64_t> found;
  for_changes(
      -1000000, 1000000,
      [&](int64_t i) {
        ++calls;
        return i >= 123456 ? 1 : 0;
      },
      [&](int64_t i) { found.push_back(i); });
  EXPECT_EQ(found, std::vector<int64_t>{123456});
  EXPECT_LE(calls, 2 + 21);
}

}  // namespace
}  // namespace qloom::kernels
