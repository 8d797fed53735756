#include "jit/llvm/llvm_emit.h"

#include <llvm/IR/MDBuilder.h>

#include <algorithm>
#include <bit>

#include "graph/support/error.h"

namespace qloom::jit {
LlvmEmitter::LlvmEmitter(llvm::Module& module, const std::string& name, const Target& target)
    : module_(module),
      name_(name),
      target_(target),
      lowering_(lowering_of(target)),
      entry_builder_(module.getContext()),
      b_(module.getContext()) {
  llvm::LLVMContext& context = module.getContext();
  if (module.getFunction(name)) fail("function", {}, "a function of this name exists already");
  auto* type = llvm::FunctionType::get(
      b_.getVoidTy(), {b_.getPtrTy(), b_.getInt64Ty(), b_.getInt64Ty(), b_.getInt64Ty()}, false);
  function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module);
  function_->setDoesNotThrow();
  function_->addParamAttr(0, llvm::Attribute::NoAlias);
  function_->addParamAttr(0, llvm::Attribute::ReadOnly);
  function_->addFnAttr("target-cpu", target.cpu);
  function_->addFnAttr("tune-cpu", target.tune);
  entry_ = llvm::BasicBlock::Create(context, "entry", function_);
  auto* first = llvm::BasicBlock::Create(context, "first", function_);
  entry_builder_.SetInsertPoint(llvm::BranchInst::Create(first, entry_));
  b_.SetInsertPoint(first);
}

llvm::Function& LlvmEmitter::finish() {
  b_.CreateRetVoid();
  // Buffers do not overlap: an access within one is a scope, and lies outside the scopes of all
  // others.
  llvm::MDBuilder md(module_.getContext());
  llvm::MDNode* domain = md.createAnonymousAliasScopeDomain(name_);
  std::vector<llvm::Metadata*> scopes;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    scopes.push_back(md.createAnonymousAliasScope(domain, "buffer" + std::to_string(i)));
  }
  for (auto [access, root] : accesses_) {
    if (root == kUnknownBuffer) continue;
    std::vector<llvm::Metadata*> others = scopes;
    others.erase(others.begin() + root);
    llvm::LLVMContext& context = module_.getContext();
    access->setMetadata(llvm::LLVMContext::MD_alias_scope,
                        llvm::MDNode::get(context, {scopes[root]}));
    access->setMetadata(llvm::LLVMContext::MD_noalias, llvm::MDNode::get(context, others));
  }
  return *function_;
}

// --- checks and handles
// ---------------------------------------------------------------------------

void LlvmEmitter::fail(const char* word, std::initializer_list<Value> operands,
                       const std::string& reason) const {
  std::string list;
  for (Value v : operands) {
    if (!list.empty()) list += ", ";
    list += v.valid() ? join_text(name_of(v.element), "x", v.lanes) : "none";
  }
  throw InternalError(join_text("kernel '", name_, "': ", word, "(", list, "): ", reason,
                                " (this is a bug in qloom; please report it)"));
}

void LlvmEmitter::require_same(const char* word, Value a, Value b) const {
  require(a.element == b.element && a.lanes == b.lanes, word, {a, b},
          "operands must have the same element and lanes");
}

void LlvmEmitter::require_element(const char* word, Value v, Element e) const {
  require(v.element == e, word, {v}, join_text("expected elements of ", name_of(e)));
}

void LlvmEmitter::require_pointer(const char* word, Value pointer) const {
  require(pointer.element == Element::pointer && pointer.lanes == 1, word, {pointer},
          "expected a pointer");
}

void LlvmEmitter::require_lanes(const char* word, Element e, int lanes) const {
  const bool good = lanes > 0 && lanes <= 4096 &&
                    std::has_single_bit(static_cast<unsigned>(lanes)) &&
                    (e != Element::pointer || lanes == 1);
  require(
      good, word, {},
      join_text(lanes, " lanes of ", name_of(e), ": expected a power of two, and 1 for pointers"));
}

