// jit/llvm/lower_avx2.cc: words as instructions of AVX2. A value wider than 32 bytes becomes
// several instructions, one of at most 16 bytes the 128-bit form.
#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>

#include "jit/llvm/lowering.h"

namespace qloom::jit {
namespace {

using llvm::Intrinsic::ID;

int bytes_of(llvm::Value* v) {
  return static_cast<int>(v->getType()->getPrimitiveSizeInBits().getFixedValue() / 8);
}

/// Applies the intrinsic to `values` piece by piece: `narrow` on pieces of 16 bytes, `wide` on
/// pieces of
/// 32. Values of fewer than 16 bytes are filled up with zeros and the result is cut.
template <size_t kCount>
llvm::Value* by_pieces(Builder& b, ID narrow, ID wide, std::array<llvm::Value*, kCount> values) {
  const int bytes = bytes_of(values[0]);
  if (bytes > 32) {
    std::array<llvm::Value*, kCount> low, high;
    for (size_t i = 0; i < kCount; ++i) {
      const int half = lanes_of(values[i]) / 2;
      low[i] = slice_lanes(b, values[i], 0, half);
      high[i] = slice_lanes(b, values[i], half, half);
    }
    llvm::Value* first = by_pieces(b, narrow, wide, low);
    return concat_lanes(b, first, by_pieces(b, narrow, wide, high));
  }
  for (llvm::Value*& v : values) {
    if (lanes_of(v) == 1) {
      v = b.CreateInsertElement(llvm::Constant::getNullValue(with_lanes(v->getType(), 2)), v,
                                uint64_t{0});
    }
    while (bytes_of(v) < 16) v = concat_lanes(b, v, llvm::Constant::getNullValue(v->getType()));
  }
  llvm::Value* result = b.CreateIntrinsic(bytes <= 16 ? narrow : wide, {}, values);
  return bytes >= 16 ? result : slice_lanes(b, result, 0, lanes_of(result) * bytes / 16);
}

llvm::Value* pairs_u8s8(Builder& b, llvm::Value* u8, llvm::Value* s8, Pairs) {
  return by_pieces<2>(b, llvm::Intrinsic::x86_ssse3_pmadd_ub_sw_128,
                      llvm::Intrinsic::x86_avx2_pmadd_ub_sw, {u8, s8});
}

llvm::Value* pairs_s16(Builder& b, llvm::Value* x, llvm::Value* y) {
  return by_pieces<2>(b, llvm::Intrinsic::x86_sse2_pmadd_wd, llvm::Intrinsic::x86_avx2_pmadd_wd,
                      {x, y});
}

llvm::Value* sum_bytes(Builder& b, llvm::Value* v) {
  return by_pieces<2>(b, llvm::Intrinsic::x86_sse2_psad_bw, llvm::Intrinsic::x86_avx2_psad_bw,
                      {v, llvm::Constant::getNullValue(v->getType())});
}

llvm::Value* table_lookup(Builder& b, llvm::Value* table, llvm::Value* index) {
  return by_pieces<2>(b, llvm::Intrinsic::x86_ssse3_pshuf_b_128, llvm::Intrinsic::x86_avx2_pshuf_b,
                      {table, index});
}

llvm::Value* round_even(Builder& b, llvm::Value* x) {
  return b.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, x);
}

llvm::Value* to_i32(Builder& b, llvm::Value* x) {
  return by_pieces<1>(b, llvm::Intrinsic::x86_sse2_cvtps2dq, llvm::Intrinsic::x86_avx_cvt_ps2dq_256,
                      {x});
}

llvm::Value* fused_multiply_add(Builder& b, llvm::Value* x, llvm::Value* y, llvm::Value* z) {
  return b.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
}

}  // namespace

extern constinit const LoweringDef avx2_lowering{.name = "avx2",
                                                 .pairs_u8s8 = pairs_u8s8,
                                                 .pairs_s16 = pairs_s16,
                                                 .sum_bytes = sum_bytes,
                                                 .table_lookup = table_lookup,
                                                 .round_even = round_even,
                                                 .to_i32 = to_i32,
                                                 .fused_multiply_add = fused_multiply_add};

}  // namespace qloom::jit
