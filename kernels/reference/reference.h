// kernels/reference/reference.h: what the reference kernels share. A sample is decoded from
// whatever storages it lies in to plain arrays of codes or values, the op is a plain loop on those,
// and its result is encoded in whatever storages are asked for. Nothing of this is shared with the
// interpreter, which judges it.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <vector>

#include "graph/interpret.h"
#include "graph/support/fields.h"
#include "kernels/kernel.h"

namespace qloom::kernels::reference {

/// Elements of one sample: their type, their storage, the step of each code.
struct Layout {
  Layout(const TensorType& type, Storage storage);
  TensorType type;
  Storage storage;
  Extents extents;  ///< batch symbol = 1
  int64_t elements = 0;
  int64_t last = 1;  ///< extent of the last axis
  int64_t bytes = 0;
  bool batched = false;       ///< has the batch symbol; else there is one for all samples
  std::vector<double> steps;  ///< none without codes; one; or one per element
  [[nodiscard]] double step(int64_t i) const {
    return steps.size() == 1 ? steps[0] : steps[static_cast<size_t>(i)];
  }
};

/// T integral: codes (of types that have them); a wider code wraps modulo 2^bits. T floating:
/// values, the float32 nearest to code × step.
template <class T>
concept Element = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, int64_t> ||
                  std::same_as<T, uint64_t> || std::same_as<T, uint32_t>;
template <Element T>
void decode(const Layout& layout, const void* data, T* out) noexcept;
template <Element T>
void encode(const Layout& layout, const T* in, void* data) noexcept;

/// What a call works on.
struct Frame {
  void* const* buffers;
  int64_t sample;
  char* scratch;
};

class Call;

/// An operand as an array of T, row-major.
template <Element T>
class Input {
 public:
  /// Decodes a constant at once, else reserves scratch in the call.
  Input(Call& call, size_t operand);
  [[nodiscard]] const T* at(const Frame& frame) const noexcept;
  [[nodiscard]] const Layout& layout() const { return layout_; }
  [[nodiscard]] bool is_constant() const { return is_constant_; }
  [[nodiscard]] const std::vector<T>& constant() const { return constant_; }
  /// Changes the codes to code · factors[i] (one factor, or one per element).
  void multiply_by(std::vector<int64_t> factors)
    requires std::integral<T>;

 private:
  void rescale(T* codes) const noexcept;
  Layout layout_;
  bool is_constant_ = false;
  bool in_place_ = false;  ///< the buffer itself is an array of T
  size_t buffer_ = 0;
  std::vector<T> constant_;
  int64_t scratch_ = 0;
  std::vector<int64_t> factors_;
};

/// Base of the calls: where buffers are, the loop over samples, scratch.
class Call : public ReferenceCall {
 public:
  void run(void* const* buffers, int64_t count) const noexcept override;
  [[nodiscard]] int64_t scratch_bytes() const final { return scratch_; }

  /// Offset of a piece of scratch, aligned to 64.
  int64_t reserve(int64_t bytes);
  template <class T>
  int64_t reserve_array(int64_t elements) {
    return reserve(elements * static_cast<int64_t>(sizeof(T)));
  }
  const ReferenceSpec& spec() const { return spec_; }
  /// Position among the buffers, of an operand that is no constant.
  [[nodiscard]] size_t buffer_of(size_t operand) const;
  [[nodiscard]] const Tensor* constant_of(size_t operand) const;

 protected:
  explicit Call(const ReferenceSpec& spec);
  /// One sample.
  virtual void sample(const Frame& frame) const noexcept = 0;
  /// Where result `result` is collected before it is stored: for `sample`.
  template <Element T>
  T* result(const Frame& frame) const noexcept {
    return reinterpret_cast<T*>(frame.scratch + result_);
  }
  /// Stores result 0 in all its storages. Codes where T is integral.
  template <Element T>
  void store(const Frame& frame, const T* values, int index = 0) const noexcept {
    for (const Output& output : outputs_)
      if (output.result == index)
        encode(output.layout, values,
               static_cast<char*>(frame.buffers[output.buffer]) +
                   (output.layout.batched ? frame.sample * output.layout.bytes : 0));
  }
  [[nodiscard]] const TensorType& type(size_t operand) const { return spec_.operands[operand]; }
  [[nodiscard]] const TensorType& result_type() const { return spec_.results[0]; }
  [[nodiscard]] bool result_has_codes() const { return result_type().has_codes(); }
  template <class T>
  [[nodiscard]] T attributes() const {
    return from_attributes<T>(spec_.attributes);
  }
  [[nodiscard]] EvaluationOptions options() const {
    return from_attributes<EvaluationOptions>(spec_.options);
  }
  [[nodiscard]] bool is_batched() const { return batched_; }

 private:
  struct Output {
    int result;
    size_t buffer;
    Layout layout;
  };
  const ReferenceSpec spec_;
  std::vector<Output> outputs_;
  bool batched_ = false;
  size_t scratch_buffer_ = 0;
  int64_t scratch_ = 0;
  int64_t result_ = 0;
};

/// Factors that turn codes of `from` into codes on the steps of `to` (one per tensor, or the same
/// extents); empty where nothing changes. Throws InternalError unless all are integers.
[[nodiscard]] std::vector<int64_t> factors_between(const Layout& from, const Layout& to);
/// True when the step is the same for all elements that differ only on these axes.
[[nodiscard]] bool step_is_constant_along(const Layout& layout, const std::vector<int64_t>& axes);
/// Row-major strides in elements.
[[nodiscard]] std::vector<int64_t> strides_of(const Extents& extents);

/// For a kernel whose meaning does not depend on whether it moves codes or values: codes where the
/// result has them.
template <class OnCodes, class OnValues>
std::unique_ptr<ReferenceCall> codes_or_values(const ReferenceSpec& spec) {
  if (spec.results.at(0).has_codes()) return std::make_unique<OnCodes>(spec);
  return std::make_unique<OnValues>(spec);
}

/// Predicted cost: far above any emitted kernel's.
inline double elements_ns(const Query& query, double each) {
  return each * static_cast<double>(query.window.out_h * query.window.out_w * query.window.n);
}

}  // namespace qloom::kernels::reference
