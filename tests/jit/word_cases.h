// tests/jit/word_cases.h: words of the emitter × element × lanes, and what plain C++ makes of them.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/jit/run_kernel.h"

namespace qloom::jit::testing {

/// One word on operands of fixed shapes.
struct Case {
  std::string name;
  std::vector<std::pair<Element, int>> operands;
  std::function<Value(Emitter&, std::span<const Value>)> emit;
  std::function<Lanes(std::span<const Lanes>)> expected;
  bool special = true;    ///< NaN and infinities among the operands
  int32_t and_mask = -1;  ///< the second operand's lanes are masked with it (shift amounts)
};

inline constexpr Element kIntegers[] = {Element::i8, Element::i16, Element::i32, Element::i64};
inline constexpr const char* kElementNames[] = {"i8", "i16", "i32", "i64", "f32"};

[[nodiscard]] std::string shape_name(Element e, int lanes);

/// Lanes whose value is at most 128 bytes wide: four registers of AVX2, eight of SSE2.
[[nodiscard]] std::vector<int> all_lanes(Element e, int minimum = 1);

/// A result computed lane by lane from integers.
[[nodiscard]] Lanes lanewise(Element e, int lanes, const std::function<int64_t(int)>& f);
[[nodiscard]] Lanes lanewise_real(int lanes, const std::function<float(int)>& f);

void add_integer_cases(std::vector<Case>& cases);
void add_compare_cases(std::vector<Case>& cases);
void add_width_cases(std::vector<Case>& cases);
void add_real_cases(std::vector<Case>& cases);     ///< of f32 and f64
void add_byte_cases(std::vector<Case>& cases);     ///< products, counts and sums of bytes and words
void add_shuffle_cases(std::vector<Case>& cases);  ///< lanes in other places

/// All of them, each with a name of its own.
[[nodiscard]] const std::vector<Case>& all_cases();

/// Buffers 0… hold the operands of `count` calls one after the other, the last takes the results.
[[nodiscard]] FunctionSource function_of(const Case& c);

inline constexpr int kCaseRounds = 24;
/// Random operands of so many rounds, and what must come out.
struct CaseMemory {
  std::vector<std::vector<uint8_t>> buffers;  ///< of function_of
  std::vector<std::vector<Lanes>> operands;   ///< of each round
  std::vector<Lanes> expected;
};
[[nodiscard]] CaseMemory memory_of(const Case& c, std::mt19937_64& random);
/// What is wrong with the results in the last buffer, or "".
[[nodiscard]] std::string difference(const Case& c, const CaseMemory& memory);

}  // namespace qloom::jit::testing
