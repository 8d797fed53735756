// Memory words, variables, loops and conditions, on both lowerings.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "graph/support/error.h"
#include "tests/jit/run_kernel.h"

namespace qloom::jit {
namespace {

using testing::build_and_run;

class Control : public ::testing::TestWithParam<size_t> {
 protected:
  [[nodiscard]] static Target target() { return testing::runnable_targets()[GetParam()]; }
};

std::string name_of_target(const ::testing::TestParamInfo<size_t>& info) {
  constexpr const char* kNames[] = {"avx512", "avx2", "neon", "portable"};
  return kNames[static_cast<int>(testing::runnable_targets()[info.param].lowering)];
}

INSTANTIATE_TEST_SUITE_P(Targets, Control,
                         ::testing::Range(size_t{0}, testing::runnable_targets().size()),
                         name_of_target);

TEST_P(Control, StoreFirstWritesSoManyLanes) {
  constexpr std::pair<Element, int> kShapes[] = {{Element::i8, 16},  {Element::i8, 64},
                                                 {Element::i16, 16}, {Element::i32, 16},
                                                 {Element::i64, 8},  {Element::f32, 8}};
  std::vector<FunctionSource> functions;
  for (auto [e, lanes] : kShapes) {
    for (int n = 1; n <= lanes; ++n) {
      functions.push_back({"store_" + std::to_string(functions.size()), [=](Emitter& m) {
                             m.store_first(m.buffer(1), m.load(m.buffer(0), e, lanes), n);
                           }});
    }
  }
  const auto code = testing::build(functions, target());
  size_t next = 0;
  for (auto [e, lanes] : kShapes) {
    for (int n = 1; n <= lanes; ++n) {
      std::vector<uint8_t> in(64), out(64, 0xcc), expected(64, 0xcc);
      std::iota(in.begin(), in.end(), 1);
      std::copy_n(in.begin(), n * bytes_of(e), expected.begin());
      void* buffers[] = {in.data(), out.data()};
      reinterpret_cast<KernelFunction>(code->symbol(functions[next++].name))(buffers, 0, 0, 1);
      EXPECT_EQ(out, expected) << n << " of " << lanes;
    }
  }
}

TEST_P(Control, LoadsRepeatWhatTheyShould) {
  std::vector<uint8_t> in(64), splat(32), table(64, 0xcc);
  std::iota(in.begin(), in.end(), 3);
  const int bytes = target().vector_bytes;
  build_and_run(
      [](Emitter& e) {
        e.store(e.buffer(1), e.load_splat(e.offset(e.buffer(0), 5), Element::i32, 8));
        e.store(e.buffer(2), e.load_table(e.offset(e.buffer(0), 7)));
      },
      target(), {in.data(), splat.data(), table.data()}, 0);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(splat[i], in[5 + i % 4]) << i;
  for (int i = 0; i < 64; ++i) EXPECT_EQ(table[i], i < bytes ? in[7 + i % 16] : 0xcc) << i;
}

TEST_P(Control, PointersComeFromMemoryToo) {
  std::vector<int32_t> x = {1, 2, 3, 4}, y(4);
  void* table[] = {nullptr, x.data()};
  build_and_run(
      [](Emitter& e) {
        const Value p = e.load(e.offset(e.buffer(0), 8), Element::pointer);
        e.store(e.buffer(1), e.load(p, Element::i32, 4));
      },
      target(), {table, y.data()}, 0);
  EXPECT_EQ(x, y);
}

/// y[i] = Σ over j ≤ i and k in [0, 3) of x[j]·k, plus 1000 where i < 5.
TEST_P(Control, NestedLoopsVariablesAndConditions) {
  constexpr int kCount = 13;
  std::vector<int64_t> x(kCount), y(kCount, -1), expected(kCount);
  for (int i = 0; i < kCount; ++i) x[i] = 7 * i - 20;
  for (int i = 0; i < kCount; ++i) {
    for (int j = 0; j <= i; ++j) expected[i] += 3 * x[j];
    if (i < 5) expected[i] += 1000;
  }
  build_and_run(
      [](Emitter& e) {
        const Value zero = e.integer(0), from = e.buffer(0), to = e.buffer(1);
        e.loop("i", zero, e.count(), 1, 10, [&](Value i) {
          const Variable sum = e.variable(zero);
          e.loop("j", zero, e.add(i, 1), 1, 5, [&](Value j) {
            const Value v = e.load(e.offset(from, e.multiply(j, 8)), Element::i64);
            e.loop("k", zero, e.integer(3), 1, 3,
                   [&](Value k) { e.set(sum, e.add(e.get(sum), e.multiply(v, k))); });
          });
          e.if_less(i, e.integer(5), [&] { e.set(sum, e.add(e.get(sum), 1000)); });
          e.store(e.offset(to, e.multiply(i, 8)), e.get(sum));
        });
      },
      target(), {x.data(), y.data()}, kCount);
  EXPECT_EQ(y, expected);
}

TEST_P(Control, LoopsRunAsOftenAsTheyShould) {
  for (int64_t begin : {0, 3, 8}) {
    for (int64_t end : {-2, 0, 3, 4, 9, 10}) {
      for (int64_t step : {1, 2, 5}) {
        std::vector<int64_t> seen(16, -7);
        std::vector<int64_t> expected(16, -7);
        int64_t n = 0;
        for (int64_t i = begin; i < end; i += step) expected[n++] = i;
        build_and_run(
            [=](Emitter& e) {
              const Variable at = e.variable(e.buffer(0));
              // The end is known only when the code runs.
              e.loop("i", e.integer(begin), e.count(), step, 4, [&](Value i) {
                e.store(e.get(at), i);
                e.set(at, e.offset(e.get(at), 8));
              });
            },
            target(), {seen.data()}, end);
        EXPECT_EQ(seen, expected) << begin << " " << end << " " << step;
      }
    }
  }
}

TEST_P(Control, WideVectorsSurviveLoops) {
  std::vector<uint8_t> x(128 * 5), y(128), expected(128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint8_t>(i * i);
  for (size_t i = 0; i < x.size(); ++i) expected[i % 128] += x[i];
  build_and_run(
      [](Emitter& e) {
        const Variable sum = e.variable(e.zeros(Element::i8, 128));
        e.loop("i", e.integer(0), e.count(), 1, 5, [&](Value i) {
          const Value v = e.load(e.offset(e.buffer(0), e.multiply(i, 128)), Element::i8, 128);
          e.set(sum, e.add(e.get(sum), v));
        });
        e.store(e.buffer(1), e.get(sum));
      },
      target(), {x.data(), y.data()}, 5);
  EXPECT_EQ(y, expected);
}

// --- misuse
// ---------------------------------------------------------------------------------------

struct Misuse {
  const char* name;
  std::function<void(Emitter&)> emit;
  const char* message;
};
const std::vector<Misuse>& misuses() {
  static const std::vector<Misuse> kMisuses = {
      {"Lanes", [](Emitter& e) { e.add(e.zeros(Element::i8, 16), e.zeros(Element::i8, 32)); },
       "kernel 'wrong': add(i8x16, i8x32): operands must have the same element and lanes"},
      {"Elements", [](Emitter& e) { e.add(e.zeros(Element::i8, 16), e.zeros(Element::i16, 16)); },
       "add(i8x16, i16x16): operands must have the same element and lanes"},
      {"DivideIntegers", [](Emitter& e) { e.binary(Binary::divide, e.count(), e.count()); },
       "divide(i64x1, i64x1): needs f32"},
      {"AndReals", [](Emitter& e) { e.binary(Binary::bit_and, e.real(1), e.real(2)); },
       "bit_and(f32x1, f32x1): needs integers"},
      {"ShiftTooFar",
       [](Emitter& e) { e.binary(Binary::shift_left, e.zeros(Element::i16, 8), e.integer(16)); },
       "shift_left(i16x8, i64x1): the shift amount must be less than the element's width"},
      {"ShiftByUnknown",
       [](Emitter& e) { e.binary(Binary::shift_left, e.zeros(Element::i16, 8), e.count()); },
       "a scalar shift amount must be a constant"},
      {"LanesNotPowerOfTwo", [](Emitter& e) { e.load(e.buffer(0), Element::i8, 12); },
       "12 lanes of i8: expected a power of two"},
      {"LoadFromInteger", [](Emitter& e) { e.load(e.count(), Element::i8, 16); },
       "load(i64x1): expected a pointer"},
      {"TableTooShort",
       [](Emitter& e) { e.table_lookup(e.zeros(Element::i8, 8), e.zeros(Element::i8, 8)); },
       "table_lookup(i8x8, i8x8): expected whole 16-byte lanes"},
      {"PairsOfWords",
       [](Emitter& e) {
         e.multiply_add_pairs_u8s8(e.zeros(Element::i16, 8), e.zeros(Element::i16, 8),
                                   Pairs::proven);
       },
       "multiply_add_pairs_u8s8(i16x8): expected elements of i8"},
      {"SliceBeyond", [](Emitter& e) { e.slice(e.zeros(Element::i8, 16), 8, 16); },
       "slice(i8x16): lanes 8 to 24 are out of range"},
      {"StoreTooMany", [](Emitter& e) { e.store_first(e.buffer(0), e.zeros(Element::i8, 16), 17); },
       "17 lanes are out of range"},
      {"WidenToNarrower",
       [](Emitter& e) { e.widen_signed(e.zeros(Element::i16, 16), Element::i8); },
       "widen_signed(i16x16): expected integers, the result no narrower"},
      {"MaskOfOtherWidth",
       [](Emitter& e) {
         e.select(e.zeros(Element::i8, 8), e.zeros(Element::i32, 8), e.zeros(Element::i32, 8));
       },
       "the mask must have the operands' lanes and width"},
      {"SetOther", [](Emitter& e) { e.set(e.variable(e.count()), e.real(1)); },
       "set(f32x1): the variable holds i64x1"},
      {"LeaveBuffer", [](Emitter& e) { e.set(e.variable(e.buffer(0)), e.buffer(1)); },
       "a pointer variable must stay within the buffer it began in"},
      {"NoValue", [](Emitter& e) { e.negate(Value{}); }, "not a value of this emitter"},
      {"ZeroStep", [](Emitter& e) { e.loop("i", e.integer(0), e.count(), 0, 1, [](Value) {}); },
       "expected i64 scalars and a positive step"},
      {"OutOfItsLoop",
       [](Emitter& e) {
         Value inside;
         e.loop("i", e.integer(0), e.count(), 1, 1, [&](Value i) { inside = e.add(i, 1); });
         e.store(e.buffer(0), inside);
       },
       "kernel 'wrong': Instruction does not dominate all uses!"},
  };
  return kMisuses;
}

class Misused : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Words, Misused, ::testing::Range(size_t{0}, misuses().size()),
                         [](const auto& info) { return misuses()[info.param].name; });

TEST_P(Misused, IsAnInternalErrorThatSaysWhere) {
  const Misuse& m = misuses()[GetParam()];
  try {
    static_cast<void>(testing::build({{"wrong", m.emit}}, Target::host()));
    FAIL() << "no error";
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find(m.message), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace qloom::jit
