#include "kernels/bit_planes.h"

#include <algorithm>
#include <utility>

#include "graph/support/error.h"

namespace qloom::kernels {

using jit::Binary;
using jit::Logic;
using jit::Value;

void PlaneAdder::add(size_t weight, Value word) {
  for (;; ++weight) {
    if (columns_.size() <= weight) columns_.resize(weight + 1);
    std::vector<Value>& column = columns_[weight];
    if (column.size() < 2) {
      column.push_back(word);
      return;
    }
    const Value a = column[0], b = column[1];
    column = {e_.logic(Logic::parity, a, b, word)};
    word = e_.logic(Logic::majority, a, b, word);
  }
}

std::vector<Value> PlaneAdder::planes(size_t count) {
  std::vector<Value> planes;
  const auto any = std::ranges::find_if(columns_, [](const auto& c) { return !c.empty(); });
  qloom_assert(any != columns_.end(), "a sum of nothing");
  const Value zeros = e_.zeros(any->front().element, any->front().lanes);
  for (size_t k = 0; k < count; ++k) {
    if (k >= columns_.size() || columns_[k].empty()) {
      planes.push_back(zeros);
      continue;
    }
    if (columns_[k].size() == 2) {
      const auto [a, b] = std::pair{columns_[k][0], columns_[k][1]};
      columns_[k] = {e_.binary(Binary::bit_xor, a, b)};
      add(k + 1, e_.binary(Binary::bit_and, a, b));
    }
    planes.push_back(columns_[k][0]);
  }
  return planes;
}

Value emit_at_least(jit::Emitter& e, const std::vector<Value>& planes,
                    const std::function<Value(size_t)>& limit) {
  // From the lowest plane up: greater there, or equal and so far at least as great.
  Value above;
  for (size_t k = 0; k < planes.size(); ++k)
    above = above.valid() ? e.logic(Logic::majority, planes[k], limit(k), above)
                          : e.binary(Binary::bit_or, planes[k], limit(k));
  return above;
}

}  // namespace qloom::kernels
