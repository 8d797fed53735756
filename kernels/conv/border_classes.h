// kernels/conv/border_classes.h: the ways in which windows stick out of an image.
//
// Where a border stands for no number of its own, the sums of a window that sticks out need another
// constant. Outputs whose windows stick out alike are a *class*.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel.h"

namespace qloom::kernels {

struct BorderClasses {
  /// Ways of each axis: which of its taps lie inside.
  std::vector<std::vector<bool>> rows, columns;
  std::vector<int> of_row, of_column;  ///< way of each output's row and column

  [[nodiscard]] int64_t count() const {
    return static_cast<int64_t>(rows.size()) * static_cast<int64_t>(columns.size());
  }
  /// Whether the tap lies inside in windows of a class.
  [[nodiscard]] bool inside(int64_t of_class, int64_t kernel_y, int64_t kernel_x) const {
    const auto n = static_cast<int64_t>(columns.size());
    return rows[static_cast<size_t>(of_class / n)][static_cast<size_t>(kernel_y)] &&
           columns[static_cast<size_t>(of_class % n)][static_cast<size_t>(kernel_x)];
  }
  /// For each output of a sample the offset of its class in a table of `pitch` bytes a class.
  [[nodiscard]] std::vector<int32_t> offsets(int64_t pitch) const;
};
[[nodiscard]] BorderClasses border_classes(const Window& w);

/// More would make tables of constants large.
inline constexpr int64_t kMostClasses = 256;

}  // namespace qloom::kernels
