// Each word of the emitter × element × lanes × lowering against plain C++ on random data.
#include <gtest/gtest.h>

#include <bit>

#include "tests/jit/word_cases.h"

namespace qloom::jit {
namespace {

using testing::all_cases;
using testing::Case;
using testing::function_of;

/// Every `step`th case, in groups of functions that one compilation makes.
void check_all(const Target& target, size_t group, size_t step = 1) {
  std::vector<Case> cases;
  for (size_t i = 0; i < all_cases().size(); i += step) cases.push_back(all_cases()[i]);
  std::mt19937_64 random(20240607);
  for (size_t first = 0; first < cases.size(); first += group) {
    const size_t last = std::min(cases.size(), first + group);
    std::vector<FunctionSource> functions;
    for (size_t i = first; i < last; ++i) functions.push_back(function_of(cases[i]));
    const auto code = testing::build(functions, target);
    for (size_t i = first; i < last; ++i) {
      auto* run = reinterpret_cast<KernelFunction>(code->symbol(cases[i].name));
      ASSERT_NE(run, nullptr) << cases[i].name;
      testing::CaseMemory memory = testing::memory_of(cases[i], random);
      std::vector<void*> buffers;
      for (auto& m : memory.buffers) buffers.push_back(m.data());
      run(buffers.data(), testing::kCaseRounds, 0, 1);
      ASSERT_EQ(testing::difference(cases[i], memory), "");
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

/// Code for other processors whose instructions this one has.
TEST(Words, NamedTargetsThatRunHereEqualPlainCode) {
  for (const std::string_view name : Target::names())
    if (const Target target = Target::named(name); target.runs_here()) check_all(target, 100, 9);
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
