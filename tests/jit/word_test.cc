// Each word of the emitter × element × lanes × lowering against plain C++ on random data.
#include <gtest/gtest.h>

#include <bit>

#include "tests/jit/word_cases.h"

namespace qloom::jit {
namespace {

using testing::all_cases;
using testing::Case;
using testing::Lanes;

/// Buffers 0… hold the operands of `rounds` calls one after the other, the last takes the results.
FunctionSource function_of(const Case& c) {
  return {c.name, [&c](Emitter& e) {
            std::vector<Value> places;
            for (size_t k = 0; k <= c.operands.size(); ++k)
              places.push_back(e.buffer(static_cast<int>(k)));
            e.loop("round", e.integer(0), e.count(), 1, 10, [&](Value round) {
              std::vector<Value> operands;
              for (size_t k = 0; k < c.operands.size(); ++k) {
                const auto [element, lanes] = c.operands[k];
                const Value at = e.offset(places[k], e.multiply(round, lanes * bytes_of(element)));
                operands.push_back(e.load(at, element, lanes));
              }
              const Value result = c.emit(e, operands);
              e.store(e.offset(places.back(), e.multiply(round, result.bytes())), result);
            });
          }};
}

void check(const Case& c, KernelFunction run, std::mt19937_64& random) {
  constexpr int kRounds = 24;
  std::vector<std::vector<Lanes>> operands(kRounds);
  std::vector<std::vector<uint8_t>> memory(c.operands.size() + 1);
  std::vector<Lanes> expected;
  for (auto& round : operands) {
    for (size_t k = 0; k < c.operands.size(); ++k) {
      Lanes v = testing::random_lanes(c.operands[k].first, c.operands[k].second, c.special, random);
      for (int i = 0; k == 1 && c.and_mask >= 0 && i < v.lanes; ++i)
        v.set(i, v.get(i) & c.and_mask);
      memory[k].insert(memory[k].end(), v.bytes.begin(), v.bytes.end());
      round.push_back(std::move(v));
    }
    expected.push_back(c.expected(round));
  }
  memory.back().assign(kRounds * expected[0].bytes.size(), 0xee);
  std::vector<void*> buffers;
  for (auto& m : memory) buffers.push_back(m.data());
  run(buffers.data(), kRounds, 0, 1);
  for (int r = 0; r < kRounds; ++r) {
    Lanes got(expected[r].element, expected[r].lanes);
    std::memcpy(got.bytes.data(), memory.back().data() + r * got.bytes.size(), got.bytes.size());
    if (testing::same(got, expected[r])) continue;
    std::string text;
    for (const Lanes& v : operands[r]) text += "\n  operand:  " + testing::print(v);
    FAIL() << c.name << text << "\n  expected: " << testing::print(expected[r])
           << "\n  got:      " << testing::print(got);
  }
}

/// In groups of functions that one compilation makes.
void check_all(const Target& target, size_t group) {
  const std::vector<Case>& cases = all_cases();
  std::mt19937_64 random(20240607);
  for (size_t first = 0; first < cases.size(); first += group) {
    const size_t last = std::min(cases.size(), first + group);
    std::vector<FunctionSource> functions;
    for (size_t i = first; i < last; ++i) functions.push_back(function_of(cases[i]));
    const auto code = testing::build(functions, target);
    for (size_t i = first; i < last; ++i) {
      auto* run = reinterpret_cast<KernelFunction>(code->symbol(cases[i].name));
      ASSERT_NE(run, nullptr) << cases[i].name;
      check(cases[i], run, random);
    }
  }
}

TEST(Words, AreAllTried) { EXPECT_GT(all_cases().size(), 1000u); }

TEST(Words, Avx512LoweringEqualsPlainCode) {
  if (Target::host().lowering != Lowering::avx512) GTEST_SKIP() << "this processor has no AVX-512";
  check_all(Target::host(), 100);
}

TEST(Words, Avx2LoweringEqualsPlainCode) {
  if (Target::avx2().lowering != Lowering::avx2) GTEST_SKIP() << "this processor has no AVX2";
  check_all(Target::avx2(), 100);
}

TEST(Words, DotProductsOfAnyBytesAreExactWhereTheTargetHasThem) {
  if (!Target::host().has_dot()) GTEST_SKIP() << "this processor has no dot products of bytes";
  constexpr int kLanes = 64;
  std::array<uint8_t, kLanes> a{};
  std::array<int8_t, kLanes> b{};
  std::array<int32_t, kLanes / 4> sum{};
  std::mt19937_64 random(7);
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < kLanes; ++i) {
      a[i] = round == 0 ? 255 : static_cast<uint8_t>(random());
      b[i] = round == 0 ? -128 : static_cast<int8_t>(random());
    }
    testing::build_and_run(
        [](Emitter& e) {
          const Value x = e.load(e.buffer(0), Element::i8, kLanes);
          const Value y = e.load(e.buffer(1), Element::i8, kLanes);
          e.store(e.buffer(2), e.add_dot_u8s8(e.zeros(Element::i32, kLanes / 4), x, y));
        },
        Target::host(), {a.data(), b.data(), sum.data()}, 1);
    for (int i = 0; i < kLanes / 4; ++i) {
      int32_t expected = 0;
      for (int k = 4 * i; k < 4 * i + 4; ++k) expected += a[k] * b[k];
      EXPECT_EQ(sum[i], expected);
    }
  }
}

TEST(Words, PortableLoweringEqualsPlainCode) { check_all(Target::portable(), 100); }

TEST(Words, PortableLoweringCompilesForAArch64) {
  Target target = Target::portable();
  target.triple = "aarch64-unknown-linux-gnu";
  target.cpu = target.tune = "generic";
  target.features.clear();
  std::vector<FunctionSource> functions;
  for (size_t i = 0; i < all_cases().size(); i += 7)
    functions.push_back(function_of(all_cases()[i]));
  const CompiledObject object = compiler().compile(functions, target, {});
  EXPECT_EQ(object.functions.size(), functions.size());
  ASSERT_GT(object.elf.size(), 20u);
  EXPECT_EQ(object.elf[18], 183);  // e_machine: EM_AARCH64
}

}  // namespace
}  // namespace qloom::jit
