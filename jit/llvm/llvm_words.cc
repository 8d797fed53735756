// jit/llvm/llvm_words.cc: arithmetic and shuffles of LlvmEmitter; arguments, memory and control are
// in llvm_emit.cc.
#include "graph/support/error.h"
#include "jit/llvm/llvm_emit.h"

namespace qloom::jit {
namespace {

Element integer_of_width(Element e) {
  return e == Element::f32                            ? Element::i32
         : e == Element::pointer || e == Element::f64 ? Element::i64
                                                      : e;
}

}  // namespace

// --- arithmetic
// -----------------------------------------------------------------------------------

Value LlvmEmitter::binary(Binary op, Value a, Value b) {
  constexpr const char* kNames[] = {"add",
                                    "subtract",
                                    "multiply",
                                    "divide",
                                    "min_signed",
                                    "max_signed",
                                    "min_unsigned",
                                    "max_unsigned",
                                    "minimum",
                                    "maximum",
                                    "bit_and",
                                    "bit_or",
                                    "bit_xor",
                                    "shift_left",
                                    "shift_right_logical",
                                    "shift_right_arithmetic"};
  const char* word = kNames[static_cast<int>(op)];
  llvm::Value* x = at(a);
  llvm::Value* y = at(b);
  const bool shift = op >= Binary::shift_left;
  if (shift && b.lanes == 1 && a.lanes > 1) {
    auto* amount = llvm::dyn_cast<llvm::ConstantInt>(y);
    require(amount, word, {a, b}, "a scalar shift amount must be a constant");
    y = b_.CreateVectorSplat(
        a.lanes, llvm::ConstantInt::get(scalar_type(a.element), amount->getZExtValue()));
  } else if (shift && llvm::isa<llvm::ConstantInt>(y)) {
    y = llvm::ConstantInt::get(scalar_type(a.element),
                               llvm::cast<llvm::ConstantInt>(y)->getZExtValue());
  } else {
    require_same(word, a, b);
  }
  if (auto* amount = llvm::dyn_cast<llvm::Constant>(y); shift && amount) {
    // Vector or scalar: LLVM gives poison from the width on, so such constants are refused.
    for (int i = 0; i < a.lanes; ++i) {
      llvm::Constant* lane = a.lanes == 1 ? amount : amount->getAggregateElement(i);
      auto* number = llvm::dyn_cast_or_null<llvm::ConstantInt>(lane);
      require(number && number->getValue().ult(8 * bytes_of(a.element)), word, {a, b},
              "the shift amount must be less than the element's width");
    }
  }
  const bool real = a.element == Element::f32 || a.element == Element::f64;
  const bool real_only = op == Binary::divide || op == Binary::minimum || op == Binary::maximum;
  const bool any = op == Binary::add || op == Binary::subtract || op == Binary::multiply;
  require(a.element != Element::pointer && (any || real == real_only), word, {a, b},
          real_only ? "needs f32 or f64" : "needs integers");
  auto integer_intrinsic = [&](llvm::Intrinsic::ID id) {
    return b_.CreateBinaryIntrinsic(id, x, y);
  };
  llvm::Value* r = nullptr;
  switch (op) {
    case Binary::add:
      r = real ? b_.CreateFAdd(x, y) : b_.CreateAdd(x, y);
      break;
    case Binary::subtract:
      r = real ? b_.CreateFSub(x, y) : b_.CreateSub(x, y);
      break;
    case Binary::multiply:
      r = real ? b_.CreateFMul(x, y) : b_.CreateMul(x, y);
      break;
    case Binary::divide:
      r = b_.CreateFDiv(x, y);
      break;
    case Binary::min_signed:
      r = integer_intrinsic(llvm::Intrinsic::smin);
      break;
    case Binary::max_signed:
      r = integer_intrinsic(llvm::Intrinsic::smax);
      break;
    case Binary::min_unsigned:
      r = integer_intrinsic(llvm::Intrinsic::umin);
      break;
    case Binary::max_unsigned:
      r = integer_intrinsic(llvm::Intrinsic::umax);
      break;
    // Exactly minps and maxps: b where the comparison fails, NaN and equal zeros included.
    case Binary::minimum:
      r = b_.CreateSelect(b_.CreateFCmpOLT(x, y), x, y);
      break;
    case Binary::maximum:
      r = b_.CreateSelect(b_.CreateFCmpOGT(x, y), x, y);
      break;
    case Binary::bit_and:
      r = b_.CreateAnd(x, y);
      break;
    case Binary::bit_or:
      r = b_.CreateOr(x, y);
      break;
    case Binary::bit_xor:
      r = b_.CreateXor(x, y);
      break;
    case Binary::shift_left:
      r = b_.CreateShl(x, y);
      break;
    case Binary::shift_right_logical:
      r = b_.CreateLShr(x, y);
      break;
    case Binary::shift_right_arithmetic:
      r = b_.CreateAShr(x, y);
      break;
  }
  return make(r, a.element, a.lanes);
}

Value LlvmEmitter::compare(Compare op, Value a, Value b) {
  require_same("compare", a, b);
  const bool real = op >= Compare::greater_equal_f32;
  require(real == (a.element == Element::f32) && a.element != Element::pointer, "compare", {a, b},
          real ? "this comparison needs f32" : "this comparison needs integers");
  llvm::Value* bits = vector_compare(op, at(a), at(b));
  const Element e = integer_of_width(a.element);
  return make(b_.CreateSExt(bits, type_of(e, a.lanes)), e, a.lanes);
}

llvm::Value* LlvmEmitter::vector_compare(Compare op, llvm::Value* a, llvm::Value* b) {
  switch (op) {
    case Compare::equal:
      return b_.CreateICmpEQ(a, b);
    case Compare::less_signed:
      return b_.CreateICmpSLT(a, b);
    case Compare::greater_signed:
      return b_.CreateICmpSGT(a, b);
    case Compare::less_unsigned:
      return b_.CreateICmpULT(a, b);
    case Compare::greater_equal_f32:
      return b_.CreateFCmpOGE(a, b);
    case Compare::less_f32:
      return b_.CreateFCmpOLT(a, b);
    case Compare::equal_f32:
      return b_.CreateFCmpOEQ(a, b);
  }
  fail("compare", {}, "unknown comparison");
}

llvm::Value* LlvmEmitter::as_mask(Value mask) {
  llvm::Value* v = at(mask);
  return b_.CreateICmpSLT(v, llvm::Constant::getNullValue(v->getType()));
}

Value LlvmEmitter::select(Value mask, Value a, Value b) {
  require_same("select", a, b);
  require(mask.lanes == a.lanes && mask.element == integer_of_width(a.element), "select",
          {mask, a, b}, "the mask must have the operands' lanes and width");
  const int root = slots_[a.id].root == slots_[b.id].root ? slots_[a.id].root : kUnknownBuffer;
  return make(b_.CreateSelect(as_mask(mask), at(a), at(b)), a.element, a.lanes, root);
}

Value LlvmEmitter::negate(Value a) {
  require(a.element != Element::pointer, "negate", {a}, "pointers have no negative");
  llvm::Value* r = a.element == Element::f32 ? b_.CreateFNeg(at(a)) : b_.CreateNeg(at(a));
  return make(r, a.element, a.lanes);
}

Value LlvmEmitter::fused_multiply_add(Value a, Value b, Value c) {
  require_same("fused_multiply_add", a, b);
  require_same("fused_multiply_add", b, c);
  require_element("fused_multiply_add", a, Element::f32);
  return make(lowering_.fused_multiply_add(b_, at(a), at(b), at(c)), Element::f32, a.lanes);
}

Value LlvmEmitter::round_even(Value v) {
  require_element("round_even", v, Element::f32);
  return make(lowering_.round_even(b_, at(v)), Element::f32, v.lanes);
}

Value LlvmEmitter::square_root(Value v) {
  require_element("square_root", v, Element::f32);
  return make(b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, at(v)), Element::f32, v.lanes);
}

