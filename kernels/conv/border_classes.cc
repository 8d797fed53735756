#include "kernels/conv/border_classes.h"

#include <map>

namespace qloom::kernels {
namespace {

/// Numbers of the ways in which the taps of one axis can lie inside, per output.
std::vector<int> classes_of_axis(int64_t outputs, int64_t kernel, int64_t stride, int64_t dilation,
                                 int64_t before, int64_t size,
                                 std::vector<std::vector<bool>>& all) {
  std::map<std::vector<bool>, int> seen;
  std::vector<int> list;
  for (int64_t o = 0; o < outputs; ++o) {
    std::vector<bool> inside;
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t at = o * stride + k * dilation - before;
      inside.push_back(at >= 0 && at < size);
    }
    const auto [it, is_new] = seen.emplace(inside, static_cast<int>(all.size()));
    if (is_new) all.push_back(inside);
    list.push_back(it->second);
  }
  return list;
}

}  // namespace

BorderClasses border_classes(const Window& w) {
  BorderClasses c;
  c.of_row = classes_of_axis(w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top, w.h, c.rows);
  c.of_column =
      classes_of_axis(w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left, w.w, c.columns);
  return c;
}

std::vector<int32_t> BorderClasses::offsets(int64_t pitch) const {
  std::vector<int32_t> list;
  const auto n = static_cast<int64_t>(columns.size());
  for (const int row : of_row)
    for (const int column : of_column)
      list.push_back(static_cast<int32_t>((row * n + column) * pitch));
  return list;
}

}  // namespace qloom::kernels
