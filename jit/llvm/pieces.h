// jit/llvm/pieces.h: intrinsics of x86 on values of any size.
#pragma once

#include <llvm/IR/IntrinsicsX86.h>

#include <array>

#include "jit/llvm/lowering.h"

namespace qloom::jit {

inline int bytes_of(llvm::Value* v) {
  return static_cast<int>(v->getType()->getPrimitiveSizeInBits().getFixedValue() / 8);
}

/// Applies an intrinsic to `values` piece by piece. `forms` are its forms for pieces of 16, 32, 64
/// … bytes of the last value; pieces are as wide as the widest allows. Values of fewer than 16
/// bytes are filled up with zeros and the result is cut.
template <size_t kCount, size_t kForms>
llvm::Value* by_pieces(Builder& b, const std::array<llvm::Intrinsic::ID, kForms>& forms,
                       std::array<llvm::Value*, kCount> values) {
  const int bytes = bytes_of(values.back());
  if (bytes > 16 << (kForms - 1)) {
    std::array<llvm::Value*, kCount> low, high;
    for (size_t i = 0; i < kCount; ++i) {
      const int half = lanes_of(values[i]) / 2;
      low[i] = slice_lanes(b, values[i], 0, half);
      high[i] = slice_lanes(b, values[i], half, half);
    }
    llvm::Value* first = by_pieces(b, forms, low);
    return concat_lanes(b, first, by_pieces(b, forms, high));
  }
  for (llvm::Value*& v : values) {
    if (lanes_of(v) == 1) {
      v = b.CreateInsertElement(llvm::Constant::getNullValue(with_lanes(v->getType(), 2)), v,
                                uint64_t{0});
    }
    while (bytes_of(v) < 16) v = concat_lanes(b, v, llvm::Constant::getNullValue(v->getType()));
  }
  size_t form = 0;
  while (16 << form < bytes) ++form;
  llvm::Value* result = b.CreateIntrinsic(forms[form], {}, values);
  return bytes >= 16 ? result : slice_lanes(b, result, 0, lanes_of(result) * bytes / 16);
}

}  // namespace qloom::jit