Value LlvmEmitter::to_f32(Value v) {
  if (v.element == Element::f64)
    return make(b_.CreateFPTrunc(at(v), type_of(Element::f32, v.lanes)), Element::f32, v.lanes);
  require_element("to_f32", v, Element::i32);
  return make(b_.CreateSIToFP(at(v), type_of(Element::f32, v.lanes)), Element::f32, v.lanes);
}

Value LlvmEmitter::to_f64(Value v) {
  require_element("to_f64", v, Element::f32);
  return make(b_.CreateFPExt(at(v), type_of(Element::f64, v.lanes)), Element::f64, v.lanes);
}

Value LlvmEmitter::add_exact_product(Value sum, Value a, Value b) {
  require_same("add_exact_product", sum, a);
  require_same("add_exact_product", a, b);
  require_element("add_exact_product", a, Element::f64);
  llvm::Value* r =
      lowering_.fuses_f64
          ? b_.CreateIntrinsic(llvm::Intrinsic::fma, {at(a)->getType()}, {at(a), at(b), at(sum)})
          : b_.CreateFAdd(at(sum), b_.CreateFMul(at(a), at(b)));
  return make(r, Element::f64, a.lanes);
}

Value LlvmEmitter::to_i32(Value v) {
  require_element("to_i32", v, Element::f32);
  return make(lowering_.to_i32(b_, at(v)), Element::i32, v.lanes);
}

