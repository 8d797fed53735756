// jit/llvm/llvm_emit.h: the emitter's words as LLVM IR (llvm_emit.cc, llvm_words.cc).
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "jit/emitter.h"
#include "jit/llvm/lowering.h"

namespace qloom::jit {

/// Writes one function into a module. Each misuse of a word throws InternalError naming the
/// function, the word and the operands.
class LlvmEmitter final : public Emitter {
 public:
  /// Begins `void name(ptr buffers, i64 count, i64 begin, i64 end)`.
  LlvmEmitter(llvm::Module& module, const std::string& name, const Target& target);

  /// Ends the function: returns, and tells LLVM which accesses belong to which buffer.
  llvm::Function& finish();

  [[nodiscard]] const Target& target() const override { return target_; }

  Value buffer(int index) override;
  Value count() override;
  Value begin() override;
  Value end() override;
  Value integer(int64_t v, Element e) override;
  Value real(float v) override;
  Value splat(Value scalar, int lanes) override;
  Value zeros(Element e, int lanes) override;
  Value vector_constant(Element e, std::span<const int64_t> lanes) override;

  Value offset(Value pointer, Value bytes) override;
  Value load(Value pointer, Element e, int lanes) override;
  Value load_splat(Value pointer, Element e, int lanes) override;
  Value load_table(Value pointer) override;
  void store(Value pointer, Value v) override;
  void store_first(Value pointer, Value v, int lanes) override;

  Value binary(Binary op, Value a, Value b) override;
  Value compare(Compare op, Value a, Value b) override;
  Value select(Value mask, Value a, Value b) override;
  Value negate(Value a) override;
  Value fused_multiply_add(Value a, Value b, Value c) override;
  Value round_even(Value v) override;
  Value square_root(Value v) override;
  Value to_f32(Value v) override;
  Value to_f64(Value v) override;
  Value add_exact_product(Value sum, Value a, Value b) override;
  Value to_i32(Value v) override;
  Value widen_signed(Value v, Element e) override;
  Value widen_unsigned(Value v, Element e) override;
  Value narrow(Value v, Element e) override;
  Value bitcast(Value v, Element e) override;
  Value multiply_add_pairs_u8s8(Value u8, Value s8, Pairs pairs) override;
  Value multiply_add_pairs_s16(Value a, Value b) override;
  Value add_dot_u8s8(Value sum, Value u8, Value s8) override;
  Value add_dot_s16(Value sum, Value a, Value b) override;
  Value narrow_saturated(Value i32, bool is_signed) override;
  Value logic(Logic op, Value a, Value b, Value c) override;
  Value popcount_bytes(Value v) override;
  Value sum_bytes(Value v) override;
  Value reduce_add(Value v) override;
  Value sign_bits(Value v) override;

  Value table_lookup(Value table, Value index) override;
  Value permute_bytes(Value table, Value index) override;
  Value interleave_low(Value a, Value b) override;
  Value interleave_high(Value a, Value b) override;
  Value concat(Value a, Value b) override;
  Value slice(Value v, int first, int lanes) override;

  Variable variable(Value initial) override;
  Value get(Variable v) override;
  void set(Variable v, Value value) override;
  void loop(std::string_view name, Value begin, Value end, int64_t step, double expected,
            const std::function<void(Value)>& body) override;
  void if_less(Value a, Value b, const std::function<void()>& body) override;
  void call(std::string_view symbol, std::span<const Value> buffers, Value count, Value begin,
            Value end) override;

  /// Functions that this one calls.
  [[nodiscard]] const std::set<std::string>& callees() const { return callees_; }

 private:
  static constexpr int kUnknownBuffer = -1;
  static constexpr const char* kElementNames[] = {"i8",  "i16",     "i32", "i64",
                                                  "f32", "pointer", "f64"};
  [[nodiscard]] static const char* name_of(Element e) { return kElementNames[static_cast<int>(e)]; }
  [[nodiscard]] static bool is_integer(Element e) {
    return e != Element::f32 && e != Element::f64 && e != Element::pointer;
  }

  /// What a Value stands for. `root`: for a pointer, the index of the buffer that it points into.
  struct Slot {
    llvm::Value* value;
    int root;
  };
  struct VariableSlot {
    llvm::AllocaInst* memory;
    int root;
  };

  /// Throws InternalError: "NAME: word(operands): reason".
  [[noreturn]] void fail(const char* word, std::initializer_list<Value> operands,
                         const std::string& reason) const;
  void require(bool condition, const char* word, std::initializer_list<Value> operands,
               const std::string& reason) const {
    if (!condition) fail(word, operands, reason);
  }
  /// Same element and lanes.
  void require_same(const char* word, Value a, Value b) const;
  void require_element(const char* word, Value v, Element e) const;
  void require_pointer(const char* word, Value pointer) const;
  void require_lanes(const char* word, Element e, int lanes) const;

  [[nodiscard]] llvm::Value* at(Value v) const;
  [[nodiscard]] Value make(llvm::Value* value, Element e, int lanes, int root = kUnknownBuffer);
  [[nodiscard]] llvm::Type* scalar_type(Element e);
  [[nodiscard]] llvm::Type* type_of(Element e, int lanes) {
    return with_lanes(scalar_type(e), lanes);
  }
  llvm::Value* load_from(Value pointer, llvm::Type* type);
  void store_to(Value pointer, llvm::Value* value, int64_t byte_offset);
  Value interleave(const char* word, Value a, Value b, bool high);
  llvm::Value* vector_compare(Compare op, llvm::Value* a, llvm::Value* b);
  llvm::Value* as_mask(Value mask);

  llvm::Module& module_;
  std::string name_;
  Target target_;
  const LoweringDef& lowering_;
  llvm::Function* function_;
  llvm::BasicBlock* entry_;  ///< allocas and buffer pointers
  Builder entry_builder_;
  Builder b_;
  std::vector<Slot> slots_;
  std::vector<VariableSlot> variables_;
  std::vector<std::optional<Value>> buffers_;
  std::set<std::string> callees_;
  std::vector<std::pair<llvm::Instruction*, int>> accesses_;  ///< with the buffer each belongs to
};

}  // namespace qloom::jit