llvm::Value* LlvmEmitter::at(Value v) const {
  if (!v.valid() || v.id >= static_cast<int32_t>(slots_.size())) {
    fail("operand", {v}, "not a value of this emitter");
  }
  return slots_[v.id].value;
}

Value LlvmEmitter::make(llvm::Value* value, Element e, int lanes, int root) {
  slots_.push_back({value, root});
  return {static_cast<int32_t>(slots_.size()) - 1, e, static_cast<int16_t>(lanes)};
}

llvm::Type* LlvmEmitter::scalar_type(Element e) {
  switch (e) {
    case Element::f32:
      return b_.getFloatTy();
    case Element::f64:
      return b_.getDoubleTy();
    case Element::pointer:
      return b_.getPtrTy();
    default:
      return b_.getIntNTy(8 * bytes_of(e));
  }
}

// --- arguments and constants
// ----------------------------------------------------------------------

Value LlvmEmitter::buffer(int index) {
  require(index >= 0 && index < 4096, "buffer", {}, join_text("index ", index, " is out of range"));
  if (static_cast<size_t>(index) >= buffers_.size()) buffers_.resize(index + 1);
  if (!buffers_[index]) {
    llvm::Value* place =
        entry_builder_.CreateConstGEP1_64(b_.getPtrTy(), function_->getArg(0), index);
    llvm::LoadInst* load = entry_builder_.CreateAlignedLoad(b_.getPtrTy(), place, llvm::Align(8));
    load->setMetadata(llvm::LLVMContext::MD_invariant_load,
                      llvm::MDNode::get(module_.getContext(), {}));
    buffers_[index] = make(load, Element::pointer, 1, index);
  }
  return *buffers_[index];
}

Value LlvmEmitter::count() { return make(function_->getArg(1), Element::i64, 1); }
Value LlvmEmitter::begin() { return make(function_->getArg(2), Element::i64, 1); }
Value LlvmEmitter::end() { return make(function_->getArg(3), Element::i64, 1); }

Value LlvmEmitter::integer(int64_t v, Element e) {
  require(is_integer(e), "integer", {}, "the element must be an integer");
  return make(llvm::ConstantInt::getSigned(scalar_type(e), v), e, 1);
}

Value LlvmEmitter::real(float v) {
  return make(llvm::ConstantFP::get(module_.getContext(), llvm::APFloat(v)), Element::f32, 1);
}

Value LlvmEmitter::splat(Value scalar, int lanes) {
  require(scalar.lanes == 1, "splat", {scalar}, "expected a scalar");
  require_lanes("splat", scalar.element, lanes);
  if (lanes == 1) return scalar;
  return make(b_.CreateVectorSplat(lanes, at(scalar)), scalar.element, lanes);
}

Value LlvmEmitter::zeros(Element e, int lanes) {
  require_lanes("zeros", e, lanes);
  return make(llvm::Constant::getNullValue(type_of(e, lanes)), e, lanes);
}

Value LlvmEmitter::vector_constant(Element e, std::span<const int64_t> lanes) {
  require_lanes("vector_constant", e, static_cast<int>(lanes.size()));
  require(e != Element::pointer && e != Element::f64, "vector_constant", {},
          "expected integers or f32");
  std::vector<llvm::Constant*> constants;
  for (int64_t v : lanes) {
    if (e == Element::f32) {
      const auto bits = llvm::APInt(32, static_cast<uint32_t>(v));
      constants.push_back(llvm::ConstantFP::get(module_.getContext(),
                                                llvm::APFloat(llvm::APFloat::IEEEsingle(), bits)));
    } else {
      constants.push_back(llvm::ConstantInt::getSigned(scalar_type(e), v));
    }
  }
  if (constants.size() == 1) return make(constants[0], e, 1);
  return make(llvm::ConstantVector::get(constants), e, static_cast<int>(lanes.size()));
}

// --- memory
// ---------------------------------------------------------------------------------------

