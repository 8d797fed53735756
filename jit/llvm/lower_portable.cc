// jit/llvm/lower_portable.cc: words as plain vector IR, right on every LLVM target. No intrinsic of
// one architecture, and none that becomes a call into a library.
#include "jit/llvm/lowering.h"

namespace qloom::jit {
namespace {

llvm::Value* pairs_u8s8(Builder& b, llvm::Value* u8, llvm::Value* s8, Pairs pairs) {
  llvm::Type* wide = with_lanes(b.getInt16Ty(), lanes_of(u8));
  // A product lies in [−255·128, 255·127] and fits 16 bits; the sum of two may not.
  llvm::Value* products = b.CreateMul(b.CreateZExt(u8, wide), b.CreateSExt(s8, wide));
  llvm::Value* even = every_second(b, products, 0);
  llvm::Value* odd = every_second(b, products, 1);
  if (pairs == Pairs::proven) return b.CreateAdd(even, odd);
  return b.CreateBinaryIntrinsic(llvm::Intrinsic::sadd_sat, even, odd);
}

llvm::Value* pairs_s16(Builder& b, llvm::Value* x, llvm::Value* y) {
  llvm::Type* wide = with_lanes(b.getInt32Ty(), lanes_of(x));
  llvm::Value* products = b.CreateMul(b.CreateSExt(x, wide), b.CreateSExt(y, wide));
  return b.CreateAdd(every_second(b, products, 0), every_second(b, products, 1));
}

llvm::Value* dot_s16(Builder& b, llvm::Value* sum, llvm::Value* x, llvm::Value* y) {
  return b.CreateAdd(sum, pairs_s16(b, x, y));
}

llvm::Value* dot_u8s8(Builder& b, llvm::Value* sum, llvm::Value* u8, llvm::Value* s8) {
  llvm::Value* pairs = pairs_u8s8(b, u8, s8, Pairs::proven);
  llvm::Type* wide = with_lanes(b.getInt32Ty(), lanes_of(sum));
  llvm::Value* even = b.CreateSExt(every_second(b, pairs, 0), wide);
  return b.CreateAdd(sum, b.CreateAdd(even, b.CreateSExt(every_second(b, pairs, 1), wide)));
}

llvm::Value* sum_bytes(Builder& b, llvm::Value* v) {
  // Neighbours added in fields of 16, 32, 64 bits. Bytes of a field are taken by mask and shift, so
  // their order in memory does not matter.
  const int lanes = lanes_of(v) / 8;
  llvm::Type* type = with_lanes(b.getInt64Ty(), lanes);
  llvm::Value* x = b.CreateBitCast(v, type);
  constexpr struct {
    uint64_t mask;
    int shift;
  } kSteps[] = {{0x00ff00ff00ff00ff, 8}, {0x0000ffff0000ffff, 16}, {0x00000000ffffffff, 32}};
  for (const auto& step : kSteps) {
    llvm::Constant* mask = llvm::ConstantInt::get(type, step.mask);
    llvm::Value* high = b.CreateAnd(b.CreateLShr(x, step.shift), mask);
    x = b.CreateAdd(b.CreateAnd(x, mask), high);
  }
  return x;
}

llvm::Value* table_lookup(Builder& b, llvm::Value* table, llvm::Value* index) {
  // One comparison per entry; bit 7 of the index stays in the comparison, so that such lanes match
  // no entry and stay 0. A dynamic extract would go through the stack.
  const int lanes = lanes_of(table);
  llvm::Type* type = table->getType();
  llvm::Value* place = b.CreateAnd(index, llvm::ConstantInt::get(type, 0x8f));
  llvm::Value* result = llvm::Constant::getNullValue(type);
  for (int entry = 0; entry < 16; ++entry) {
    llvm::SmallVector<int, 64> from(lanes);
    for (int i = 0; i < lanes; ++i) from[i] = i / 16 * 16 + entry;
    llvm::Value* value = b.CreateShuffleVector(table, from);
    llvm::Value* here = b.CreateICmpEQ(place, llvm::ConstantInt::get(type, entry));
    result = b.CreateSelect(here, value, result);
  }
  return result;
}

llvm::Value* round_even(Builder& b, llvm::Value* x) {
  // 1. Below 2^23 in magnitude, adding 2^23 leaves no bits for a fraction: the sum is rounded to an
  //    integer, to nearest even, and subtracting 2^23 is exact.
  // 2. From 2^23 on (and for Inf) x is an integer already; NaN fails the comparison and stays.
  // 3. The sign is put back, so that −0.2 gives −0.
  llvm::Type* type = x->getType();
  llvm::Value* limit = llvm::ConstantFP::get(type, 8388608.0);
  llvm::Value* magnitude = b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  llvm::Value* rounded = b.CreateFSub(b.CreateFAdd(magnitude, limit), limit);
  rounded = b.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, rounded, x);
  return b.CreateSelect(b.CreateFCmpOLT(magnitude, limit), rounded, x);
}

llvm::Value* to_i32(Builder& b, llvm::Value* x) {
  return b.CreateFPToSI(round_even(b, x), with_lanes(b.getInt32Ty(), lanes_of(x)));
}

llvm::Value* fused_multiply_add(Builder& b, llvm::Value* x, llvm::Value* y, llvm::Value* z) {
  // Boldo and Melquiond, "Emulation of FMA and correctly rounded sums" (2008), with doubles:
  // 1. x·y is exact in double (48 bits, no underflow).
  // 2. s = x·y + z rounded, e its error, exactly (Knuth's two-sum).
  // 3. Where e ≠ 0 and s is even, s moves one unit towards e: that is rounding to odd.
  // 4. Rounding that to float equals rounding the exact sum, since 53 ≥ 2·24 + 2.
  // Inf and NaN: e is NaN, the comparison fails, s stays.
  const int lanes = lanes_of(x);
  llvm::Type* type = with_lanes(b.getDoubleTy(), lanes);
  llvm::Type* bits = with_lanes(b.getInt64Ty(), lanes);
  llvm::Value* p = b.CreateFMul(b.CreateFPExt(x, type), b.CreateFPExt(y, type));
  llvm::Value* c = b.CreateFPExt(z, type);
  llvm::Value* s = b.CreateFAdd(p, c);
  llvm::Value* c2 = b.CreateFSub(s, p);
  llvm::Value* e = b.CreateFAdd(b.CreateFSub(p, b.CreateFSub(s, c2)), b.CreateFSub(c, c2));
  llvm::Value* zero = llvm::Constant::getNullValue(type);
  llvm::Value* one = llvm::ConstantInt::get(bits, 1);
  llvm::Value* raw = b.CreateBitCast(s, bits);
  llvm::Value* even = b.CreateICmpEQ(b.CreateAnd(raw, one), llvm::Constant::getNullValue(bits));
  llvm::Value* inexact = b.CreateFCmpONE(e, zero);
  // Away from zero when e has the sign of s: the next pattern; else the one before.
  llvm::Value* away = b.CreateICmpEQ(b.CreateFCmpOGT(e, zero), b.CreateFCmpOGT(s, zero));
  llvm::Value* moved = b.CreateSelect(away, b.CreateAdd(raw, one), b.CreateSub(raw, one));
  llvm::Value* odd = b.CreateSelect(b.CreateAnd(even, inexact), moved, raw);
  return b.CreateFPTrunc(b.CreateBitCast(odd, type), x->getType());
}

}  // namespace

extern constinit const LoweringDef portable_lowering{.name = "portable",
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
                                                     .narrow_saturated = clamp_to_bytes,
                                                     .fused_multiply_add = fused_multiply_add,
                                                     .fuses_f64 = false};

}  // namespace qloom::jit