Value LlvmEmitter::widen_signed(Value v, Element e) {
  require(is_integer(v.element) && is_integer(e) && bytes_of(e) >= bytes_of(v.element),
          "widen_signed", {v}, "expected integers, the result no narrower");
  return make(b_.CreateSExt(at(v), type_of(e, v.lanes)), e, v.lanes);
}

Value LlvmEmitter::widen_unsigned(Value v, Element e) {
  require(is_integer(v.element) && is_integer(e) && bytes_of(e) >= bytes_of(v.element),
          "widen_unsigned", {v}, "expected integers, the result no narrower");
  return make(b_.CreateZExt(at(v), type_of(e, v.lanes)), e, v.lanes);
}

Value LlvmEmitter::narrow(Value v, Element e) {
  require(is_integer(v.element) && is_integer(e) && bytes_of(e) <= bytes_of(v.element), "narrow",
          {v}, "expected integers, the result no wider");
  return make(b_.CreateTrunc(at(v), type_of(e, v.lanes)), e, v.lanes);
}

Value LlvmEmitter::bitcast(Value v, Element e) {
  require(v.element != Element::pointer && e != Element::pointer && v.bytes() % bytes_of(e) == 0,
          "bitcast", {v}, join_text("its bytes are no whole lanes of ", name_of(e)));
  const int lanes = v.bytes() / bytes_of(e);
  return make(b_.CreateBitCast(at(v), type_of(e, lanes)), e, lanes);
}

Value LlvmEmitter::multiply_add_pairs_u8s8(Value u8, Value s8, Pairs pairs) {
  require_same("multiply_add_pairs_u8s8", u8, s8);
  require_element("multiply_add_pairs_u8s8", u8, Element::i8);
  require(u8.lanes >= 2, "multiply_add_pairs_u8s8", {u8, s8}, "expected at least two lanes");
  return make(lowering_.pairs_u8s8(b_, at(u8), at(s8), pairs), Element::i16, u8.lanes / 2);
}

Value LlvmEmitter::multiply_add_pairs_s16(Value a, Value b) {
  require_same("multiply_add_pairs_s16", a, b);
  require_element("multiply_add_pairs_s16", a, Element::i16);
  require(a.lanes >= 2, "multiply_add_pairs_s16", {a, b}, "expected at least two lanes");
  return make(lowering_.pairs_s16(b_, at(a), at(b)), Element::i32, a.lanes / 2);
}

Value LlvmEmitter::add_dot_u8s8(Value sum, Value u8, Value s8) {
  require_same("add_dot_u8s8", u8, s8);
  require_element("add_dot_u8s8", u8, Element::i8);
  require(sum.element == Element::i32 && sum.lanes * 4 == u8.lanes, "add_dot_u8s8", {sum, u8, s8},
          "expected a sum of i32, one lane for four products");
  return make(lowering_.dot_u8s8(b_, at(sum), at(u8), at(s8)), Element::i32, sum.lanes);
}

Value LlvmEmitter::add_dot_s16(Value sum, Value a, Value b) {
  require_same("add_dot_s16", a, b);
  require_element("add_dot_s16", a, Element::i16);
  require(sum.element == Element::i32 && sum.lanes * 2 == a.lanes, "add_dot_s16", {sum, a, b},
          "expected a sum of i32, one lane for two products");
  return make(lowering_.dot_s16(b_, at(sum), at(a), at(b)), Element::i32, sum.lanes);
}

Value LlvmEmitter::narrow_saturated(Value v, bool is_signed) {
  require(v.element == Element::i32, "narrow_saturated", {v}, "needs i32");
  return make(lowering_.narrow_saturated(b_, at(v), is_signed), Element::i8, v.lanes);
}

Value LlvmEmitter::logic(Logic op, Value a, Value b, Value c) {
  require_same("logic", a, b);
  require_same("logic", b, c);
  require(is_integer(a.element), "logic", {a, b, c}, "needs integers");
  return make(lowering_.logic(b_, op, at(a), at(b), at(c)), a.element, a.lanes);
}

Value LlvmEmitter::popcount_bytes(Value v) {
  require_element("popcount_bytes", v, Element::i8);
  return make(b_.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, at(v)), Element::i8, v.lanes);
}

