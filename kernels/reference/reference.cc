#include "kernels/reference/reference.h"

#include <cmath>
#include <cstring>

namespace qloom::kernels::reference {
namespace {

using Kind = Storage::Kind;

/// Calls with the stored codes as a function of the element.
template <class Visit>
void with_codes(const Layout& l, const void* data, Visit&& visit) noexcept {
  switch (l.storage.kind) {
    case Kind::bytes: {
      const auto* p = static_cast<const uint8_t*>(data);
      const int64_t zero = l.storage.zero;
      return visit([=](int64_t i) { return int64_t{p[i]} - zero; });
    }
    case Kind::words: {
      const auto* p = static_cast<const int16_t*>(data);
      return visit([=](int64_t i) { return int64_t{p[i]}; });
    }
    case Kind::dwords: {
      const auto* p = static_cast<const int32_t*>(data);
      return visit([=](int64_t i) { return int64_t{p[i]}; });
    }
    case Kind::bits: {
      const bool binary = l.type.numeric.is_binary();
      return visit([=, &l](int64_t i) {
        const int64_t bit = read_code(data, l.storage, i, l.last);
        return binary ? 2 * bit - 1 : bit;
      });
    }
    case Kind::f32: {
      const auto* p = static_cast<const float*>(data);
      return visit([=, &l](int64_t i) {
        const double step = l.step(i);
        return step == 0 ? int64_t{0} : static_cast<int64_t>(std::llrint(double{p[i]} / step));
      });
    }
  }
}

template <class T>
void write(void* data, int64_t elements, const auto& code) noexcept {
  T* out = static_cast<T*>(data);
  for (int64_t i = 0; i < elements; ++i) out[i] = static_cast<T>(code(i));
}

void write_codes(const Layout& l, void* data, const auto& code) noexcept {
  switch (l.storage.kind) {
    case Kind::bytes:
      return write<uint8_t>(data, l.elements, [&](int64_t i) { return code(i) + l.storage.zero; });
    case Kind::words:
      return write<int16_t>(data, l.elements, code);
    case Kind::dwords:
      return write<int32_t>(data, l.elements, code);
    case Kind::bits:
      std::memset(data, 0, static_cast<size_t>(l.bytes));
      for (int64_t i = 0; i < l.elements; ++i)
        if (code(i) > 0) write_code(data, l.storage, i, l.last, 1);
      return;
    case Kind::f32:
      return write<float>(data, l.elements,
                          [&](int64_t i) { return static_cast<double>(code(i)) * l.step(i); });
  }
}

/// Signed value of a code that may have wrapped.
template <class T>
int64_t signed_code(T code) {
  if constexpr (std::same_as<T, uint32_t>)
    return static_cast<int32_t>(code);
  else
    return static_cast<int64_t>(code);
}

}  // namespace

Layout::Layout(const TensorType& t, Storage s) : type(t), storage(s) {
  extents = qloom::bind(type.shape, 1);
  elements = elements_per_sample(type.shape);
  last = last_extent(type.shape);
  bytes = bytes_per_sample(type.shape, storage);
  for (const Dim d : type.shape) batched = batched || d.is_batch();
  qloom_assert(storage.kind == Kind::f32 || fits(type, storage), "a value of type ", type,
               " is stored as ", storage);
  if (!type.has_codes()) return;
  const Tensor step = type.step();
  steps.assign(step.f64().begin(), step.f64().end());
  if (steps.size() <= 1) return;
  steps.clear();
  const std::vector<int64_t> from = broadcast_strides(step.extents(), extents);
  const std::vector<int64_t> own = strides_of(extents);
  for (int64_t i = 0; i < elements; ++i) {
    int64_t at = 0;
    for (size_t axis = 0; axis < own.size(); ++axis)
      at += i / own[axis] % extents[axis] * from[axis];
    steps.push_back(step.f64()[static_cast<size_t>(at)]);
  }
}

template <Element T>
void decode(const Layout& l, const void* data, T* out) noexcept {
  if (std::floating_point<T> && l.storage.kind == Kind::f32) {
    const auto* p = static_cast<const float*>(data);
    for (int64_t i = 0; i < l.elements; ++i) out[i] = static_cast<T>(p[i]);
    return;
  }
  with_codes(l, data, [&](const auto& code) {
    for (int64_t i = 0; i < l.elements; ++i)
      if constexpr (std::floating_point<T>)
        out[i] = static_cast<float>(static_cast<double>(code(i)) * l.step(i));
      else
        out[i] = static_cast<T>(code(i));
  });
}

template <Element T>
void encode(const Layout& l, const T* in, void* data) noexcept {
  if constexpr (std::floating_point<T>) {
    if (l.storage.kind == Kind::f32 && l.steps.empty())
      return write<float>(data, l.elements, [&](int64_t i) { return in[i]; });
    // The value of code 0 is +0, whatever the sign of the float.
    if (l.storage.kind == Kind::f32)
      return write<float>(data, l.elements, [&](int64_t i) { return in[i] + T{0}; });
    write_codes(l, data, [&](int64_t i) {
      const double step = l.step(i);
      return step == 0 ? int64_t{0}
                       : static_cast<int64_t>(std::llrint(static_cast<double>(in[i]) / step));
    });
  } else {
    write_codes(l, data, [&](int64_t i) { return signed_code(in[i]); });
  }
}

Call::Call(const ReferenceSpec& given) : spec_(given) {
  qloom_assert(spec_.operands.size() == spec_.operand_storages.size(), spec_.kernel, " has ",
               spec_.operands.size(), " operands and ", spec_.operand_storages.size(), " storages");
  qloom_assert(!spec_.results.empty(), spec_.kernel, " has no result");
  for (const auto& [position, tensor] : spec_.constants) {
    qloom_assert(position >= 0 && static_cast<size_t>(position) < spec_.operands.size(),
                 spec_.kernel, " has a constant for operand ", position, " of ",
                 spec_.operands.size());
    const TensorType& t = spec_.operands[static_cast<size_t>(position)];
    qloom_assert(tensor.size() == elements_per_sample(t.shape) &&
                     tensor.dtype() == (t.has_codes() ? DType::i64 : DType::f32),
                 spec_.kernel, ": the constant for operand ", position, " is no ", t);
  }
  size_t buffer = spec_.operands.size() - spec_.constants.size();
  for (const auto& [result, storage] : spec_.outputs) {
    qloom_assert(result >= 0 && static_cast<size_t>(result) < spec_.results.size(), spec_.kernel,
                 " stores result ", result, " of ", spec_.results.size());
    outputs_.push_back(
        {result, buffer++, Layout(spec_.results[static_cast<size_t>(result)], storage)});
    batched_ = batched_ || outputs_.back().layout.batched;
  }
  scratch_buffer_ = buffer;
  result_ = reserve_array<int64_t>(elements_per_sample(spec_.results[0].shape));
}

int64_t Call::reserve(int64_t bytes) {
  const int64_t at = scratch_;
  scratch_ += (bytes + 63) / 64 * 64;
  return at;
}

const Tensor* Call::constant_of(size_t operand) const {
  for (const auto& [position, tensor] : spec_.constants)
    if (static_cast<size_t>(position) == operand) return &tensor;
  return nullptr;
}

size_t Call::buffer_of(size_t operand) const {
  size_t buffer = 0;
  for (size_t i = 0; i < operand; ++i)
    if (constant_of(i) == nullptr) ++buffer;
  return buffer;
}

void Call::run(void* const* buffers, int64_t count) const noexcept {
  Frame frame{buffers, 0, static_cast<char*>(scratch_ > 0 ? buffers[scratch_buffer_] : nullptr)};
  for (; frame.sample < (batched_ ? count : 1); ++frame.sample) sample(frame);
}

template <Element T>
Input<T>::Input(Call& call, size_t operand)
    : layout_(call.spec().operands.at(operand), call.spec().operand_storages.at(operand)) {
  const std::string& kernel = call.spec().kernel;
  qloom_assert(std::floating_point<T> || layout_.type.has_codes(), kernel, ": operand ", operand,
               " of type ", layout_.type, " has no codes");
  if (const Tensor* values = call.constant_of(operand)) {
    is_constant_ = true;
    if (values->dtype() == DType::f32) {
      constant_.assign(values->f32().begin(), values->f32().end());
    } else {
      for (int64_t i = 0; i < layout_.elements; ++i) {
        const int64_t code = values->i64()[static_cast<size_t>(i)];
        if constexpr (std::floating_point<T>)
          constant_.push_back(static_cast<float>(static_cast<double>(code) * layout_.step(i)));
        else
          constant_.push_back(static_cast<T>(code));
      }
    }
    return;
  }
  buffer_ = call.buffer_of(operand);
  in_place_ = (std::same_as<T, float> && layout_.storage.kind == Kind::f32) ||
              (std::same_as<T, uint32_t> && layout_.storage.kind == Kind::dwords);
  scratch_ = call.reserve_array<T>(layout_.elements);
}

template <Element T>
const T* Input<T>::at(const Frame& frame) const noexcept {
  if (is_constant_) return constant_.data();
  const char* data = static_cast<const char*>(frame.buffers[buffer_]) +
                     (layout_.batched ? frame.sample * layout_.bytes : 0);
  if (in_place_) return reinterpret_cast<const T*>(data);
  T* out = reinterpret_cast<T*>(frame.scratch + scratch_);
  decode(layout_, data, out);
  rescale(out);
  return out;
}

template <Element T>
void Input<T>::rescale(T* codes) const noexcept {
  if constexpr (std::integral<T>) {
    using Unsigned = std::make_unsigned_t<T>;  // wraps instead of overflowing
    for (size_t i = 0; factors_.size() > 0 && i < static_cast<size_t>(layout_.elements); ++i)
      codes[i] = static_cast<T>(static_cast<Unsigned>(codes[i]) *
                                static_cast<Unsigned>(factors_[factors_.size() == 1 ? 0 : i]));
  }
}

template <Element T>
void Input<T>::multiply_by(std::vector<int64_t> factors)
  requires std::integral<T>
{
  factors_ = std::move(factors);
  if (factors_.empty()) return;
  in_place_ = false;
  if (is_constant_) rescale(constant_.data());
}

std::vector<int64_t> factors_between(const Layout& from, const Layout& to) {
  qloom_assert(
      to.steps.size() == 1 || to.steps.size() == from.steps.size() || from.steps.size() == 1,
      "steps of ", from.type, " and ", to.type, " do not correspond");
  const size_t n = std::max(from.steps.size(), to.steps.size());
  std::vector<int64_t> factors;
  bool changes = false;
  for (size_t i = 0; i < n; ++i) {
    const double a = from.step(static_cast<int64_t>(i)), b = to.step(static_cast<int64_t>(i));
    const double factor = a == b ? 1 : a / b;
    qloom_assert(factor == std::nearbyint(factor) && std::abs(factor) < 0x1p62 && factor * b == a,
                 "codes of ", from.type, " are no codes of ", to.type);
    factors.push_back(static_cast<int64_t>(factor));
    changes = changes || factor != 1;
  }
  if (!changes) factors.clear();
  return factors;
}

bool step_is_constant_along(const Layout& l, const std::vector<int64_t>& axes) {
  if (l.steps.size() <= 1) return true;
  const std::vector<int64_t> strides = strides_of(l.extents);
  for (int64_t i = 0; i < l.elements; ++i) {
    int64_t first = i;  // the element with index 0 on these axes
    for (const int64_t axis : axes) {
      const auto a = static_cast<size_t>(axis);
      first -= i / strides[a] % l.extents[a] * strides[a];
    }
    if (l.step(i) != l.step(first)) return false;
  }
  return true;
}

std::vector<int64_t> strides_of(const Extents& extents) {
  std::vector<int64_t> strides(extents.size(), 1);
  for (size_t i = extents.size(); i-- > 1;) strides[i - 1] = strides[i] * extents[i];
  return strides;
}

#define QLOOM_ELEMENT(T)                                            \
  template void decode<T>(const Layout&, const void*, T*) noexcept; \
  template void encode<T>(const Layout&, const T*, void*) noexcept; \
  template class Input<T>;
QLOOM_ELEMENT(float)
QLOOM_ELEMENT(double)
QLOOM_ELEMENT(int64_t)
QLOOM_ELEMENT(uint64_t)
QLOOM_ELEMENT(uint32_t)
#undef QLOOM_ELEMENT

}  // namespace qloom::kernels::reference
