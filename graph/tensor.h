#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace qloom {

/// Element types that constants and the reference interpreter use. How kernels store elements is
/// `Storage`, in kernels/.
enum class DType : uint8_t { f32, f64, i64 };
[[nodiscard]] std::string_view name_of(DType);

using Extents = std::vector<int64_t>;
/// Product of the extents; 1 for rank 0. Throws UserError on overflow of int64.
[[nodiscard]] int64_t element_count(std::span<const int64_t> extents);

/// Constant data: dense, row-major, immutable and shared (copies are cheap). f32 holds values,
/// i64 holds codes, f64 holds scales.
class Tensor {
 public:
  Tensor() = default;  ///< f32, extents {0}
  /// Throws InternalError when the number of elements is not the product of the extents.
  Tensor(Extents extents, std::vector<float> values);
  Tensor(Extents extents, std::vector<double> values);
  Tensor(Extents extents, std::vector<int64_t> values);
  [[nodiscard]] static Tensor scalar(float value) { return Tensor({}, std::vector<float>{value}); }
  [[nodiscard]] static Tensor scalar(double v) { return Tensor({}, std::vector<double>{v}); }
  [[nodiscard]] static Tensor filled(Extents extents, float value);

  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] const Extents& extents() const { return extents_; }
  [[nodiscard]] int rank() const { return static_cast<int>(extents_.size()); }
  [[nodiscard]] int64_t size() const { return size_; }

  /// Each throws InternalError when the dtype differs.
  [[nodiscard]] std::span<const float> f32() const;
  [[nodiscard]] std::span<const double> f64() const;
  [[nodiscard]] std::span<const int64_t> i64() const;

  /// Same elements, other extents (equal count, else InternalError).
  [[nodiscard]] Tensor reshaped(Extents extents) const;
  /// Equal dtype, extents and bits (so NaN equals itself, -0 differs from +0).
  [[nodiscard]] bool same_bits(const Tensor& other) const;

 private:
  DType dtype_ = DType::f32;
  Extents extents_{0};
  int64_t size_ = 0;
  std::shared_ptr<const void> data_;
};

/// Row-major strides in elements; a broadcast helper for `shape` against `target` (NumPy rules,
/// aligned at the last axis): stride 0 where `shape` has extent 1 or lacks the axis.
/// Throws InternalError when the shapes do not broadcast.
[[nodiscard]] std::vector<int64_t> broadcast_strides(std::span<const int64_t> shape,
                                                     std::span<const int64_t> target);

}  // namespace qloom