Value LlvmEmitter::sum_bytes(Value v) {
  require_element("sum_bytes", v, Element::i8);
  require(v.lanes >= 8, "sum_bytes", {v}, "expected at least eight lanes");
  return make(lowering_.sum_bytes(b_, at(v)), Element::i64, v.lanes / 8);
}

Value LlvmEmitter::reduce_add(Value v) {
  require(is_integer(v.element), "reduce_add", {v}, "needs integers");
  if (v.lanes == 1) return v;
  return make(b_.CreateAddReduce(at(v)), v.element, 1);
}

Value LlvmEmitter::sign_bits(Value v) {
  require_element("sign_bits", v, Element::i8);
  require(v.lanes <= 64, "sign_bits", {v}, "expected at most 64 lanes");
  llvm::Value* bits = as_mask(v);
  if (v.lanes > 1) bits = b_.CreateBitCast(bits, b_.getIntNTy(v.lanes));
  return make(b_.CreateZExt(bits, b_.getInt64Ty()), Element::i64, 1);
}

// --- shuffles
// -------------------------------------------------------------------------------------

Value LlvmEmitter::table_lookup(Value table, Value index) {
  require_same("table_lookup", table, index);
  require_element("table_lookup", table, Element::i8);
  require(table.lanes % 16 == 0, "table_lookup", {table, index}, "expected whole 16-byte lanes");
  return make(lowering_.table_lookup(b_, at(table), at(index)), Element::i8, table.lanes);
}

Value LlvmEmitter::permute_bytes(Value table, Value index) {
  require_same("permute_bytes", table, index);
  require_element("permute_bytes", table, Element::i8);
  require(table.lanes % 16 == 0 && table.lanes <= 64, "permute_bytes", {table, index},
          "expected 16, 32 or 64 lanes");
  if (lowering_.permute_bytes != nullptr)
    return make(lowering_.permute_bytes(b_, at(table), at(index)), Element::i8, table.lanes);
  // Each 16 bytes of the table are looked up in all lanes; the index's upper bits choose.
  llvm::Type* type = at(index)->getType();
  const auto splat = [&](int v) { return llvm::ConstantInt::get(type, static_cast<uint64_t>(v)); };
  llvm::Value* low = b_.CreateAnd(at(index), splat(15));
  llvm::Value* high = b_.CreateAnd(at(index), splat((table.lanes - 1) & ~15));
  llvm::Value* result = nullptr;
  for (int part = 0; part < table.lanes; part += 16) {
    std::vector<int> from(table.lanes);
    for (int i = 0; i < table.lanes; ++i) from[i] = part + i % 16;
    llvm::Value* repeated = b_.CreateShuffleVector(at(table), from);
    llvm::Value* found = lowering_.table_lookup(b_, repeated, low);
    result = result == nullptr ? found
                               : b_.CreateSelect(b_.CreateICmpEQ(high, splat(part)), found, result);
  }
  return make(result, Element::i8, table.lanes);
}

Value LlvmEmitter::interleave(const char* word, Value a, Value b, bool high) {
  require_same(word, a, b);
  require(a.bytes() % 16 == 0, word, {a, b}, "expected whole 16-byte lanes");
  const int per_lane = 16 / bytes_of(a.element);
  std::vector<int> from(a.lanes);
  for (int i = 0; i < a.lanes; ++i) {
    const int lane = i / per_lane * per_lane, within = i % per_lane;
    from[i] = lane + within / 2 + (high ? per_lane / 2 : 0) + (within % 2 ? a.lanes : 0);
  }
  return make(b_.CreateShuffleVector(at(a), at(b), from), a.element, a.lanes);
}

Value LlvmEmitter::interleave_low(Value a, Value b) {
  return interleave("interleave_low", a, b, false);
}

Value LlvmEmitter::interleave_high(Value a, Value b) {
  return interleave("interleave_high", a, b, true);
}

Value LlvmEmitter::concat(Value a, Value b) {
  require_same("concat", a, b);
  require(a.element != Element::pointer, "concat", {a, b}, "pointers form no vectors");
  return make(concat_lanes(b_, at(a), at(b)), a.element, 2 * a.lanes);
}

Value LlvmEmitter::slice(Value v, int first, int lanes) {
  require_lanes("slice", v.element, lanes);
  require(first >= 0 && first + lanes <= v.lanes, "slice", {v},
          join_text("lanes ", first, " to ", first + lanes, " are out of range"));
  return make(slice_lanes(b_, at(v), first, lanes), v.element, lanes, slots_[v.id].root);
}

}  // namespace qloom::jit
