// jit/llvm/pieces.h: instructions on values of any size.
#pragma once

#include <llvm/IR/IntrinsicsX86.h>

#include <array>

#include "jit/llvm/lowering.h"

namespace qloom::jit {

inline int bytes_of(llvm::Value* v) {
  return static_cast<int>(v->getType()->getPrimitiveSizeInBits().getFixedValue() / 8);
}

/// Applies `instruction` to `values` piece by piece, the pieces at most `widest` bytes of the last
/// value. Values of fewer than 16 bytes are filled up with zeros and the result is cut.
template <size_t kCount, class Instruction>
llvm::Value* in_pieces(Builder& b, int widest, std::array<llvm::Value*, kCount> values,
                       const Instruction& instruction) {
  const int bytes = bytes_of(values.back());
  if (bytes > widest) {
    std::array<llvm::Value*, kCount> low, high;
    for (size_t i = 0; i < kCount; ++i) {
      const int half = lanes_of(values[i]) / 2;
      low[i] = slice_lanes(b, values[i], 0, half);
      high[i] = slice_lanes(b, values[i], half, half);
    }
    llvm::Value* first = in_pieces(b, widest, low, instruction);
    return concat_lanes(b, first, in_pieces(b, widest, high, instruction));
  }
  for (llvm::Value*& v : values) {
    if (lanes_of(v) == 1) {
      v = b.CreateInsertElement(llvm::Constant::getNullValue(with_lanes(v->getType(), 2)), v,
                                uint64_t{0});
    }
    while (bytes_of(v) < 16) v = concat_lanes(b, v, llvm::Constant::getNullValue(v->getType()));
  }
  llvm::Value* result = instruction(values);
  return bytes >= 16 ? result : slice_lanes(b, result, 0, lanes_of(result) * bytes / 16);
}

/// The same with an intrinsic: `forms` are its forms for pieces of 16, 32, 64 … bytes of the last
/// value; pieces are as wide as the widest allows.
template <size_t kCount, size_t kForms>
llvm::Value* by_pieces(Builder& b, const std::array<llvm::Intrinsic::ID, kForms>& forms,
                       std::array<llvm::Value*, kCount> values) {
  return in_pieces(b, 16 << (kForms - 1), values, [&](const auto& piece) {
    size_t form = 0;
    while (16 << form < bytes_of(piece.back())) ++form;
    return b.CreateIntrinsic(forms[form], {}, piece);
  });
}

/// The instructions that pack two registers of `lanes` dwords into one, with saturation.
struct Packs {
  int lanes;
  llvm::Intrinsic::ID dwords, to_u8, to_s8;
};

/// narrow_saturated by two packs; since packs work within lanes of 16 bytes, dwords then move into
/// order. Fewer than two registers are clamped one by one.
inline llvm::Value* pack_saturated(Builder& b, const Packs& packs, llvm::Value* v, bool is_signed) {
  const int lanes = lanes_of(v), parts = lanes / packs.lanes;
  if (parts < 2) return clamp_to_bytes(b, v, is_signed);
  if (parts > 4) {
    llvm::Value* low = pack_saturated(b, packs, slice_lanes(b, v, 0, lanes / 2), is_signed);
    return concat_lanes(
        b, low, pack_saturated(b, packs, slice_lanes(b, v, lanes / 2, lanes / 2), is_signed));
  }
  auto part = [&](int i) { return slice_lanes(b, v, i * packs.lanes, packs.lanes); };
  llvm::Value* low = b.CreateIntrinsic(packs.dwords, {}, {part(0), part(1)});
  llvm::Value* high = parts == 4 ? b.CreateIntrinsic(packs.dwords, {}, {part(2), part(3)}) : low;
  llvm::Value* bytes = b.CreateIntrinsic(is_signed ? packs.to_s8 : packs.to_u8, {}, {low, high});
  llvm::SmallVector<int, 16> order;  // each lane now holds a dword of each part
  for (int i = 0; i < parts; ++i)
    for (int lane = 0; lane < packs.lanes / 4; ++lane) order.push_back(4 * lane + i);
  llvm::Value* dwords = b.CreateBitCast(bytes, with_lanes(b.getInt32Ty(), packs.lanes));
  return b.CreateBitCast(b.CreateShuffleVector(dwords, order), with_lanes(b.getInt8Ty(), lanes));
}

}  // namespace qloom::jit
