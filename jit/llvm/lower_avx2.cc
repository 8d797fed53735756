// jit/llvm/lower_avx2.cc: words as instructions of AVX2. A value wider than 32 bytes becomes
// several instructions, one of at most 16 bytes the 128-bit form.
#include <llvm/IR/IntrinsicsX86.h>

#include "jit/llvm/pieces.h"

namespace qloom::jit {
namespace {

llvm::Value* pairs_u8s8(Builder& b, llvm::Value* u8, llvm::Value* s8, Pairs) {
  return by_pieces<2, 2>(
      b, {llvm::Intrinsic::x86_ssse3_pmadd_ub_sw_128, llvm::Intrinsic::x86_avx2_pmadd_ub_sw},
      {u8, s8});
}

llvm::Value* pairs_s16(Builder& b, llvm::Value* x, llvm::Value* y) {
  return by_pieces<2, 2>(
      b, {llvm::Intrinsic::x86_sse2_pmadd_wd, llvm::Intrinsic::x86_avx2_pmadd_wd}, {x, y});
}

llvm::Value* dot_s16(Builder& b, llvm::Value* sum, llvm::Value* x, llvm::Value* y) {
  return b.CreateAdd(sum, pairs_s16(b, x, y));
}

llvm::Value* dot_u8s8(Builder& b, llvm::Value* sum, llvm::Value* u8, llvm::Value* s8) {
  llvm::Value* pairs = pairs_u8s8(b, u8, s8, Pairs::proven);
  return dot_s16(b, sum, pairs, llvm::ConstantInt::get(pairs->getType(), 1));
}

llvm::Value* sum_bytes(Builder& b, llvm::Value* v) {
  return by_pieces<2, 2>(b, {llvm::Intrinsic::x86_sse2_psad_bw, llvm::Intrinsic::x86_avx2_psad_bw},
                         {v, llvm::Constant::getNullValue(v->getType())});
}

llvm::Value* table_lookup(Builder& b, llvm::Value* table, llvm::Value* index) {
  return by_pieces<2, 2>(
      b, {llvm::Intrinsic::x86_ssse3_pshuf_b_128, llvm::Intrinsic::x86_avx2_pshuf_b},
      {table, index});
}

llvm::Value* round_even(Builder& b, llvm::Value* x) {
  return b.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, x);
}

llvm::Value* to_i32(Builder& b, llvm::Value* x) {
  return by_pieces<1, 2>(
      b, {llvm::Intrinsic::x86_sse2_cvtps2dq, llvm::Intrinsic::x86_avx_cvt_ps2dq_256}, {x});
}

llvm::Value* narrow_saturated(Builder& b, llvm::Value* v, bool is_signed) {
  constexpr Packs kPacks{.lanes = 8,
                         .dwords = llvm::Intrinsic::x86_avx2_packssdw,
                         .to_u8 = llvm::Intrinsic::x86_avx2_packuswb,
                         .to_s8 = llvm::Intrinsic::x86_avx2_packsswb};
  return pack_saturated(b, kPacks, v, is_signed);
}

llvm::Value* fused_multiply_add(Builder& b, llvm::Value* x, llvm::Value* y, llvm::Value* z) {
  return b.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
}

}  // namespace

extern constinit const LoweringDef avx2_lowering{.name = "avx2",
                                                 .pairs_u8s8 = pairs_u8s8,
                                                 .pairs_s16 = pairs_s16,
                                                 .dot_u8s8 = dot_u8s8,
                                                 .dot_s16 = dot_s16,
                                                 .logic = plain_logic,
                                                 .sum_bytes = sum_bytes,
                                                 .table_lookup = table_lookup,
                                                 .permute_bytes = nullptr,
                                                 .round_even = round_even,
                                                 .to_i32 = to_i32,
                                                 .narrow_saturated = narrow_saturated,
                                                 .fused_multiply_add = fused_multiply_add,
                                                 .fuses_f64 = true};

}  // namespace qloom::jit
