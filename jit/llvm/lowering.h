// jit/llvm/lowering.h: the words of the emitter whose instructions depend on the target.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include "jit/emitter.h"

namespace qloom::jit {

using Builder = llvm::IRBuilder<>;

/// How a target writes the words that plain vector IR does not express well. Operands are LLVM
/// vectors (scalars where the word allows lanes = 1) of any power-of-two length; operands and
/// results as Emitter says, already checked.
struct LoweringDef {
  const char* name;
  llvm::Value* (*pairs_u8s8)(Builder&, llvm::Value* u8, llvm::Value* s8, Pairs);
  llvm::Value* (*pairs_s16)(Builder&, llvm::Value* a, llvm::Value* b);
  llvm::Value* (*dot_u8s8)(Builder&, llvm::Value* sum, llvm::Value* u8, llvm::Value* s8);
  llvm::Value* (*dot_s16)(Builder&, llvm::Value* sum, llvm::Value* a, llvm::Value* b);
  llvm::Value* (*logic)(Builder&, Logic op, llvm::Value* x, llvm::Value* y, llvm::Value* z);
  llvm::Value* (*sum_bytes)(Builder&, llvm::Value* v);
  llvm::Value* (*table_lookup)(Builder&, llvm::Value* table, llvm::Value* index);
  /// Null: by table lookups.
  llvm::Value* (*permute_bytes)(Builder&, llvm::Value* table, llvm::Value* index);
  llvm::Value* (*round_even)(Builder&, llvm::Value* f32);
  llvm::Value* (*to_i32)(Builder&, llvm::Value* f32);
  llvm::Value* (*narrow_saturated)(Builder&, llvm::Value* i32, bool is_signed);
  llvm::Value* (*fused_multiply_add)(Builder&, llvm::Value* a, llvm::Value* b, llvm::Value* c);
  bool fuses_f64;  ///< has an instruction for a fused multiply-add of f64
};

extern constinit const LoweringDef avx512_lowering;
extern constinit const LoweringDef avx2_lowering;
extern constinit const LoweringDef neon_lowering;
extern constinit const LoweringDef portable_lowering;

[[nodiscard]] const LoweringDef& lowering_of(const Target& target);

// --- helpers that both lowerings and the emitter use
// ----------------------------------------------

/// Lanes of a value: 1 for a scalar.
[[nodiscard]] int lanes_of(llvm::Value* v);
/// The scalar type, or the vector of `lanes` of it.
[[nodiscard]] llvm::Type* with_lanes(llvm::Type* scalar, int lanes);
/// Lanes first … first + lanes − 1; a scalar when lanes is 1.
[[nodiscard]] llvm::Value* slice_lanes(Builder& b, llvm::Value* v, int first, int lanes);
/// Lanes of a, then those of b (equally many).
[[nodiscard]] llvm::Value* concat_lanes(Builder& b, llvm::Value* x, llvm::Value* y);
/// The plain form of logic.
[[nodiscard]] llvm::Value* plain_logic(Builder& b, Logic op, llvm::Value* x, llvm::Value* y,
                                       llvm::Value* z);
/// Integers clamped to those of 8 bits, as 8 bits: the plain form of narrow_saturated.
[[nodiscard]] llvm::Value* clamp_to_bytes(Builder& b, llvm::Value* v, bool is_signed);
/// Every second lane, from `first`.
[[nodiscard]] llvm::Value* every_second(Builder& b, llvm::Value* v, int first);

}  // namespace qloom::jit