llvm::Value* LlvmEmitter::load_from(Value pointer, llvm::Type* type) {
  llvm::LoadInst* load = b_.CreateAlignedLoad(type, at(pointer), llvm::Align(1));
  accesses_.emplace_back(load, slots_[pointer.id].root);
  return load;
}

void LlvmEmitter::store_to(Value pointer, llvm::Value* value, int64_t byte_offset) {
  llvm::Value* place = at(pointer);
  if (byte_offset) place = b_.CreateConstGEP1_64(b_.getInt8Ty(), place, byte_offset);
  llvm::StoreInst* store = b_.CreateAlignedStore(value, place, llvm::Align(1));
  accesses_.emplace_back(store, slots_[pointer.id].root);
}

Value LlvmEmitter::offset(Value pointer, Value bytes) {
  require_pointer("offset", pointer);
  require(bytes.element == Element::i64 && bytes.lanes == 1, "offset", {pointer, bytes},
          "the offset must be a scalar i64");
  return make(b_.CreateGEP(b_.getInt8Ty(), at(pointer), at(bytes)), Element::pointer, 1,
              slots_[pointer.id].root);
}

Value LlvmEmitter::load(Value pointer, Element e, int lanes) {
  require_pointer("load", pointer);
  require_lanes("load", e, lanes);
  return make(load_from(pointer, type_of(e, lanes)), e, lanes);
}

Value LlvmEmitter::load_splat(Value pointer, Element e, int lanes) {
  require_pointer("load_splat", pointer);
  require_lanes("load_splat", e, lanes);
  llvm::Value* scalar = load_from(pointer, scalar_type(e));
  return make(lanes == 1 ? scalar : b_.CreateVectorSplat(lanes, scalar), e, lanes);
}

Value LlvmEmitter::load_table(Value pointer) {
  require_pointer("load_table", pointer);
  llvm::Value* table = load_from(pointer, type_of(Element::i8, 16));
  std::vector<int> repeated(bytes());
  for (int i = 0; i < bytes(); ++i) repeated[i] = i % 16;
  return make(b_.CreateShuffleVector(table, repeated), Element::i8, bytes());
}

void LlvmEmitter::store(Value pointer, Value v) {
  require_pointer("store", pointer);
  store_to(pointer, at(v), 0);
}

void LlvmEmitter::store_first(Value pointer, Value v, int lanes) {
  require_pointer("store_first", pointer);
  require(lanes >= 1 && lanes <= v.lanes, "store_first", {pointer, v},
          join_text(lanes, " lanes are out of range"));
  // The binary digits of `lanes`, largest first: each a store of a power of two.
  for (int first = 0; first < lanes;) {
    const int piece = static_cast<int>(std::bit_floor(static_cast<unsigned>(lanes - first)));
    store_to(pointer, slice_lanes(b_, at(v), first, piece), int64_t{first} * bytes_of(v.element));
    first += piece;
  }
}

// --- control
// --------------------------------------------------------------------------------------

Variable LlvmEmitter::variable(Value initial) {
  llvm::AllocaInst* memory = entry_builder_.CreateAlloca(at(initial)->getType());
  b_.CreateStore(at(initial), memory);
  variables_.push_back({memory, slots_[initial.id].root});
  return {static_cast<int32_t>(variables_.size()) - 1, initial.element, initial.lanes};
}

Value LlvmEmitter::get(Variable v) {
  require(v.id >= 0 && v.id < static_cast<int32_t>(variables_.size()), "get", {},
          "not a variable of this emitter");
  const VariableSlot& slot = variables_[v.id];
  return make(b_.CreateLoad(slot.memory->getAllocatedType(), slot.memory), v.element, v.lanes,
              slot.root);
}

void LlvmEmitter::set(Variable v, Value value) {
  require(v.id >= 0 && v.id < static_cast<int32_t>(variables_.size()), "set", {value},
          "not a variable of this emitter");
  require(v.element == value.element && v.lanes == value.lanes, "set", {value},
          join_text("the variable holds ", name_of(v.element), "x", v.lanes));
  const VariableSlot& slot = variables_[v.id];
  // What was loaded through the variable has been assigned to its buffer already.
  require(slot.root == kUnknownBuffer || slot.root == slots_[value.id].root, "set", {value},
          "a pointer variable must stay within the buffer it began in");
  b_.CreateStore(at(value), slot.memory);
}

