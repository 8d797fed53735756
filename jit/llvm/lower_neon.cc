// jit/llvm/lower_neon.cc: words as instructions of AArch64 with NEON and dot products. A value
// wider than 16 bytes becomes several instructions.
//
// NEON multiplies bytes of equal signedness only. Where u is unsigned and s signed,
//   u·s = (u − 128)·s + 128·s,   and u − 128 as a signed byte is u with its top bit changed.
// The second term depends on s alone: where s is a weight that several rows share, it is computed
// once for all of them.
#include <llvm/Analysis/SimplifyQuery.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/IntrinsicsAArch64.h>
#include <llvm/IR/Module.h>

#include "jit/llvm/pieces.h"

namespace qloom::jit {
namespace {

namespace arm = llvm::Intrinsic;
using Two = std::array<llvm::Value*, 2>;

llvm::Value* as_signed(Builder& b, llvm::Value* u8) {
  return b.CreateXor(u8, llvm::ConstantInt::get(u8->getType(), 0x80));
}

/// Products of twice the width; of neighbours the sum, modulo that width.
llvm::Value* sums_of_products(Builder& b, llvm::Value* x, llvm::Value* y) {
  const int half = lanes_of(x) / 2;
  llvm::Type* wide = with_lanes(b.getIntNTy(2 * x->getType()->getScalarSizeInBits()), half);
  auto products = [&](int first) {
    return b.CreateMul(b.CreateSExt(slice_lanes(b, x, first, half), wide),
                       b.CreateSExt(slice_lanes(b, y, first, half), wide));
  };
  llvm::Value* low = products(0);
  return b.CreateIntrinsic(arm::aarch64_neon_addp, {wide}, {low, products(half)});
}

llvm::Value* pairs_u8s8(Builder& b, llvm::Value* u8, llvm::Value* s8, Pairs pairs) {
  if (pairs == Pairs::saturating) return portable_lowering.pairs_u8s8(b, u8, s8, pairs);
  return in_pieces(b, 16, Two{u8, s8}, [&](const Two& v) {
    llvm::Type* words = with_lanes(b.getInt16Ty(), 8);
    llvm::Value* offset =
        b.CreateIntrinsic(arm::aarch64_neon_saddlp, {words, v[1]->getType()}, {v[1]});
    return b.CreateAdd(sums_of_products(b, as_signed(b, v[0]), v[1]), b.CreateShl(offset, 7));
  });
}

llvm::Value* pairs_s16(Builder& b, llvm::Value* x, llvm::Value* y) {
  return in_pieces(b, 16, Two{x, y}, [&](const Two& v) { return sums_of_products(b, v[0], v[1]); });
}

llvm::Value* dot_s16(Builder& b, llvm::Value* sum, llvm::Value* x, llvm::Value* y) {
  return b.CreateAdd(sum, pairs_s16(b, x, y));
}

llvm::Value* dot_u8s8(Builder& b, llvm::Value* sum, llvm::Value* u8, llvm::Value* s8) {
  using Three = std::array<llvm::Value*, 3>;
  return in_pieces(b, 16, Three{sum, u8, s8}, [&](const Three& v) {
    llvm::Type* dwords = with_lanes(b.getInt32Ty(), 4);
    auto dot = [&](llvm::Value* to, llvm::Value* x) {
      return b.CreateIntrinsic(arm::aarch64_neon_sdot, {dwords, x->getType()}, {to, x, v[2]});
    };
    llvm::Constant* minus_128 = llvm::ConstantInt::getSigned(v[2]->getType(), -128);
    llvm::Value* offset = dot(llvm::Constant::getNullValue(dwords), minus_128);
    return b.CreateSub(dot(v[0], as_signed(b, v[1])), offset);
  });
}

llvm::Value* sum_bytes(Builder& b, llvm::Value* v) {
  return in_pieces(b, 16, std::array{v}, [&](const auto& piece) {
    llvm::Value* sums = piece[0];
    for (int lanes = 8; lanes >= 2; lanes /= 2) {
      llvm::Type* wider = with_lanes(b.getIntNTy(128 / lanes), lanes);
      sums = b.CreateIntrinsic(arm::aarch64_neon_uaddlp, {wider, sums->getType()}, {sums});
    }
    return sums;
  });
}

llvm::Value* table_lookup(Builder& b, llvm::Value* table, llvm::Value* index) {
  // The instruction gives 0 for every index from 16 on.
  constexpr uint64_t kIgnored = 0x70;
  const llvm::DataLayout& layout = b.GetInsertBlock()->getModule()->getDataLayout();
  if (!llvm::MaskedValueIsZero(index, llvm::APInt(8, kIgnored), llvm::SimplifyQuery(layout)))
    index = b.CreateAnd(index, llvm::ConstantInt::get(index->getType(), 0xff & ~kIgnored));
  return in_pieces(b, 16, Two{table, index}, [&](const Two& v) {
    return b.CreateIntrinsic(arm::aarch64_neon_tbl1, {v[0]->getType()}, {v[0], v[1]});
  });
}

llvm::Value* round_even(Builder& b, llvm::Value* x) {
  return b.CreateUnaryIntrinsic(arm::roundeven, x);
}

llvm::Value* to_i32(Builder& b, llvm::Value* x) {
  return in_pieces(b, 16, std::array{x}, [&](const auto& piece) {
    llvm::Type* dwords = with_lanes(b.getInt32Ty(), 4);
    return b.CreateIntrinsic(arm::aarch64_neon_fcvtns, {dwords, piece[0]->getType()}, {piece[0]});
  });
}

/// Lanes of half the width, by an instruction that makes 8 bytes of 16.
llvm::Value* narrowed(Builder& b, arm::ID instruction, llvm::Value* v) {
  const int lanes = lanes_of(v);
  if (bytes_of(v) > 16) {
    llvm::Value* low = narrowed(b, instruction, slice_lanes(b, v, 0, lanes / 2));
    return concat_lanes(b, low, narrowed(b, instruction, slice_lanes(b, v, lanes / 2, lanes / 2)));
  }
  llvm::Type* type = with_lanes(b.getIntNTy(v->getType()->getScalarSizeInBits() / 2), lanes);
  return b.CreateIntrinsic(instruction, {type}, {v});
}

llvm::Value* narrow_saturated(Builder& b, llvm::Value* v, bool is_signed) {
  if (lanes_of(v) < 8) return clamp_to_bytes(b, v, is_signed);
  llvm::Value* words = narrowed(b, arm::aarch64_neon_sqxtn, v);
  return narrowed(b, is_signed ? arm::aarch64_neon_sqxtn : arm::aarch64_neon_sqxtun, words);
}

llvm::Value* fused_multiply_add(Builder& b, llvm::Value* x, llvm::Value* y, llvm::Value* z) {
  return b.CreateIntrinsic(arm::fma, {x->getType()}, {x, y, z});
}

}  // namespace

extern constinit const LoweringDef neon_lowering{.name = "neon",
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
