// jit/llvm/lower_avx512.cc: words as instructions of AVX-512 with BW, DQ, VL, VNNI, BITALG. A value
// wider than 64 bytes becomes several instructions, a narrower one the 256- or 128-bit form.
#include "jit/llvm/pieces.h"

namespace qloom::jit {
namespace {

namespace x86 = llvm::Intrinsic;

llvm::Value* pairs_u8s8(Builder& b, llvm::Value* u8, llvm::Value* s8, Pairs) {
  return by_pieces<2, 3>(
      b,
      {x86::x86_ssse3_pmadd_ub_sw_128, x86::x86_avx2_pmadd_ub_sw, x86::x86_avx512_pmaddubs_w_512},
      {u8, s8});
}

llvm::Value* pairs_s16(Builder& b, llvm::Value* x, llvm::Value* y) {
  return by_pieces<2, 3>(
      b, {x86::x86_sse2_pmadd_wd, x86::x86_avx2_pmadd_wd, x86::x86_avx512_pmaddw_d_512}, {x, y});
}

/// The instructions see both operands as dwords.
llvm::Value* as_dwords(Builder& b, llvm::Value* v, int lanes) {
  return b.CreateBitCast(v, with_lanes(b.getInt32Ty(), lanes));
}

llvm::Value* dot_u8s8(Builder& b, llvm::Value* sum, llvm::Value* u8, llvm::Value* s8) {
  const int lanes = lanes_of(sum);
  return by_pieces<3, 3>(
      b, {x86::x86_avx512_vpdpbusd_128, x86::x86_avx512_vpdpbusd_256, x86::x86_avx512_vpdpbusd_512},
      {sum, as_dwords(b, u8, lanes), as_dwords(b, s8, lanes)});
}

llvm::Value* dot_s16(Builder& b, llvm::Value* sum, llvm::Value* x, llvm::Value* y) {
  const int lanes = lanes_of(sum);
  return by_pieces<3, 3>(
      b, {x86::x86_avx512_vpdpwssd_128, x86::x86_avx512_vpdpwssd_256, x86::x86_avx512_vpdpwssd_512},
      {sum, as_dwords(b, x, lanes), as_dwords(b, y, lanes)});
}

llvm::Value* logic(Builder& b, Logic op, llvm::Value* x, llvm::Value* y, llvm::Value* z) {
  const int bytes = bytes_of(x);
  if (bytes > 64) {
    const int half = lanes_of(x) / 2;
    auto part = [&](int first) {
      auto cut = [&](llvm::Value* v) { return slice_lanes(b, v, first, half); };
      return logic(b, op, cut(x), cut(y), cut(z));
    };
    llvm::Value* low = part(0);
    return concat_lanes(b, low, part(half));
  }
  if (bytes < 16) return plain_logic(b, op, x, y, z);
  constexpr x86::ID kForms[] = {x86::x86_avx512_pternlog_q_128, x86::x86_avx512_pternlog_q_256,
                                x86::x86_avx512_pternlog_q_512};
  // Bit 4·x + 2·y + z of the number is the result.
  constexpr int kX = 0xF0, kY = 0xCC, kZ = 0xAA;
  const int table = op == Logic::and_xor  ? kX & (kY ^ kZ)
                    : op == Logic::parity ? kX ^ kY ^ kZ
                                          : (kX & kY) | (kX & kZ) | (kY & kZ);
  llvm::Type* type = with_lanes(b.getInt64Ty(), bytes / 8);
  auto as_words = [&](llvm::Value* v) { return b.CreateBitCast(v, type); };
  llvm::Value* result = b.CreateIntrinsic(
      kForms[bytes / 32], {}, {as_words(x), as_words(y), as_words(z), b.getInt32(table)});
  return b.CreateBitCast(result, x->getType());
}

llvm::Value* sum_bytes(Builder& b, llvm::Value* v) {
  return by_pieces<2, 3>(
      b, {x86::x86_sse2_psad_bw, x86::x86_avx2_psad_bw, x86::x86_avx512_psad_bw_512},
      {v, llvm::Constant::getNullValue(v->getType())});
}

llvm::Value* table_lookup(Builder& b, llvm::Value* table, llvm::Value* index) {
  return by_pieces<2, 3>(
      b, {x86::x86_ssse3_pshuf_b_128, x86::x86_avx2_pshuf_b, x86::x86_avx512_pshuf_b_512},
      {table, index});
}

llvm::Value* permute_bytes(Builder& b, llvm::Value* table, llvm::Value* index) {
  return by_pieces<2, 3>(b,
                         {x86::x86_avx512_permvar_qi_128, x86::x86_avx512_permvar_qi_256,
                          x86::x86_avx512_permvar_qi_512},
                         {table, index});
}

llvm::Value* round_even(Builder& b, llvm::Value* x) {
  return b.CreateUnaryIntrinsic(x86::roundeven, x);
}

llvm::Value* to_i32(Builder& b, llvm::Value* x) {
  if (bytes_of(x) < 64)
    return by_pieces<1, 2>(b, {x86::x86_sse2_cvtps2dq, x86::x86_avx_cvt_ps2dq_256}, {x});
  if (bytes_of(x) > 64) {
    const int half = lanes_of(x) / 2;
    llvm::Value* low = to_i32(b, slice_lanes(b, x, 0, half));
    return concat_lanes(b, low, to_i32(b, slice_lanes(b, x, half, half)));
  }
  // All lanes, in the current rounding direction.
  llvm::Value* none = llvm::Constant::getNullValue(with_lanes(b.getInt32Ty(), 16));
  return b.CreateIntrinsic(x86::x86_avx512_mask_cvtps2dq_512, {},
                           {x, none, b.getInt16(0xffff), b.getInt32(4)});
}

llvm::Value* narrow_saturated(Builder& b, llvm::Value* v, bool is_signed) {
  constexpr Packs kPacks{.lanes = 16,
                         .dwords = x86::x86_avx512_packssdw_512,
                         .to_u8 = x86::x86_avx512_packuswb_512,
                         .to_s8 = x86::x86_avx512_packsswb_512};
  return pack_saturated(b, kPacks, v, is_signed);
}

llvm::Value* fused_multiply_add(Builder& b, llvm::Value* x, llvm::Value* y, llvm::Value* z) {
  return b.CreateIntrinsic(x86::fma, {x->getType()}, {x, y, z});
}

}  // namespace

extern constinit const LoweringDef avx512_lowering{.name = "avx512",
                                                   .pairs_u8s8 = pairs_u8s8,
                                                   .pairs_s16 = pairs_s16,
                                                   .dot_u8s8 = dot_u8s8,
                                                   .dot_s16 = dot_s16,
                                                   .logic = logic,
                                                   .sum_bytes = sum_bytes,
                                                   .table_lookup = table_lookup,
                                                   .permute_bytes = permute_bytes,
                                                   .round_even = round_even,
                                                   .to_i32 = to_i32,
                                                   .narrow_saturated = narrow_saturated,
                                                   .fused_multiply_add = fused_multiply_add,
                                                   .fuses_f64 = true};

}  // namespace qloom::jit
