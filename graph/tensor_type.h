#pragma once

#include <compare>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "graph/numeric.h"
#include "graph/support/ids.h"
#include "graph/tensor.h"

namespace qloom {

/// An extent: a number, or the batch symbol N, which may stand on any axis. (Time is a run-time
/// count of `scan`; any other symbol is refused by name when a model is built.)
class Dim {
 public:
  constexpr Dim(int64_t extent) : extent_(extent) {}  // NOLINT: a number is a Dim
  [[nodiscard]] static constexpr Dim batch() { return Dim(-1); }
  [[nodiscard]] constexpr bool is_batch() const { return extent_ == -1; }
  [[nodiscard]] constexpr bool is_static() const { return extent_ >= 0; }
  /// The number; `batch` where the dimension is the symbol.
  [[nodiscard]] constexpr int64_t bind(int64_t batch) const { return is_batch() ? batch : extent_; }
  [[nodiscard]] int64_t extent() const;  ///< throws InternalError for the symbol
  bool operator==(const Dim&) const = default;

 private:
  int64_t extent_;
};

using Shape = std::vector<Dim>;
[[nodiscard]] Extents bind(const Shape& shape, int64_t batch);
/// Product of the static extents: elements of one sample. The batch symbol counts as 1.
[[nodiscard]] int64_t elements_per_sample(const Shape& shape);
[[nodiscard]] std::string to_string(const Shape& shape);  ///< "[N, 8, 8, 16]"

/// Factor between members of a value set and values: value = member × scale.
///   none      1
///   constant  a float64 tensor that broadcasts against the value's shape (rank 0: per tensor;
///             else the value's rank, extents 1 or the axis's). Products of two float32 scales are
///             exact in float64.
///   dynamic   the scale is itself a value of the graph, computed from data at run time (alpha
///             "auto" on activations). `source` is that value.
class Scale {
 public:
  Scale() = default;
  [[nodiscard]] static Scale constant(Tensor values);  ///< f64; all ones becomes none
  [[nodiscard]] static Scale constant(double value);
  [[nodiscard]] static Scale dynamic(ValueId source);

  [[nodiscard]] bool is_none() const { return !constant_ && !source_.valid(); }
  [[nodiscard]] bool is_constant() const { return constant_.has_value(); }
  [[nodiscard]] bool is_dynamic() const { return source_.valid(); }
  [[nodiscard]] bool is_per_tensor() const;  ///< none, or constant with one element
  [[nodiscard]] double per_tensor() const;   ///< 1 for none; throws InternalError if not per tensor
  /// f64 tensor; a rank-0 1.0 for none. Throws InternalError when dynamic.
  [[nodiscard]] Tensor values() const;
  [[nodiscard]] ValueId source() const { return source_; }
  /// True for none and for constants whose elements are all powers of two.
  [[nodiscard]] bool is_power_of_two() const;
  bool operator==(const Scale& other) const;
  [[nodiscard]] std::string to_string()
      const;  ///< "", " × 0.25", " × scale[1,1,1,16]", " × scale(%12)"

 private:
  std::optional<Tensor> constant_;
  ValueId source_;
};

/// Shape, value set and scale of a value. Types are promises: each evaluated value lies in
/// numeric × scale.
struct TensorType {
  Shape shape;
  Numeric numeric;
  Scale scale;

  [[nodiscard]] int rank() const { return static_cast<int>(shape.size()); }
  [[nodiscard]] bool is_float32() const { return numeric.is_float32(); }
  /// True when canonical evaluation carries this value as integer codes: the set has a grid and the
  /// scale is known when compiling.
  [[nodiscard]] bool has_codes() const { return numeric.grid().has_value() && !scale.is_dynamic(); }
  /// Step of one code: 2^-fraction × scale, as a f64 tensor that broadcasts against the shape.
  /// Only for has_codes().
  [[nodiscard]] Tensor step() const;
  /// All values are integer multiples of one power of two (per tensor).
  [[nodiscard]] bool on_power_of_two_grid() const;
  bool operator==(const TensorType&) const = default;
  [[nodiscard]] std::string to_string() const;  ///< "[N, 8, 8, 16] fixed(4, 4, unsigned)"
};

std::ostream& operator<<(std::ostream&, const TensorType&);

}  // namespace qloom
