#include "jit/llvm/lowering.h"

#include <array>

#include "graph/support/error.h"

namespace qloom::jit {
namespace {

/// In the order of Lowering.
constexpr std::array kLowerings = {&avx512_lowering, &avx2_lowering, &neon_lowering,
                                   &portable_lowering};

}  // namespace

const LoweringDef& lowering_of(const Target& target) {
  const auto index = static_cast<size_t>(target.lowering);
  qloom_assert(index < kLowerings.size(), "no lowering has number ", index);
  return *kLowerings[index];
}

int lanes_of(llvm::Value* v) {
  auto* type = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  return type ? static_cast<int>(type->getNumElements()) : 1;
}

llvm::Type* with_lanes(llvm::Type* scalar, int lanes) {
  return lanes == 1 ? scalar : llvm::FixedVectorType::get(scalar, lanes);
}

llvm::Value* slice_lanes(Builder& b, llvm::Value* v, int first, int lanes) {
  if (lanes == lanes_of(v)) return v;
  if (lanes == 1) return b.CreateExtractElement(v, first);
  llvm::SmallVector<int, 64> from(lanes);
  for (int i = 0; i < lanes; ++i) from[i] = first + i;
  return b.CreateShuffleVector(v, from);
}

llvm::Value* concat_lanes(Builder& b, llvm::Value* x, llvm::Value* y) {
  const int lanes = lanes_of(x);
  if (lanes == 1) {
    llvm::Value* pair = llvm::PoisonValue::get(with_lanes(x->getType(), 2));
    pair = b.CreateInsertElement(pair, x, uint64_t{0});
    return b.CreateInsertElement(pair, y, uint64_t{1});
  }
  llvm::SmallVector<int, 64> all(2 * lanes);
  for (int i = 0; i < 2 * lanes; ++i) all[i] = i;
  return b.CreateShuffleVector(x, y, all);
}

llvm::Value* plain_logic(Builder& b, Logic op, llvm::Value* x, llvm::Value* y, llvm::Value* z) {
  if (op == Logic::and_xor) return b.CreateAnd(x, b.CreateXor(y, z));
  llvm::Value* differ = b.CreateXor(x, y);
  if (op == Logic::parity) return b.CreateXor(differ, z);
  // A full adder computes `differ` once for both.
  return b.CreateOr(b.CreateAnd(x, y), b.CreateAnd(differ, z));
}

llvm::Value* clamp_to_bytes(Builder& b, llvm::Value* v, bool is_signed) {
  auto bound = [&](int64_t value) { return llvm::ConstantInt::getSigned(v->getType(), value); };
  v = b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, v, bound(is_signed ? -128 : 0));
  v = b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, v, bound(is_signed ? 127 : 255));
  return b.CreateTrunc(v, with_lanes(b.getInt8Ty(), lanes_of(v)));
}

llvm::Value* every_second(Builder& b, llvm::Value* v, int first) {
  const int lanes = lanes_of(v) / 2;
  if (lanes == 1) return b.CreateExtractElement(v, first);
  llvm::SmallVector<int, 64> from(lanes);
  for (int i = 0; i < lanes; ++i) from[i] = 2 * i + first;
  return b.CreateShuffleVector(v, from);
}

}  // namespace qloom::jit
