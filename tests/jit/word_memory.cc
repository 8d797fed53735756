// What a case's function is run on.
#include "tests/jit/word_cases.h"

namespace qloom::jit::testing {

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

CaseMemory memory_of(const Case& c, std::mt19937_64& random) {
  CaseMemory memory;
  memory.operands.resize(kCaseRounds);
  memory.buffers.resize(c.operands.size() + 1);
  for (auto& round : memory.operands) {
    for (size_t k = 0; k < c.operands.size(); ++k) {
      Lanes v = random_lanes(c.operands[k].first, c.operands[k].second, c.special, random);
      for (int i = 0; k == 1 && c.and_mask >= 0 && i < v.lanes; ++i)
        v.set(i, v.get(i) & c.and_mask);
      memory.buffers[k].insert(memory.buffers[k].end(), v.bytes.begin(), v.bytes.end());
      round.push_back(std::move(v));
    }
    memory.expected.push_back(c.expected(round));
  }
  memory.buffers.back().assign(kCaseRounds * memory.expected[0].bytes.size(), 0xa5);
  return memory;
}

std::string difference(const Case& c, const CaseMemory& memory) {
  for (size_t r = 0; r < memory.expected.size(); ++r) {
    const Lanes& expected = memory.expected[r];
    Lanes got(expected.element, expected.lanes);
    std::memcpy(got.bytes.data(), memory.buffers.back().data() + r * got.bytes.size(),
                got.bytes.size());
    if (same(got, expected)) continue;
    std::string text = c.name;
    for (const Lanes& v : memory.operands[r]) text += "\n  operand:  " + print(v);
    return text + "\n  expected: " + print(expected) + "\n  got:      " + print(got);
  }
  return "";
}

}  // namespace qloom::jit::testing
