#include "graph/tensor.h"

#include <cstring>
#include <numeric>

#include "graph/support/error.h"

namespace qloom {
namespace {

size_t size_of(DType t) { return t == DType::f32 ? 4 : 8; }

template <class T>
std::shared_ptr<const void> share(std::vector<T> values) {
  auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  return {owner, owner->data()};
}

}  // namespace

std::string_view name_of(DType t) {
  switch (t) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::i64:
      return "i64";
  }
  return "?";
}

int64_t element_count(std::span<const int64_t> extents) {
  int64_t count = 1;
  for (const int64_t e : extents)
    qloom_check(e >= 0 && !__builtin_mul_overflow(count, e, &count),
                "a tensor's extents are negative or their product overflows");
  return count;
}

#define QLOOM_TENSOR_CONSTRUCTOR(T, tag)                                                   \
  Tensor::Tensor(Extents extents, std::vector<T> values)                                   \
      : dtype_(DType::tag), extents_(std::move(extents)), size_(element_count(extents_)) { \
    qloom_assert(size_ == static_cast<int64_t>(values.size()), "tensor of ", size_,        \
                 " elements is given ", values.size());                                    \
    data_ = share(std::move(values));                                                      \
  }                                                                                        \
  std::span<const T> Tensor::tag() const {                                                 \
    qloom_assert(dtype_ == DType::tag, "tensor holds ", name_of(dtype_), ", not " #tag);   \
    return {static_cast<const T*>(data_.get()), static_cast<size_t>(size_)};               \
  }
QLOOM_TENSOR_CONSTRUCTOR(float, f32)
QLOOM_TENSOR_CONSTRUCTOR(double, f64)
QLOOM_TENSOR_CONSTRUCTOR(int64_t, i64)
#undef QLOOM_TENSOR_CONSTRUCTOR

Tensor Tensor::filled(Extents extents, float value) {
  const int64_t count = element_count(extents);
  return Tensor(std::move(extents), std::vector<float>(static_cast<size_t>(count), value));
}

Tensor Tensor::reshaped(Extents extents) const {
  qloom_assert(element_count(extents) == size_, "reshape changes the number of elements from ",
               size_);
  Tensor out = *this;
  out.extents_ = std::move(extents);
  return out;
}

bool Tensor::same_bits(const Tensor& other) const {
  return dtype_ == other.dtype_ && extents_ == other.extents_ &&
         (size_ == 0 || data_ == other.data_ ||
          std::memcmp(data_.get(), other.data_.get(),
                      static_cast<size_t>(size_) * size_of(dtype_)) == 0);
}

std::vector<int64_t> broadcast_strides(std::span<const int64_t> shape,
                                       std::span<const int64_t> target) {
  qloom_assert(shape.size() <= target.size(), "rank ", shape.size(), " does not broadcast to rank ",
               target.size());
  std::vector<int64_t> strides(target.size(), 0);
  const size_t offset = target.size() - shape.size();
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    qloom_assert(shape[i] == 1 || shape[i] == target[offset + i], "extent ", shape[i],
                 " does not broadcast to ", target[offset + i]);
    strides[offset + i] = shape[i] == 1 ? 0 : stride;
    stride *= shape[i];
  }
  return strides;
}

}  // namespace qloom
