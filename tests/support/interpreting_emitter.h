// tests/support/interpreting_emitter.h: a third lowering of the Emitter, which needs no LLVM: it
// records a kernel as a tree of small steps and walks it. Slow and plain: the oracle for the other
// two, and a strict one. It checks the types of all operands and, when told which memory belongs to
// the kernel, every access.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "jit/emitter.h"

namespace qloom::testing {

class InterpretingEmitter final : public jit::Emitter {
 public:
  using Value = jit::Value;
  using Variable = jit::Variable;
  using Element = jit::Element;

  explicit InterpretingEmitter(jit::Target target) : target_(std::move(target)) {}

  /// Memory that a kernel may touch: [begin, end).
  struct Region {
    const uint8_t* begin;
    const uint8_t* end;
    bool writable;
  };
  /// Runs what was emitted. Throws std::runtime_error on an access outside of the regions (none:
  /// not checked).
  void run(void* const* buffers, int64_t count, int64_t begin, int64_t end,
           std::vector<Region> regions = {});

  const jit::Target& target() const override { return target_; }
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
  Value binary(jit::Binary op, Value a, Value b) override;
  Value compare(jit::Compare op, Value a, Value b) override;
  Value select(Value mask, Value a, Value b) override;
  Value negate(Value a) override;
  Value fused_multiply_add(Value a, Value b, Value c) override;
  Value round_even(Value f32) override {
    return of_real("round_even", f32, [](float v) { return std::nearbyint(v); });
  }
  Value square_root(Value f32) override {
    return of_real("square_root", f32, [](float v) { return std::sqrt(v); });
  }
  Value to_f32(Value v) override;
  Value to_f64(Value f32) override;
  Value add_exact_product(Value sum, Value a, Value b) override;
  Value to_i32(Value f32) override;
  Value widen_signed(Value v, Element e) override;
  Value widen_unsigned(Value v, Element e) override;
  Value narrow(Value v, Element e) override;
  Value bitcast(Value v, Element e) override;
  Value multiply_add_pairs_u8s8(Value u8, Value s8, jit::Pairs pairs) override;
  Value multiply_add_pairs_s16(Value a, Value b) override;
  Value add_dot_u8s8(Value sum, Value u8, Value s8) override;
  Value add_dot_s16(Value sum, Value a, Value b) override;
  Value narrow_saturated(Value v, bool is_signed) override;
  Value logic(jit::Logic op, Value a, Value b, Value c) override;
  Value popcount_bytes(Value v) override;
  Value sum_bytes(Value v) override;
  Value reduce_add(Value v) override;
  Value sign_bits(Value i8) override;
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
  using jit::Emitter::offset;

 private:
  using Step = std::function<void()>;
  using Block = std::vector<Step>;
  Value make(Element e, int lanes);
  void emit(Step step) { blocks_.back()->push_back(std::move(step)); }
  uint8_t* at(Value v) { return memory_.data() + places_[static_cast<size_t>(v.id)]; }
  int64_t signed_lane(Value v, int lane);
  uint64_t unsigned_lane(Value v, int lane);
  float f32_lane(Value v, int lane);
  double f64_lane(Value v, int lane);
  void set_lane(Value v, int lane, int64_t x);
  void set_f32(Value v, int lane, float x);
  void set_f64(Value v, int lane, double x);
  uint8_t* pointer(Value v);
  void check_access(const uint8_t* begin, int64_t bytes, bool write) const;
  Value of_real(const char* word, Value a, float (*f)(float));
  Value lanewise(Element e, Value a, std::function<int64_t(int)> f);
  template <class T>
  T real_binary(jit::Binary op, T a, T b) const;
  Value interleave(Value a, Value b, bool high);
  static void run_block(const Block& block);
  void require(bool ok, const char* what) const;

  jit::Target target_;
  std::vector<size_t> places_;
  std::vector<uint8_t> memory_;
  size_t bytes_ = 0;
  Block main_;
  std::vector<Block*> blocks_{&main_};
  std::vector<std::unique_ptr<Block>> owned_;
  void* const* buffers_ = nullptr;
  int64_t count_ = 0, begin_ = 0, end_ = 0;
  std::vector<Region> regions_;
};

}  // namespace qloom::testing