void LlvmEmitter::loop(std::string_view name, Value begin, Value end, int64_t step, double,
                       const std::function<void(Value)>& body) {
  require(begin.element == Element::i64 && begin.lanes == 1 && end.element == Element::i64 &&
              end.lanes == 1 && step > 0,
          "loop", {begin, end}, "expected i64 scalars and a positive step");
  // Rotated: one test before the loop, one at the end of each round, so that what does not change
  // can be moved in front.
  llvm::LLVMContext& context = module_.getContext();
  const std::string label(name);
  auto* round = llvm::BasicBlock::Create(context, label, function_);
  auto* done = llvm::BasicBlock::Create(context, label + ".done", function_);
  llvm::BasicBlock* before = b_.GetInsertBlock();
  b_.CreateCondBr(b_.CreateICmpSLT(at(begin), at(end)), round, done);
  b_.SetInsertPoint(round);
  llvm::PHINode* i = b_.CreatePHI(b_.getInt64Ty(), 2, label + ".i");
  i->addIncoming(at(begin), before);
  body(make(i, Element::i64, 1));
  llvm::Value* next = b_.CreateNSWAdd(i, b_.getInt64(step));
  llvm::BranchInst* back = b_.CreateCondBr(b_.CreateICmpSLT(next, at(end)), round, done);
  llvm::MDNode* no_unroll =
      llvm::MDNode::get(context, {llvm::MDString::get(context, "llvm.loop.unroll.disable")});
  llvm::MDNode* id = llvm::MDNode::getDistinct(context, {nullptr, no_unroll});
  id->replaceOperandWith(0, id);
  back->setMetadata(llvm::LLVMContext::MD_loop, id);
  i->addIncoming(next, b_.GetInsertBlock());
  done->moveAfter(b_.GetInsertBlock());
  b_.SetInsertPoint(done);
}

void LlvmEmitter::if_less(Value a, Value b, const std::function<void()>& body) {
  require(a.element == Element::i64 && a.lanes == 1 && b.element == Element::i64 && b.lanes == 1,
          "if_less", {a, b}, "expected i64 scalars");
  auto* then = llvm::BasicBlock::Create(module_.getContext(), "then", function_);
  auto* done = llvm::BasicBlock::Create(module_.getContext(), "endif", function_);
  b_.CreateCondBr(b_.CreateICmpSLT(at(a), at(b)), then, done);
  b_.SetInsertPoint(then);
  body();
  b_.CreateBr(done);
  done->moveAfter(b_.GetInsertBlock());
  b_.SetInsertPoint(done);
}

void LlvmEmitter::call(std::string_view symbol, std::span<const Value> buffers, Value count,
                       Value begin, Value end) {
  for (const Value v : {count, begin, end})
    require(v.element == Element::i64 && v.lanes == 1, "call", {count, begin, end},
            "expected i64 scalars");
  auto* const list = entry_builder_.CreateAlloca(
      llvm::ArrayType::get(b_.getPtrTy(), std::max<size_t>(buffers.size(), 1)));
  for (size_t i = 0; i < buffers.size(); ++i) {
    require_pointer("call", buffers[i]);
    b_.CreateStore(at(buffers[i]), b_.CreateConstGEP1_64(b_.getPtrTy(), list, i));
  }
  llvm::Function* callee = module_.getFunction(symbol);
  if (callee == nullptr) {
    callee = llvm::Function::Create(function_->getFunctionType(), llvm::Function::ExternalLinkage,
                                    symbol, module_);
    callee->setDoesNotThrow();
  }
  callees_.emplace(symbol);
  b_.CreateCall(callee, {list, at(count), at(begin), at(end)});
}

}  // namespace qloom::jit
